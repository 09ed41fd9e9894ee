# SPDX-License-Identifier: GPL-2.0
"""Lens 2: nanoseconds at native speed, in a user-mode kernel with real caches."""

import os
import pathlib
import re
import statistics
import time

import director
import peers
from director import RS, VIP
from instructions import NATS, PORTS, Row
from lib import lab

TITLE = "Native speed"
ABOUT = """User-mode Linux 6.1 on the host's own CPU, so with its caches; one CPU does all.
Datagrams, 60 bytes of frame, of so many live connections come in no order, built by a module and
handed on in lists of eight, as GRO does; they end in the output device. The time is all of it,
building them too: "dropped at netdev ingress" is what that alone allows. The best of several runs,
for the host has more to do; what many connections leave of the rate of one is the median of runs in
turns, for the host's pace changes (of ours, one is played without looking ahead). Connections per
second are first packets alone, from the size before to this one. Memory is all that the machine has
less than before the load balancer was set up, over the number of connections: objects, tables, port
maps. There are 80 LIPs and one server, and tables of 2^20 entries (the most that IPVS takes; ours
has its default, 2^22) unless a column says defaults: by those conntrack holds 262,144 connections
and drops old ones for new, so nft's figures beyond are not of so many. The kernel's memory lies in
huge pages of the host, as its own does on real hardware, but what is vmalloc()ed, as the peers'
large tables are, has pages of 4 KiB; and it has no second CPU, so that atomic operations are
cheaper than they are. Three rows say what a read costs that misses every cache, of either kind of
memory and many at once; of a million connections, a packet of ours needs three."""
UNIT = "what each row says"
SIZES = (1, 1000, 100_000, 1_000_000, 4_000_000)
WORDS = {1: "1", 1000: "1k", 100_000: "100k", 1_000_000: "1M", 4_000_000: "4M"}
KEPT = (1_000_000,)
GROWN = ("cps", "pps", "kept", "bytes")     # kinds of rows that sizes() fills
LIPS = 80
COUNT, TRIES = 1_000_000, 9
NOTICED = 1.5                   # seconds in which a director sees how many there are
PATIENCE = 30                   # seconds for one filling
LEVELS = (50, 90, 99, 100)
NEW = 600
MISSES = {
    "miss": ("a read that misses every cache, 1 GiB of slabs", {}),
    "miss-vmalloc": ("a read that misses every cache, 1 GiB of vmalloc()ed tables", {"vmalloc": 1}),
    "miss-apart": ("one of many such reads at once, 256 MiB of slabs", {"mib": 256, "apart": 1}),
}
DEFAULTS = ("nft-defaults", "ipvs-defaults", "ipvs-snat-defaults")
ALL = ("forward", *NATS[:-1], *DEFAULTS, "ours", "ours-blind")
PICTURES = (
    {"title": "Packets per second, 60 bytes, random flows", "kind": "lines", "log": True,
     "axis": "packets per second", "over": "live connections", "x": SIZES,
     "rows": [f"pps-{WORDS[n]}" for n in SIZES]},
    {"title": "First packets per second, up to so many connections", "kind": "lines", "log": True,
     "axis": "connections per second", "over": "live connections", "x": SIZES[1:],
     "rows": [f"cps-{WORDS[n]}" for n in SIZES[1:]]},
    {"title": "Memory of a connection, everything counted", "kind": "bars", "axis": "bytes",
     "rows": ["bytes-1M", "bytes-4M"]},
)


def table():
    """{key: Row}; what measures them is below, many at once."""
    rows = {key: Row(f"picoseconds of {what}", ("drop",), None, "read")
            for key, (what, _) in MISSES.items()}
    for n in SIZES:
        rows[f"pps-{WORDS[n]}"] = Row(f"packets per second, {WORDS[n]} connections",
                                      ("drop", *ALL), None, "second")
    for n in KEPT:
        rows[f"kept-{WORDS[n]}"] = Row(f"per cent of the rate of one flow, {WORDS[n]} connections",
                                       ALL, None, "cent")
    for n in SIZES[1:]:
        rows[f"cps-{WORDS[n]}"] = Row(f"first packets per second, up to {WORDS[n]} connections",
                                      ALL[1:], None, "second")
    for n in SIZES[3:]:
        rows[f"bytes-{WORDS[n]}"] = Row(f"bytes of memory per connection, {WORDS[n]}", ALL[1:],
                                        None, "connection")
    for level in LEVELS:
        rows[f"port-{level}"] = Row(f"first packets per second, {level} % of one LIP's ports taken",
                                    ("nft", "ipvs-snat", "ours"), None, "second")
    return rows


