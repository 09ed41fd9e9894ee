# SPDX-License-Identifier: GPL-2.0
"""Local ports: every one of them is used, none twice, and what comes after the last."""

import socket

import pytest

from lib import lab
from lib.netlink import ip, number
from lib.packet import ICMP, ICMPV6, TCP, UDP, Frame
from world import LIPS, SERVERS, sysctl

FIRST, N = 2000, 8

both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


@pytest.fixture
def narrow(world):
    """A world in which a LIP has eight ports."""
    sysctl("net.ipv4.vs.fullnat_lport_max", FIRST + N - 1)
    sysctl("net.ipv4.vs.fullnat_lport_min", FIRST)
    return world


def flows(world, proto, n, first=40000):
    """N flows, opened by their first packet."""
    made = [(world.tcp if proto == TCP else world.udp)(sport=first + i) for i in range(n)]
    for flow in made:
        flow.up("S", b"" if proto == TCP else b"hello")
    return made


def refused(world, proto, sport=50000, **fields):
    """A new flow finds no port; its client is told at once."""
    flow = (world.tcp if proto == TCP else world.udp)(sport=sport)
    sent = world.c.send(flow.from_client("S", b"" if proto == TCP else b"hello", **fields))
    told = Frame(smac=sent.dmac, dmac=sent.smac, src=sent.dst, dst=sent.src)
    if proto == TCP:
        told = told.but(sport=80, dport=sport, flags="RA", seq=0, ack=(sent.seq + 1) % 2**32)
    else:
        told = told.but(payload=sent.packet(), **(dict(proto=ICMPV6, type=1, code=4) if sent.v6
                                                  else dict(proto=ICMP, type=3, code=3)))
    world.c.expect(told)
    world.quiet()


def notice(proto):
    return {"refused_rst" if proto == TCP else "sent_icmp": 1}


@both
def test_all_are_used_then_refusal(narrow, proto):
    """Eight flows have eight ports; the ninth is refused, the eight go on."""
    narrow.service(proto)
    with narrow.counted(fullnat_laddr_low=1):
        eight = flows(narrow, proto, N)
    assert {f.lport for f in eight} == set(range(FIRST, FIRST + N))
    with narrow.counted(drop_no_port=1, fullnat_laddr_full=1, **notice(proto)):
        refused(narrow, proto)
    # From now on that is known, and costs no search.
    with narrow.counted(drop_no_port=1, **notice(proto)):
        refused(narrow, proto, sport=50001)
    assert narrow.lips() == {LIPS[0]: (1, N)}
    for flow in eight:
        flow.down("SA", b"" if proto == TCP else b"answer")
    assert len(narrow.conns()) == N
    assert narrow.stats()["conns"] == N


@both
def test_two_lips(narrow, proto):
    """When one LIP is full the other serves, to its last port."""
    narrow.service(proto, lips=LIPS[:2])
    used = {(f.lip, f.lport) for f in flows(narrow, proto, 2 * N)}
    assert used == {(lip, FIRST + i) for lip in LIPS[:2] for i in range(N)}
    refused(narrow, proto)
    assert {lip: conns for lip, (_, conns) in narrow.lips().items()} == dict.fromkeys(LIPS[:2], N)


def test_recovery(narrow):
    """A port that is freed is given out again."""
    narrow.service(UDP)
    narrow.timeouts(udp=3 * lab.SLOW)
    flows(narrow, UDP, N)
    refused(narrow, UDP)
    narrow.wait_gone()
    again = flows(narrow, UDP, N, first=41000)
    assert {f.lport for f in again} == set(range(FIRST, FIRST + N))
    refused(narrow, UDP)


def test_recovery_by_another_lip(narrow):
    """A LIP that is added serves at once those who were refused."""
    narrow.service()
    flows(narrow, TCP, N)
    refused(narrow, TCP)
    narrow.add_lip(LIPS[1])
    assert {f.lip for f in flows(narrow, TCP, N, first=41000)} == {LIPS[1]}


def test_recovery_by_fewer_lips(narrow):
    """A service that loses its full LIPs has those of the pool at once."""
    narrow.service()
    flows(narrow, TCP, N)
    refused(narrow, TCP)
    narrow.add_lip(LIPS[2], None)
    refused(narrow, TCP)
    narrow.delete_lip(LIPS[0])
    assert {f.lip for f in flows(narrow, TCP, N, first=41000)} == {LIPS[2]}


