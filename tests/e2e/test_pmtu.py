# SPDX-License-Identifier: GPL-2.0
"""Paths whose narrowest link is beyond the director, on either side, and large datagrams.

    far ─1300─ mid ── director ── mid ─1300─ far      (one of the two)

Its ends believe in 1500: only ICMP errors that cross the director tell them better.
"""

import pytest

from e2e.conftest import RS1, VIP, datagrams, iperf, service
from e2e.test_ipv6 import LIPS6, SERVERS6, VIP6
from lib import lab

MB = 4
FAR = {4: "203.0.113.2", 6: "2001:db8:fa::2"}
LIPS = {4: "10.99.0.1-10.99.0.4", 6: LIPS6}
VIPS = {4: VIP, 6: VIP6}
NEAR_SERVER = {4: RS1, 6: SERVERS6[0]}

family = pytest.mark.parametrize("family", [4, 6], ids=["ip4", "ip6"])


def ip(ns, *lines):
    lab.sh("ip", "-n", ns, "-batch", "-", stdin="\n".join(lines) + "\n")


@pytest.fixture
def far(director):
    """A host behind a router whose way to it is narrow."""
    for ns in ("mid", "far"):
        lab.sh("ip", "netns", "add", ns)
    lab.sh("ip", "link", "add", "mid", "netns", "director", "type", "veth", "peer", "name", "north",
           "netns", "mid")
    lab.sh("ip", "link", "add", "south", "netns", "mid", "type", "veth", "peer", "name", "eth0",
           "netns", "far")
    ip("director", "link set mid up", "addr add 172.16.9.1/24 dev mid",
       "addr add 2001:db8:9::1/64 dev mid nodad", "route add 203.0.113.0/24 via 172.16.9.2",
       "route add 2001:db8:fa::/64 via 2001:db8:9::2")
    ip("mid", "link set lo up", "link set north up", "link set south up",
       "addr add 172.16.9.2/24 dev north", "addr add 2001:db8:9::2/64 dev north nodad",
       "addr add 203.0.113.1/24 dev south", "addr add 2001:db8:fa::1/64 dev south nodad",
       "route add default via 172.16.9.1", "route add default via 2001:db8:9::1",
       # Narrow one way only: a veth drops, and says nothing, what is too long to receive.
       "route add 203.0.113.2/32 dev south mtu lock 1300",
       "route add 2001:db8:fa::2/128 dev south mtu lock 1300")
    lab.sh("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", ns="mid")
    ip("far", "link set lo up", "link set eth0 up", "addr add 203.0.113.2/24 dev eth0",
       "addr add 2001:db8:fa::2/64 dev eth0 nodad", "route add default via 203.0.113.1",
       "route add default via 2001:db8:fa::1")
    yield
    for ns in ("mid", "far"):
        lab.sh("ip", "netns", "del", ns)
    for host in ("rs1", "client"):
        lab.sh("ip", "route", "flush", "cache", ns=host)
        lab.sh("ip", "-6", "route", "flush", "cache", ns=host)


def serve(version, server, port=5201):
    """TCP and UDP on VIP, to SERVER."""
    bracket = "[{}]" if version == 6 else "{}"
    for kind in ("-t", "-u"):
        service(f"{kind} {bracket.format(VIPS[version])}:{port}",
                f"{bracket.format(server)}:{port}", lips=LIPS[version])


@family
@pytest.mark.parametrize("way", [(), ("-R",)], ids=["up", "down"])
def test_narrow_path_to_the_client(far, family, way):
    """A server that sends too much hears of it."""
    serve(family, NEAR_SERVER[family])
    iperf(VIPS[family], "-n", f"{MB}M", *way, client="far")
    if way:
        assert lab.counters()["icmp_translated"] > 0


@family
@pytest.mark.parametrize("way", [(), ("-R",)], ids=["up", "down"])
def test_narrow_path_to_the_server(far, family, way):
    """A client that sends too much hears of it."""
    serve(family, FAR[family])
    # The server knows the LIPs by its default route.
    iperf(VIPS[family], "-n", f"{MB}M", *way, server="far")
    if not way:
        assert lab.counters()["icmp_translated"] > 0


@family
def test_large_datagrams(director, family):
    """9,000 bytes each, in fragments: none lost, none to another server."""
    serve(family, NEAR_SERVER[family])
    datagrams(VIPS[family], "-b", "4M", "-n", "450K", "-l", "9000")
    assert lab.counters()["reassembled"] >= 50