def free():
    """Bytes that the machine has left, caches emptied."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    return int(re.search(r"MemFree:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) << 10


def slabs(live):
    """What slabs hold LIVE objects or more: names, and bytes of each."""
    rows = [r.split() for r in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]]
    return ", ".join(f"{int(r[1]) / live:.1f} x {r[0]} of {r[3]}" for r in rows
                     if int(r[1]) > live * 0.9)


def play(name, first, flows, count=0, answered=False, limit=PATIENCE):
    """Packets of FLOWS flows from FIRST on: COUNT, or one of each, ANSWERED or not.

    (packets sent, nanoseconds that took, packets that came out)
    """
    to = RS if name == "forward" else VIP
    with lab.inside("director"):
        nic = pathlib.Path("/proc/net/bench_nic")
        nic.write_text(f"c0 {to} 80 {first} {flows} {count} {int(answered)} {limit}\n")
        return tuple(map(int, nic.read_text().split()))


def grow(name, done, size):
    """From DONE to SIZE connections; first packets per second."""
    packets, ns, gone = play(name, done, size - done)
    if packets < size - done:
        raise peers.Cannot(f"stopped: {done + packets:,} connections in {PATIENCE} s")
    if gone < packets and name != "drop":
        raise peers.Cannot(f"stopped: holds about {done + gone:,} connections")
    if name == "flowtable":     # which takes what has been answered
        play(name, done, size - done, answered=True)
    return packets * 1e9 / ns


def rate(name, flows):
    """Packets per second of FLOWS flows, in one try."""
    packets, ns, _ = play(name, 0, flows, COUNT, limit=PATIENCE // 6)
    return packets * 1e9 / ns


def speed(name, size):
    """Packets per second over SIZE connections."""
    time.sleep(NOTICED)
    return max(rate(name, size) for _ in range(TRIES))


def kept(name, size):
    """Per cent of the rate of one flow that SIZE leave, played in turns."""
    as_of_few = {"net.ipv4.vs.fullnat_lookahead": 0} if name == "ours" else {}
    pairs = []
    for _ in range(TRIES):
        with lab.inside("director"), lab.sysctls(as_of_few):
            one = rate(name, 1)
        pairs.append(100 * rate(name, size) / one)
    return statistics.median(pairs)


def sizes(name, rows, tell):
    """All rows that a growing number of connections gives."""
    last = max((n for n in SIZES for kind in GROWN
                if f"{kind}-{WORDS[n]}" in rows), default=0)
    before = [0]
    peers.set_up(name, LIPS, lambda: before.__setitem__(0, free()), director.nics)
    done = 0
    for size in (n for n in SIZES if n <= last):
        word = WORDS[size]
        try:
            got = {f"cps-{word}": grow(name, done, size)}
        except peers.Cannot as why:
            for kind in GROWN:
                tell(f"{kind}-{word}", name, None, str(why))
            return
        done = size
        if f"pps-{word}" in rows:
            got[f"pps-{word}"] = speed(name, size)
        if f"kept-{word}" in rows:
            got[f"kept-{word}"] = kept(name, size)
        if f"bytes-{word}" in rows:
            got[f"bytes-{word}"] = (before[0] - free()) / size
        for key, value in got.items():
            tell(key, name, value, slabs(size) if key == "bytes-1M" else None)


def ports(name, rows, tell):
    """New connections as the ports of one LIP run out."""
    peers.set_up(name, 1, link=director.nics)
    done = 0
    for level in LEVELS:
        upto = PORTS * level // 100 - (0 if level == 100 else NEW)
        play(name, done, upto - done)
        packets, ns, _ = play(name, upto, NEW)
        done = upto + NEW
        if f"port-{level}" in rows:
            tell(f"port-{level}", name, packets * 1e9 / ns, None)


def misses(name, rows, tell):
    """What memory costs here, whoever uses it."""
    for key in (key for key in MISSES if key in rows):
        director.insmod("bench_mem", **MISSES[key][1])
        said = pathlib.Path("/sys/module/bench_mem/parameters/picoseconds").read_text()
        lab.sh("rmmod", "bench_mem")
        tell(key, name, int(said), None)


def run(rows, columns, tell):
    """Measure ROWS (keys) of COLUMNS; TELL(row, column, figure, note) each."""
    known = table()

    def told(key, column, value, note):
        if key in rows and column in known[key].columns:
            tell(key, column, value, note)
    director.insmod("bench_nic")
    # What the host has yet to give would cost whoever asks first.
    director.insmod("bench_mem", mib=4096)
    lab.sh("rmmod", "bench_mem")
    for column in columns:
        mine = [key for key in rows if column in known[key].columns]
        misses(column, mine, told)
        for kinds, measure in ((GROWN, sizes), (("port",), ports)):
            if any(key.split("-")[0] in kinds for key in mine):
                measure(column, mine, told)


def machines(columns):
    """The columns of each machine: one each, with all of its memory."""
    return [[c] for c in columns]


def machine(share, job):
    """The command that runs JOB where this lens measures."""
    return [lab.TOP / "tests" / "bench" / "uml", share, *job]
