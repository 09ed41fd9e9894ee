# SPDX-License-Identifier: GPL-2.0
"""fullnat_lookahead: what is seen at netdev ingress changes nothing but the time it takes."""

import pytest

from lib import lab
from lib.packet import TCP, UDP
from test_fwmark import nft
from world import CLIENT_DEV, SERVERS, VIP, World, ip, sysctl

LOOKAHEAD = "net.ipv4.vs.fullnat_lookahead"
N = 4000 // lab.SLOW


@pytest.fixture
def ahead(world):
    """A director that looks ahead."""
    sysctl(LOOKAHEAD, 1)
    return world


def begun(world, proto, sport=40000):
    """A flow whose server has answered."""
    flow = world.flow(proto, sport).open()
    if proto == UDP:
        flow.down(payload=b"answer")
    return flow


def seen():
    return lab.counters(ns=None)["looked_ahead"]


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_on_and_off(world, proto):
    """While it is on all packets to VIP or LIP are seen, and none else."""
    world.service(proto)
    sysctl(LOOKAHEAD, 0)
    begun(world, proto)
    assert seen() == 0
    sysctl(LOOKAHEAD, 1)
    begun(world, proto, 40001)
    assert seen() == (3 if proto == TCP else 2)
    sysctl(LOOKAHEAD, 0)
    begun(world, proto, 40002)
    assert seen() == (3 if proto == TCP else 2)


def looks(world, port=39000):
    """Whether the director saw that a packet of PORT would come."""
    before = seen()
    world.c.send(world.udp(port).from_client("", b"now?"))
    world.s.drain()
    return seen() > before


def test_begins_and_ends_with_the_number_of_connections(world):
    """By itself: from twenty on, until there are fewer than ten."""
    world.service(TCP)
    world.service(UDP)
    world.timeouts(udp=3 * lab.SLOW)
    sysctl(LOOKAHEAD, 20)
    for port in range(40000, 40008):
        begun(world, TCP, port)
    assert not looks(world)                     # the ninth, which stays
    for port in range(41000, 41011):
        begun(world, UDP, port)
    lab.wait_until("it looks ahead", lambda: looks(world), 5, 0.2)
    lab.wait_until("it does not any more", lambda: not looks(world), 15, 0.2)
    assert len(world.conns()) == 9


def test_does_not_go_to_and_fro(world):
    """Once it looks ahead it does so until there are half as many connections."""
    world.service(UDP)
    for port in range(40000, 40020):
        begun(world, UDP, port)
    for number, on in ((0, False), (21, False), (20, True), (21, True), (40, True), (42, False),
                       (40, False)):
        sysctl(LOOKAHEAD, number)
        assert looks(world, 40000) == on, number


def test_device_that_comes_later(ahead):
    """And goes again: from its first packet to its last."""
    ahead.service(UDP)
    late = ahead.tap("late")
    ip(f"link set late address {CLIENT_DEV} up")
    flow = ahead.udp()
    late.send(flow.from_client("", b"by another way"))
    assert ahead.s.receive().payload == b"by another way"
    assert seen() == 1
    ip("link delete late")
    begun(ahead, UDP, 40001)


def test_changed_on_the_way(ahead):
    """A raw table that writes another port sends it to another connection than was seen."""
    ahead.service(UDP)
    flow = begun(ahead, UDP, 41000)
    nft("""table ip raw { chain pre { type filter hook prerouting priority raw;
        udp sport 40000 udp sport set 41000; }; }""")
    ahead.c.send(ahead.udp(40000).from_client("", b"changed"))
    got = ahead.s.receive()
    assert (got.src, got.sport, got.payload) == (flow.lip, flow.lport, b"changed")
    assert len(ahead.conns()) == 1


def test_seen_and_never_come(ahead):
    """What a raw table drops leaves its place to others, more of them than are remembered."""
    ahead.service(UDP)
    flow = begun(ahead, UDP)
    nft("""table ip raw { chain pre { type filter hook prerouting priority raw;
        udp sport 40001 drop; }; }""")
    before = seen()
    for n in (1, 63, 64, 65, 200):
        for _ in range(n):
            ahead.c.send(ahead.udp(40001).from_client("", b"lost"))
        flow.up(payload=b"after them")
    assert seen() == before + 5


def test_namespace_that_goes(ahead):
    """What was seen there and never came is forgotten before its table is."""
    ahead.service(UDP)
    other = World()
    try:
        sysctl(LOOKAHEAD, 1)
        other.service(UDP)
        nft("""table ip raw { chain pre { type filter hook prerouting priority raw; policy drop; }; }""")
        for port in range(40000, 40040):
            other.c.send(other.udp(port).from_client("", b"lost"))
    finally:
        other.close()
    for port in range(50000, 50100):
        begun(ahead, UDP, port)


@pytest.fixture
def nic(ahead):
    """A device whose packets come in lists, if this kernel's build has it."""
    module = lab.MODULE.parent / "kmod" / "bench_nic.ko"
    if not module.exists():
        pytest.skip("bench_nic was not built for this kernel")
    lab.sh("insmod", module)
    ip("link add nic type bench_nic", "link set nic up")
    yield ahead
    ip("link delete nic")
    lab.sh("rmmod", "bench_nic")


def test_lists(nic):
    """Of four thousand connections: each is found, the first time and again, in no order."""
    nic.service(UDP, servers=SERVERS[:2])
    play = f"nic {VIP} 53 0 {N} {{}} 0 60\n"
    for count in (0, 10 * N):
        lab.write("/proc/net/bench_nic", play.format(count))
        nic.s.drain()
    assert len(nic.conns()) == N
    assert nic.stats()["conns"] == N and nic.stats()["inpkts"] == 11 * N
    assert seen() == 11 * N
