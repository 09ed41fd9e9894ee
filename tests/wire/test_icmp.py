# SPDX-License-Identifier: GPL-2.0
"""Packets that cannot be passed on: what their sender hears."""

import pytest

from lib.packet import ICMP, TCP, UDP, Frame, reassembled
from world import MACS, SERVERS, VIP, ip

UNREACHABLE, EXCEEDED = 3, 11
QUOTED = 576 - 20 - 8


def error(sent, type_, code=0, info=0):
    """The ICMP error that answers SENT, from the address it was sent to."""
    return Frame(smac=sent.dmac, dmac=sent.smac, src=sent.dst, dst=sent.src, proto=ICMP,
                 type=type_, code=code, info=info, payload=sent.packet()[:QUOTED])


both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


@pytest.fixture
def flow(world, proto):
    world.service(proto)
    return (world.tcp() if proto == TCP else world.udp()).open()


@both
@pytest.mark.parametrize("size", [0, 5, QUOTED - 40, 1400])
def test_ttl_runs_out(world, flow, size):
    """Time exceeded, from the VIP or the LIP, with the packet as it came."""
    for side, make in ((world.c, flow.from_client), (world.s, flow.from_server)):
        with world.counted(drop_ttl=1, sent_icmp=1):
            sent = side.send(make("A", bytes(size), ttl=1))
            side.expect(error(sent, EXCEEDED))
            world.quiet()


def test_ttl_of_a_first_packet(world):
    """A traceroute's SYN: the VIP answers."""
    world.service()
    flow = world.tcp()
    with world.counted(drop_ttl=1, sent_icmp=1):
        sent = world.c.send(flow.from_client("S", ttl=1))
        world.c.expect(error(sent, EXCEEDED))
    world.s.silent()


@both
def test_too_big(world, flow):
    """DF set and longer than the route takes: fragmentation needed, with the MTU."""
    ip("link set taps mtu 1000")
    head = 40 if flow.proto == TCP else 28
    with world.counted(xmit_unexpected_mtu=1, sent_icmp=1):
        sent = world.c.send(flow.from_client("A", bytes(1001 - head)))
        world.c.expect(error(sent, UNREACHABLE, 4, 1000))
        world.quiet()
    with world.counted():
        flow.up("A", bytes(1000 - head))
    ip("link set taps mtu 1500")
    flow.up("A", bytes(1001 - head))


@both
def test_too_big_for_the_client(world, flow):
    """The same towards the server, which hears it from the LIP."""
    ip("link set tapc mtu 900")
    with world.counted(xmit_unexpected_mtu=1, sent_icmp=1):
        sent = world.s.send(flow.from_server("A", bytes(1200)))
        world.s.expect(error(sent, UNREACHABLE, 4, 900))
        world.quiet()


@both
def test_cut_in_two(world, flow):
    """Without DF it leaves in fragments, which make up the translated packet."""
    ip("link set taps mtu 1000")
    with world.counted(fast_xmit_reject=1):
        sent = world.c.send(flow.from_client("A", bytes(range(240)) * 5, df=False))
        pieces = [world.s.receive(), world.s.receive()]
    assert len(pieces[0].payload) <= 980
    whole = reassembled(pieces)
    assert whole == flow.at_server(sent, id=whole.id) and whole.id != sent.id
    world.quiet()


def test_cut_with_options(world):
    """Fragments of a packet with IP options."""
    world.service(UDP)
    flow = world.udp().open()
    ip("link set taps mtu 1000")
    with world.counted(fast_xmit_reject=1):
        sent = world.c.send(flow.from_client(payload=bytes(1200), df=False, ipopt=b"\1" * 4))
        pieces = [world.s.receive(), world.s.receive()]
    whole = reassembled(pieces)
    assert whole.but(ipopt=b"") == flow.at_server(sent, id=whole.id).but(ipopt=b"")


def test_no_route(world):
    """Where to send it is not known: dropped and counted, and well again with a route."""
    world.service()
    flow = world.tcp().establish()
    ip("route del 10.10.0.0/24 dev taps", "route add unreachable 10.10.0.2")
    with world.counted(drop_no_route=1):
        world.c.send(flow.from_client("A"))
        world.quiet()
    ip("route del unreachable 10.10.0.2", "route add 10.10.0.0/24 dev taps")
    flow.up("A")


def test_route_moves(world):
    """A connection follows its route to another neighbour."""
    world.service()
    flow = world.tcp().establish()
    ip(f"route add {SERVERS[0]}/32 via 10.10.0.9 dev taps")
    flow.up("A", arrives=dict(dmac=MACS["10.10.0.9"]))
    ip(f"route del {SERVERS[0]}/32 via 10.10.0.9 dev taps")
    flow.up("A")


def test_device_goes_down(world):
    """A dead device takes the kept route with it; when it is back, so is the flow."""
    world.service()
    flow = world.tcp().establish()
    ip("link set taps down")
    world.c.send(flow.from_client("A"))
    world.c.silent()
    ip("link set taps up", f"neigh replace {SERVERS[0]} lladdr {MACS[SERVERS[0]]} dev taps"
       " nud permanent")
    flow.up("A")
    flow.down("A")


def test_server_on_the_director(world):
    """A real server that is the host itself gets the packet complete."""
    ip("address add 10.10.0.2/32 dev lo")
    world.service()
    flow = world.tcp()
    with world.counted(xmit_local=1):
        sent = world.c.send(flow.from_client("S"))
        # Nobody listens on the port: the host's refusal comes back translated.
        got = world.c.receive()
    assert (got.src, got.sport, got.dst, got.flags) == (VIP, 80, sent.src, "RA")
    assert got.ack == sent.seq + 1
