# SPDX-License-Identifier: GPL-2.0
"""ICMP errors about packets that were translated, and echo to a VIP."""

import pytest

from lib import lab
from lib.packet import ICMP, ICMPV6, TCP, UDP, Frame, fragments, reassembled
from addresses import CLIENT_MAC, IP4, ROUTER_MAC, SERVER_MACS
from test_fragments import cross, pieces_at
from world import CLIENT_DEV, SERVER_DEV, sysctl

BOTH_FAMILIES = True

# What can happen to a packet, as IPv4 and as IPv6 say it.
ERRORS = {"port": (dict(type=3, code=3), dict(type=1, code=4)),
          "host": (dict(type=3, code=1), dict(type=1, code=0)),
          "too big": (dict(type=3, code=4, info=1400), dict(type=2, info=1400)),
          "ttl": (dict(type=11), dict(type=3)),
          "parameter": (dict(type=12, info=0x14000000), dict(type=4, code=1, info=40))}

LENGTHS = 8, 12, 16, 18, 20, 100        # that an error may quote of a transport

both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


@pytest.fixture
def flow(world, proto):
    world.service(proto)
    made = world.flow(proto).open()
    made.down("A", b"answer")
    return made


def report(world, side, quoted, length, what="too big", **fields):
    """An error about QUOTED, of whose transport it has LENGTH bytes, from a router there."""
    v4, v6 = ERRORS[what]
    header = 20 if world.plan is IP4 else 40
    from_client = side is world.c
    return Frame(smac=CLIENT_MAC if from_client else SERVER_MACS[0],
                 dmac=CLIENT_DEV if from_client else SERVER_DEV,
                 src=world.plan.neighbours[0] if from_client else world.plan.router,
                 dst=quoted.src, proto=ICMP if world.plan is IP4 else ICMPV6,
                 payload=quoted.packet()[:max(header + length, 0)],
                 **(v4 if world.plan is IP4 else v6) | fields)


def crosses(world, told, sent, **seen):
    """TOLD, an error about what became of SENT, reaches who sent that, as SEEN, and quotes it."""
    up = told.smac == CLIENT_MAC
    there, here = (world.c, world.s) if up else (world.s, world.c)
    macs = dict(smac=SERVER_DEV, dmac=SERVER_MACS[0]) if up else dict(smac=CLIENT_DEV, dmac=CLIENT_MAC)
    quote = sent.but(ttl=sent.ttl - 1).packet()[:len(told.payload)]
    with world.counted(icmp_translated=1):
        there.send(told)
        here.expect(told.but(ttl=told.ttl - 1, payload=quote, **macs, **seen))
    world.quiet()


def passed_on(world, told):
    """TOLD by the client's side, as it would be without us."""
    world.s.expect(told.but(smac=SERVER_DEV, dmac=ROUTER_MAC, ttl=told.ttl - 1))


@both
@pytest.mark.parametrize("what", ERRORS)
def test_from_the_client_side(world, flow, what):
    """It reaches the server, from the LIP, and speaks of what the server sent."""
    for length in LENGTHS:
        sent = flow.from_server("A", bytes(100))
        told = report(world, world.c, flow.down("A", bytes(100)), length, what)
        crosses(world, told, sent, src=flow.lip, dst=flow.rs)


@both
@pytest.mark.parametrize("what", ERRORS)
def test_from_the_server_side(world, flow, what):
    """It reaches the client, from the VIP, and speaks of what the client sent."""
    for length in LENGTHS:
        sent = flow.from_client("A", bytes(100))
        told = report(world, world.s, flow.up("A", bytes(100)), length, what)
        crosses(world, told, sent, src=flow.vip, dst=flow.client)


@pytest.mark.parametrize("length", [-40, -20, -1, 0, 7])
def test_that_quotes_too_little(world, length):
    """Not ours, for it does not say whose it is."""
    world.service()
    got = world.tcp().establish().down("A", bytes(10))
    told = report(world, world.c, got, length)
    with world.counted():
        world.c.send(told)
        passed_on(world, told)


def test_corrupt(world):
    """It goes no further."""
    world.service()
    got = world.tcp().establish().down("A", bytes(10))
    with world.counted(drop_corrupt=1):
        world.c.send(report(world, world.c, got, 8, off=1))
        world.quiet()


def test_forged(world):
    """About a packet that nobody sent; to another than who sent it; from a LIP."""
    world.service()
    got = world.tcp().establish().down("A", bytes(10))
    for told in (report(world, world.c, got.but(sport=81), 8),
                 report(world, world.c, got, 8).but(
                     dst=world.plan.vip[:-1] + "7", payload=got.packet()[:60])):
        with world.counted():
            world.c.send(told)
            passed_on(world, told)
    with world.counted(drop_source=1):
        world.c.send(report(world, world.c, got, 8).but(src=world.plan.lips[0]))
        world.quiet()


