# SPDX-License-Identifier: GPL-2.0
"""Lens 1: instructions per packet, in a VM whose nanoseconds are instructions.

Every figure is what a packet costs beyond the same packet dropped at the
director's netdev ingress: the sender, the veth and the softirq are in both.
The least of some runs counts, for slabs have moods.
"""

import operator
import pathlib
import re
import statistics
import time

import director
import peers
from lib import lab
from director import LEARN, RS

TITLE = "Instructions per packet"
ABOUT = """A VM whose clock counts instructions (qemu `-icount`), Debian's stock kernel, one CPU. Frames of 60
bytes (SYNs 74) arrive by a veth and leave by another, where they die in a drop at egress. A figure
is what a packet costs beyond the same packet dropped at the director's netdev ingress, so sender,
veth and softirq are not in it, and the drop at egress is. It is repeatable to half a per cent, but
for peers that try ports at random, where few are left: by some per cent. It knows nothing of caches:
it compares and it gates, it does not predict packets per second. Peers have tables of 2^20 entries,
and SNAT that keeps the client's port if it can."""
PICTURES = (
    {"title": "An established packet, one flow", "kind": "bars", "without": ("drop",),
     "axis": "instructions",
     "rows": ("udp-c2s-1", "udp-s2c-1", "tcp-c2s-1", "tcp-s2c-1"), "height": 5},
    {"title": "A new connection", "kind": "bars", "without": ("drop",),
     "axis": "instructions",
     "rows": ("first", "connection"), "height": 4},
    {"title": "First packet of a connection, as the ports of the LIP fill", "kind": "lines",
     "without": ("drop",),
     "axis": "instructions", "over": "% of ports taken", "x": (50, 90, 95, 99, 100),
     "rows": ("first-50", "first-90", "first-95", "first-99", "first-100")},
)
UNIT = "instructions over a packet dropped at netdev ingress (whose own are in full)"
COUNT, TRIES = 2048, 3
PORTS = 64511                   # of a LIP, 1025 to 65535
NEW = 2048                      # connections measured in one run
IDLE = 40                       # seconds
LEVELS = (50, 90, 95, 99, 100)
AFRESH = ("first", "foreign", "synack", f"first-{LEVELS[0]}")  # rows for a fresh director
LIFE = ("open", "synack", "ack", "request", "response", "fin", "finack", "lastack")
WAYS = {"c2s": "client to server", "s2c": "server to client"}
NATS = ("flowtable", "nft", "ipvs", "ipvs-snat", "ours")


class Row:
    """A line of the table: who takes part, and how its packets are sent.

    MEASURE, called with a column's name, returns instructions per packet, zero
    line included, or raises peers.Cannot.
    """

    def __init__(self, title, columns, measure, per="packet"):
        self.title, self.columns, self.measure, self.per = title, columns, measure, per


def handshake(name, proto):
    """The phases that make flows established, both directions warm."""
    known = ("blind",) if name in ("drop", "hook-drop") else LEARN
    opened = ("synack", "ack") if proto == "tcp" else ()
    return ("open", *known, *opened, "s2c", "c2s")


def target(name):
    """Where the clients of NAME send to: who forwards only has no VIP."""
    forwards = ("drop", "forward", "hook-accept", "hook-drop")
    return {"to": RS} if name in forwards else {}


def least(sent, phase):
    """The cheapest run of PHASE in what gen said."""
    return min(ns / packets for name, packets, ns in sent if name == phase)


def passed(sent, before, name):
    """Everything that was SENT must have left."""
    total = sum(packets for _, packets, _ in sent)
    gone = sum(director.left()) - sum(before)
    if name not in ("drop", "hook-drop") and gone < total:
        raise peers.Cannot(f"only {gone} of {total} packets got through")


def established(proto, flows, way):
    """Packets of FLOWS connections that are up; both ways come from one run."""
    def measure(name):
        if (name, proto, flows) not in established.seen:
            before = director.left()
            both = [f"{w}={COUNT}" for w in WAYS] * (TRIES + 1)
            sent = director.send(proto, flows, *handshake(name, proto), *both, **target(name))
            passed(sent, before, name)
            established.seen[name, proto, flows] = sent[-2 * TRIES:]
        return least(established.seen[name, proto, flows], way)
    return measure


established.seen = {}


def first(name):
    """20,000 connections on one LIP: the mean of their first packets."""
    before = director.left()
    sent = director.send("udp", 20000, "open")
    passed(sent, before, name)
    return least(sent, "open")


def first_at(level):
    """New connections when LEVEL % of the LIP's ports are taken."""
    def measure(name):
        upto = PORTS * level // 100 - (0 if level == 100 else NEW)
        before, done = director.left()[1], measure.done.get(name, 0)
        if upto > done and name != "drop":
            director.send("udp", upto - done, "open", first=done)
        [(_, packets, ns)] = director.send("udp", NEW, "open", first=upto)
        measure.done[name] = upto + NEW
        took = director.left()[1] - before
        if name != "drop" and took < upto - done + NEW:
            measure.notes[name] = f"{upto - done + NEW - took:,} connections found no port"
        return ns / packets
    measure.done, measure.notes = first_at.done, {}
    return measure


first_at.done = {}              # connections that each column has


def connection(name):
    """All packets of a connection, SYN to the last ACK, eight of them."""
    known, costs = ("blind",) if name == "drop" else LEARN, []
    for i in range(TRIES):
        before = director.left()
        sent = director.send("tcp", NEW, "open", *known, *LIFE[1:], first=200000 + i * NEW)
        passed(sent, before, name)
        costs.append(sum(ns / packets for _, packets, ns in sent))
    return min(costs)


