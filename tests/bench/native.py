# SPDX-License-Identifier: GPL-2.0
"""Lens 2: nanoseconds at native speed, in a user-mode kernel with real caches."""

import os
import pathlib
import re
import time

import director
import peers
from director import LEARN, RS
from instructions import NATS, PORTS, Row
from lib import lab

TITLE = "Native speed"
ABOUT = """User-mode Linux 6.1 on the host's own CPU, so with its caches; one CPU does all, the sender too. Frames
of 60 bytes of so many live UDP connections come in no order, by a veth, and leave by another, where
they die in a drop at egress; "dropped at netdev ingress" is what the sender and the veth alone
allow. The best of three runs. Connections per second are first packets alone, from the size before
to this one. Memory is all that the machine has less than before the load balancer was set up, over
the number of connections. Real ones have 80 LIPs and one server, and tables of 2^20 entries (the
most that IPVS takes; ours has its default, 2^22) unless a column says defaults."""
UNIT = "what each row says"
SIZES = (1, 1000, 100_000, 1_000_000, 4_000_000)
WORDS = {1: "1", 1000: "1k", 100_000: "100k", 1_000_000: "1M", 4_000_000: "4M"}
LIPS = 80
COUNT, TRIES = 300_000, 3
PATIENCE = 60                   # seconds of the kernel's time for one filling
LEVELS = (50, 90, 99, 100)
NEW = 600
DEFAULTS = ("nft-defaults", "ipvs-defaults", "ipvs-snat-defaults")
ALL = ("forward", *NATS[:-1], *DEFAULTS, "ours")
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
    rows = {f"pps-{WORDS[n]}": Row(f"packets per second, {WORDS[n]} connections", ("drop", *ALL),
                                   None, "second") for n in SIZES}
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


def settled():
    """The same, when it has stopped growing: what a gone director had is freed late."""
    was = 0
    while (now := free()) > was + (1 << 20):
        was = now
        time.sleep(1)
    return now


def slabs(live):
    """What slabs hold LIVE objects or more: names, and bytes of each."""
    rows = [r.split() for r in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]]
    return ", ".join(f"{int(r[1]) / live:.1f} x {r[0]} of {r[3]}" for r in rows
                     if int(r[1]) > live * 0.9)


def grow(name, done, size):
    """From DONE to SIZE connections; first packets per second."""
    before = director.left()[1]
    to = {"to": RS} if name == "forward" else {}
    up = (*LEARN, "s2c") if name == "flowtable" else ()
    sent = director.send("udp", size - done, "open", *up, first=done, limit=PATIENCE, **to)
    _, packets, ns = sent[0]
    gone = director.left()[1] - before
    if packets < size - done:
        raise peers.Cannot(f"stopped: {done + packets:,} connections in {PATIENCE} s")
    if gone < packets and name != "drop":
        raise peers.Cannot(f"stopped: holds about {done + gone:,} connections")
    return packets * 1e9 / ns


def speed(name, size):
    """Packets per second over SIZE connections."""
    to = {"to": RS} if name == "forward" else {}
    sent = director.send("udp", size, *[f"c2s={COUNT}"] * TRIES, limit=PATIENCE / 6, **to)
    return max(packets * 1e9 / ns for _, packets, ns in sent)


def sizes(name, rows, tell):
    """All rows that a growing number of connections gives."""
    last = max((n for n in SIZES for kind in ("pps", "cps", "bytes")
                if f"{kind}-{WORDS[n]}" in rows), default=0)
    before = [0]
    peers.set_up(name, LIPS, ready=lambda: before.__setitem__(0, settled()))
    done = 0
    for size in (n for n in SIZES if n <= last):
        word = WORDS[size]
        try:
            got = {f"cps-{word}": grow(name, done, size)}
        except peers.Cannot as why:
            for kind in ("cps", "pps", "bytes"):
                tell(f"{kind}-{word}", name, None, str(why))
            return
        done = size
        if f"pps-{word}" in rows:
            got[f"pps-{word}"] = speed(name, size)
        if f"bytes-{word}" in rows:
            got[f"bytes-{word}"] = (before[0] - free()) / size
        for key, value in got.items():
            tell(key, name, value, slabs(size) if key == "bytes-1M" else None)


def ports(name, rows, tell):
    """New connections as the ports of one LIP run out."""
    peers.set_up(name, 1)
    done = 0
    for level in LEVELS:
        upto = PORTS * level // 100 - (0 if level == 100 else NEW)
        director.send("udp", upto - done, "open", first=done, limit=PATIENCE)
        [(_, packets, ns)] = director.send("udp", NEW, "open", first=upto)
        done = upto + NEW
        if f"port-{level}" in rows:
            tell(f"port-{level}", name, packets * 1e9 / ns, None)


def run(rows, columns, tell):
    """Measure ROWS (keys) of COLUMNS; TELL(row, column, figure, note) each."""
    known = table()

    def told(key, column, value, note):
        if key in rows and column in known[key].columns:
            tell(key, column, value, note)
    for column in columns:
        mine = [key for key in rows if column in known[key].columns]
        if any(not key.startswith("port") for key in mine):
            sizes(column, mine, told)
        if any(key.startswith("port") for key in mine):
            ports(column, mine, told)


def machine(share, job):
    """The command that runs JOB where this lens measures."""
    return [lab.TOP / "tests" / "bench" / "uml", share, *job]
