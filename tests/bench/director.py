# SPDX-License-Identifier: GPL-2.0
"""The director that clients and servers are played around.

    sender: v0 ── c0 director s0 ── v1 :sender

Between veths gen.c plays them, and what the director sends dies in a counting
drop at the egress of c0 or s0, so that nobody receives it. Or c0 and s0 are
devices of kmod/bench_nic.c, which plays clients itself, and there is no sender.
Clients are 100.64.0.0/10, behind a gateway at c0.
"""

import contextlib
import ctypes
import os
import pathlib
import re

from lib import lab

GEN = lab.TOP / "build" / "bench" / "gen"
VIP, RS = "198.51.100.1", "10.10.0.2"
TOUCHED = """table netdev bench {
    chain c0 { type filter hook egress device c0 priority 0; counter drop; }
    chain s0 { type filter hook egress device s0 priority 0; counter drop; }
}"""
OPEN = "!ip netns exec director nft insert rule netdev bench s0 accept"
CLOSE = ("!ip netns exec director sh -c 'nft delete rule netdev bench s0 handle"
         " $(nft -a list chain netdev bench s0 | sed -n \"s/.*accept # handle //p\")'")
# See what servers get of each flow: needs a packet to reach v1.
LEARN = (OPEN, "learn", CLOSE)


def lips(count):
    """The first COUNT local addresses: less than 250 to each 10.99.x."""
    return [f"10.99.{i // 250}.{i % 250 + 1}" for i in range(count)]


def modprobe(*words, check=True):
    """modprobe, from where the running kernel's modules are (FNAT_MODULES)."""
    return lab.sh("modprobe", "-d", os.environ.get("FNAT_MODULES", "/"), *words, check=check)


def insmod(name, **params):
    """Insert a module of kmod/ afresh."""
    lab.sh("rmmod", name, check=False)
    lab.sh("insmod", lab.MODULE.parent / "kmod" / f"{name}.ko",
           *(f"{k}={v}" for k, v in params.items()))


def veths():
    """c0 and s0, and at their other ends the namespace of the sender."""
    namespace("sender")
    for i, dev in enumerate(("c0", "s0")):
        lab.sh("ip", "link", "add", dev, "netns", "director", "address", f"02:00:00:00:00:c{i}",
               "type", "veth", "peer", "name", f"v{i}", "netns", "sender",
               "address", f"02:00:00:00:00:a{i}")
        lab.sh("ip", "-n", "sender", "link", "set", f"v{i}", "up")
    nft(TOUCHED)


def nics():
    """c0 and s0, which play and swallow (bench_nic is loaded)."""
    for dev in ("c0", "s0"):
        lab.sh("ip", "link", "add", dev, "netns", "director", "type", "bench_nic")


def namespace(ns):
    """A fresh one called NS, in which nothing but us says a word."""
    lab.sh("ip", "netns", "del", ns, check=False)
    lab.sh("ip", "netns", "add", ns)
    lab.sh("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
           "net.ipv6.conf.default.disable_ipv6=1", ns=ns)
    lab.sh("ip", "-n", ns, "link", "set", "lo", "up")


def make(local=1, link=veths):
    """A director with LOCAL local addresses, its devices by LINK; what was there is gone."""
    namespace("director")
    link()
    lines = [f"addr add {a}/32 dev lo" for a in [VIP, *lips(local)]]
    for i, (dev, net) in enumerate((("c0", "100.64.0.0/10"), ("s0", "10.10.0.0/16"))):
        lines += [f"addr add 172.16.{i}.1/24 dev {dev}", f"link set {dev} up",
                  f"neigh add 172.16.{i}.2 lladdr 02:00:00:00:00:a{i} dev {dev} nud permanent",
                  f"route add {net} via 172.16.{i}.2 dev {dev}"]
    lab.sh("ip", "-n", "director", "-batch", "-", stdin="\n".join(lines))
    lab.sh("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
           *(f"net.ipv4.conf.{dev}.{what}=0" for dev in ("c0", "s0")
             for what in ("rp_filter", "send_redirects")), ns="director")


def nft(rules):
    """Load RULES in the director."""
    lab.sh("nft", "-f", "-", ns="director", stdin=rules)


def left():
    """Packets that have left the director by (c0, s0)."""
    said = lab.out("nft", "list", "table", "netdev", "bench", ns="director")
    return tuple(map(int, re.findall(r"counter packets (\d+)", said)))


def send(proto, flows, *phases, first=0, to=VIP, port=80, limit=None, timeout=600):
    """Run gen; [(phase, packets, nanoseconds)] in the order of PHASES."""
    words = ["-d", to, "-p", port] + (["-t", limit] if limit else [])
    said = lab.out(GEN, *words, proto, first, flows, *phases, ns="sender", timeout=timeout)
    rows = [line.split() for line in said.splitlines()]
    return [(name, int(packets), int(ns)) for name, packets, ns in rows]


def write(path, value):
    """Write VALUE to PATH, a knob of the kernel, if it is there."""
    path = pathlib.Path(path)
    if path.exists():
        path.write_text(f"{value}\n")


@contextlib.contextmanager
def entered(ns="director"):
    """This process is in network namespace NS meanwhile."""
    libc, newnet = ctypes.CDLL(None, use_errno=True), 0x40000000
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{ns}") as there:
        if libc.setns(there.fileno(), newnet):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), newnet)