def foreign(name):
    """Packets that have nothing to do with the load balancer."""
    before = director.left()
    sent = director.send("udp", 1, "open", *[f"c2s={COUNT}"] * TRIES, to=RS, port=9999)
    passed(sent, before, name)
    return least(sent, "c2s")


def super_packet(name):
    """64 KiB of a connection in one skb; runs too short for a tick of the clock."""
    sent = director.send("tcp", 1, *handshake(name, "tcp"), *["gso=16"] * 40, **target(name))
    return least(sent, "gso")


def own_work():
    """Instructions that our work items run in a second, of the next IDLE; whole periods."""
    tracing, runs = pathlib.Path("/sys/kernel/tracing"), {}
    if not (tracing / "trace").exists():
        lab.sh("mount", "-t", "tracefs", "tracefs", tracing)
    events = [tracing / "events/workqueue" / f"workqueue_execute_{end}" / "enable"
              for end in ("start", "end")]
    (tracing / "trace").write_text("")
    (tracing / "trace_clock").write_text("x86-tsc")     # which counts instructions here
    for event in events:
        event.write_text("1")
    time.sleep(IDLE)
    for event in events:
        event.write_text("0")
    for when, end, work in re.findall(r"(\d+): workqueue_execute_(start|end): work struct (\w+):"
                                      r" function \S+ \[ip_vs_fullnat\]",
                                      (tracing / "trace").read_text()):
        if end == "start" or work in runs:
            runs.setdefault(work, {"start": [], "end": []})[end].append(int(when))
    return sum(statistics.fmean(map(operator.sub, run["end"], run["start"])) * 1e9
               * (len(run["start"]) - 1) / (run["start"][-1] - run["start"][0])
               for run in runs.values() if len(run["start"]) > 1)


def idle(bits):
    """A second in which nothing comes, with a table of 2^BITS; others have none."""
    def measure(name):
        if name != "ours":
            return 0
        peers.clear()
        peers.ours_setup(1, True, conn_tab_bits=bits)
        return own_work()
    return measure


def syn_proxy(phase):
    """What a SYN proxy answers, or refuses, before there is a connection."""
    def measure(name):
        if name == "ours":
            if not peers.has_synproxy():
                raise peers.Cannot("not yet")
            peers.protect()
        before = director.left()
        sent = director.send("tcp", COUNT, *[phase] * TRIES, first=300000)
        answers = director.left()[0] - before[0]
        if phase == "open" and name != "drop" and answers < COUNT * TRIES:
            raise peers.Cannot(f"only {answers} of {COUNT * TRIES} SYNs were answered")
        return least(sent, phase)
    return measure


def table():
    """{key: Row}, in the order in which they are measured and printed."""
    rows = {}
    for proto in ("udp", "tcp"):
        for flows in (1, 512):
            for way, words in WAYS.items():
                columns = ("forward", *NATS, "ours-ahead")
                if (proto, flows, way) == ("udp", 1, "c2s"):
                    columns = ("hook-drop", *columns)
                rows[f"{proto}-{way}-{flows}"] = Row(
                    f"established {proto.upper()}, {words}, {flows} flow{'s' * (flows > 1)}",
                    columns, established(proto, flows, way))
    rows["foreign"] = Row("a packet of no concern", ("hook-accept", "forward", *NATS, "ours-ahead"),
                          foreign)
    rows["gso"] = Row("a 64 KiB super-packet", ("forward", *NATS), super_packet)
    rows["connection"] = Row("a whole short TCP connection, 8 packets", NATS, connection,
                             "connection")
    rows["synack"] = Row("SYN, answered by SYN proxy", ("synproxy", "ours"), syn_proxy("open"))
    rows["badack"] = Row("ACK with a bad cookie", ("synproxy", "ours"), syn_proxy("badack"))
    rows["first"] = Row("first packet, 20,000 UDP connections on one LIP", (*NATS, "ours-ahead"), first)
    for level in LEVELS:
        rows[f"first-{level}"] = Row(
            f"first packet, {level} % of the LIP's ports taken",
            ("nft", "ipvs-snat", "ours"), first_at(level))
    for bits in (12, 26):
        rows[f"idle-{bits}"] = Row(f"idle, what workers run, a table of 2^{bits} buckets", ("ours",),
                                   idle(bits), "second")
    return rows


def run(rows, columns, tell):
    """Measure ROWS (keys) of COLUMNS; TELL(row, column, figure, note) each.

    A column may be "NAME:ROW", and then only that row is measured of it.

    Columns are set up in turn, the zero line first and ours last, because what
    is in the kernel excludes what we load. A row at some filling of the ports
    wants a director of its own, the higher fillings that come next the same.
    """
    todo, zero = table(), {}
    for column in ("drop", *columns):
        column, _, only = column.partition(":")
        fresh = True
        first_at.done.clear()
        for key in [only] if only else rows:
            row = todo[key]
            if column != "drop" and column not in row.columns:
                continue
            if fresh or column != "drop" and key in AFRESH:
                peers.set_up(column)
                fresh = False
            try:
                cost = row.measure(column)
            except peers.Cannot as why:
                tell(key, column, None, str(why))
                continue
            if column == "drop":
                zero[key] = cost
            else:
                # Of first packets the longest run is the steadiest.
                cost -= zero.get("first" if key.startswith("first") else key, zero[key])
            note = getattr(row.measure, "notes", {}).get(column)
            tell(key, column, cost, note)


def machines(columns):
    """The columns of each machine: all share one."""
    return [columns]


def machine(share, job):
    """The command that runs JOB where this lens measures."""
    return [lab.TOP / "tests" / "vm" / "run", "--icount", "--mem", "3072", "--timeout", "7200",
            "--share", share, "--", *job]