def test_about_the_first_of_fragments(world):
    """A large answer whose pieces were still too large: its server learns of it."""
    world.service(UDP)
    flow = world.udp().open()
    flow.down(payload=b"x")
    sent = flow.from_server(payload=bytes(range(250)) * 10)
    first = cross(flow, sent, fragments(sent, 1000), up=False)[0]
    assert first.mf and not first.offset
    with world.counted(icmp_translated=1):
        world.c.send(report(world, world.c, first, 100 if world.plan is IP4 else 108))
        heard = world.s.receive()
    assert (heard.src, heard.dst) == (flow.lip, flow.rs)
    assert heard.payload[-100:-92] == sent.segment()[:8], "ports and length, as the server sent them"
    with world.counted():               # of a later one nothing says whose it is
        world.c.send(report(world, world.c, first.but(offset=1000), 100))
        assert world.s.receive()


def test_that_came_in_fragments(world):
    """As from beyond a tunnel that is narrow itself; it leaves in such, too."""
    world.service()
    flow = world.tcp().establish()
    sent = flow.from_client("A", bytes(400))
    told = report(world, world.s, flow.up("A", bytes(400)), 300)
    with world.counted(reassembled=1, icmp_translated=1, fast_xmit_reject=1):
        for piece in fragments(told, 200):
            world.s.send(piece)
        out = pieces_at(world.c, len(told.segment()))
    got = reassembled(out)
    quote = sent.but(ttl=sent.ttl - 1).packet()[:len(told.payload)]
    right = told.but(src=flow.vip, dst=flow.client, ttl=told.ttl - 1, payload=quote, id=got.id,
                     df=got.v6, smac=CLIENT_DEV, dmac=CLIENT_MAC)
    assert not got.differences(right), (str(got), got.differences(right))


def test_of_the_host_itself(world):
    """It speaks from a LIP, if that is what its routes say: no server answers ARP or ND."""
    family = "ipv4" if world.plan is IP4 else "ipv6"
    sysctl(f"net.{family}.neigh.taps.retrans_time_ms", 50)
    nobody = world.plan.servers[0][:-1] + "77"
    world.service(UDP, servers=(nobody,))
    flow = world.udp()
    world.s.heeds = lambda frame: frame.proto == UDP
    with world.counted(icmp_translated=1):
        sent = world.c.send(flow.from_client(payload=b"anybody?"))
        told = world.c.receive(5 * lab.SLOW)
    assert told, "the client has not been told"
    assert (told.src, told.dst, told.proto) == (
        flow.vip, flow.client, ICMP if world.plan is IP4 else ICMPV6)
    assert told.payload[-16:] == sent.segment()


def test_from_a_router_without_an_address(world):
    """Of this link: it has but a link-local one, which goes no further."""
    if world.plan is IP4:
        pytest.skip("routers of IPv4 have no such addresses")
    world.service()
    flow = world.tcp().establish()
    sent = flow.from_server("A", bytes(100))
    got = flow.down("A", bytes(100))
    crosses(world, report(world, world.c, got, 100).but(src="fe80::9"), sent, src=flow.lip,
            dst=flow.rs)


def test_flow_lives_on(world):
    """An error is for the ends to judge."""
    world.service()
    flow = world.tcp().establish()
    got = flow.down("A", bytes(10))
    world.c.send(report(world, world.c, got, 8, "port"))
    assert world.s.receive()
    assert flow.state() == "ESTABLISHED"
    flow.up("A", b"on")


def test_ttl_runs_out(world):
    """An error that can go no further makes none of its own."""
    world.service()
    got = world.tcp().establish().down("A", bytes(10))
    with world.counted(drop_ttl=1):
        world.c.send(report(world, world.c, got, 8, ttl=1))
        world.quiet()


# --- echo ------------------------------------------------------------------------

def ping(world, size, **fields):
    v4 = world.plan is IP4
    return Frame(**dict(smac=CLIENT_MAC, dmac=CLIENT_DEV, src=world.plan.client,
                        dst=world.plan.vip, proto=ICMP if v4 else ICMPV6, type=8 if v4 else 128,
                        info=0x12340001, payload=bytes(i % 251 for i in range(size))) | fields)


@pytest.mark.parametrize("size", [0, 1, 56, 1400])
def test_echo_to_a_vip(world, size):
    """Answered if the operator wants it."""
    world.service()
    sent = ping(world, size)
    sysctl("net.ipv4.vs.fullnat_vip_echo", 1)
    with world.counted(vip_echo=1):
        world.c.send(sent)
        got = world.c.receive()
        right = sent.but(smac=CLIENT_DEV, dmac=CLIENT_MAC, src=sent.dst, dst=sent.src,
                         type=0 if world.plan is IP4 else 129, id=got.id, df=got.df)
        assert not got.differences(right), got.differences(right)
    with world.counted(drop_corrupt=1):
        world.c.send(sent.but(off=1))
        world.quiet()
    with world.counted(drop_source=1):
        world.c.send(sent.but(src=world.plan.lips[0]))
        world.quiet()


def test_echo_is_not_ours(world):
    """By default, and to what is no VIP."""
    world.service()
    for switch, dst in ((0, world.plan.vip), (1, world.plan.vip[:-1] + "7")):
        sysctl("net.ipv4.vs.fullnat_vip_echo", switch)
        with world.counted():
            sent = world.c.send(ping(world, 56, dst=dst))
            passed_on(world, sent)