def test_recovery_by_another_server(narrow):
    """Every port serves once more towards a server that is added."""
    narrow.service()
    flows(narrow, TCP, N)
    refused(narrow, TCP)
    narrow.edit("-a", SERVERS[1])
    narrow.edit("-e", SERVERS[0], "-w", 0)
    assert {f.rs for f in flows(narrow, TCP, N, first=41000)} == {SERVERS[1]}


def test_same_port_to_two_servers(narrow):
    """With one port: two flows share it towards two servers, and each hears its own."""
    sysctl("net.ipv4.vs.fullnat_lport_max", FIRST)
    narrow.service(servers=SERVERS[:2])
    one, two = flows(narrow, TCP, 2)
    assert (one.lip, one.lport) == (two.lip, two.lport) == (LIPS[0], FIRST)
    assert {one.rs, two.rs} == set(SERVERS[:2])
    for flow in (one, two, one):
        flow.down("PA", b"to " + str(flow.sport).encode())


def test_same_port_for_both_protocols(narrow):
    """TCP and UDP do not take each other's ports."""
    sysctl("net.ipv4.vs.fullnat_lport_max", FIRST)
    narrow.service(TCP)
    narrow.service(UDP)
    [tcp], [udp] = flows(narrow, TCP, 1), flows(narrow, UDP, 1)
    assert tcp.lport == udp.lport == FIRST
    tcp.down("SA")
    udp.down(payload=b"answer")


def test_reused_port_counts_on(narrow):
    """The next connection from a port begins above where the last one ended."""
    sysctl("net.ipv4.vs.fullnat_lport_max", FIRST)
    narrow.service()
    flow = narrow.tcp().establish()
    for _ in range(3):                          # more than the clock will have passed
        flow.up("PA", seq=flow.next_c + 2**29)
        flow.next_c += 2**29
    end = flow.next_c + flow.shift
    flow.down("RA")
    assert flow.state() == "CLOSE"
    again = narrow.tcp(isn=5)
    got = again.up("S")
    assert got.sport == FIRST
    assert 0 <= (got.seq - end) % 2**32 < 2**31


def test_no_lip(world):
    """A service without a LIP refuses, and says why it did."""
    world.service(lips=())
    with world.counted(drop_no_laddr=1, refused_rst=1):
        refused(world, TCP)


def test_default_pool(world):
    """A LIP of the default pool serves those without one of their own."""
    world.service(lips=())
    world.add_lip(LIPS[3], None)
    assert world.tcp().establish().lip == LIPS[3]
    world.add_lip(LIPS[0])
    assert world.tcp(sport=40001).establish().lip == LIPS[0]


def test_lips_of_two_families_with_one_beginning(world):
    """2001:db8:: begins with the 32 bits that 32.1.13.184 is."""
    for lip in ("32.1.13.184", "2001:db8::"):
        world.add_lip(lip, None)
    assert [(found[1], number(found[65])) for found in world.laddrs()] == [
        (ip("32.1.13.184"), socket.AF_INET), (ip("2001:db8::"), socket.AF_INET6)]


def test_too_many_connections(world):
    """Past conn_max new ones are refused; those that are there go on."""
    sysctl("net.ipv4.vs.conn_max", 0)
    world.service()
    with world.counted(conn_exceeded=1, refused_rst=1):
        refused(world, TCP)
    sysctl("net.ipv4.vs.conn_max", 1000)
    flow = world.tcp().establish()
    sysctl("net.ipv4.vs.conn_max", 0)
    flow.up("PA", b"still here")


def test_refusals_are_limited(world):
    """A flood is not answered packet by packet; every one of them is counted."""
    world.service(servers=())
    flow = world.tcp()
    before = lab.counters(ns=None)
    for at in range(0, 1200, 100):
        world.c.send_all([flow.from_client("S", sport=50000 + at + i).wire()
                          for i in range(100)])
        world.c.drain()
    after = lab.counters(ns=None)
    moved = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    assert moved["conn_sched_unreach"] == 1200
    assert moved["refused_rst"] + moved.get("refused_ratelimit", 0) == 1200
