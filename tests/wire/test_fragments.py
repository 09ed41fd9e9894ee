# SPDX-License-Identifier: GPL-2.0
"""Packets that come in fragments: to one server, whole, and cut up again."""

import random

import pytest

from lib import lab
from lib.packet import TCP, UDP, fragments, reassembled

BOTH_FAMILIES = True

DATA = bytes(random.Random(4).randbytes(3000))

both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


def pieces_at(tap, wanted):
    """What comes out of TAP until WANTED bytes of IP payload are there."""
    got = []
    while sum(len(f.payload) for f in got) < wanted:
        f = tap.receive(2 * lab.SLOW)
        assert f, f"only {len(got)} fragments came, of {wanted} bytes"
        got.append(f)
    return got


def cross(flow, sent, pieces, up=True):
    """PIECES of SENT go in; what comes out, once put together, is as it must be."""
    world = flow.world
    here, there = (world.c, world.s) if up else (world.s, world.c)
    with world.counted(reassembled=1, fast_xmit_reject=1):
        for piece in pieces:
            here.send(piece)
        out = pieces_at(there, len(sent.segment()))
    assert len({f.id for f in out}) == 1
    got = reassembled(out)
    if up and not flow.lip:
        flow.lip, flow.lport, flow.rs = got.src, got.sport, got.dst
        flow.shift = (got.seq - sent.seq) % 2**32
    right = (flow.at_server if up else flow.at_client)(sent, id=got.id, df=got.v6)
    assert not got.differences(right), (str(got), got.differences(right))
    return out


ORDERS = {"in order": lambda p: p, "backwards": lambda p: p[::-1],
          "middle last": lambda p: p[:1] + p[2:] + p[1:2]}


@both
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("size", [24, 800, 1440])
def test_both_ways(world, proto, order, size):
    """In any order and size; fragments that leave are no longer than those that came."""
    world.service(proto)
    flow = world.flow(proto).open()
    data = DATA[:size * 3 - 24]
    for up in (True, False):
        if not up and proto == UDP:
            flow.down(payload=b"x")
        sent = (flow.from_client if up else flow.from_server)("A", data)
        out = cross(flow, sent, order(fragments(sent, size)), up)
        assert max(len(f.payload) for f in out) <= size
    world.quiet()


@both
def test_first_packet(world, proto):
    """It opens a connection, and only one."""
    world.service(proto)
    flow = world.flow(proto)
    sent = flow.from_client("S" if proto == TCP else "", DATA)
    cross(flow, sent, fragments(sent, 1000))
    assert flow.state() and len(world.conns()) == 1
    world.quiet()


def test_tiny_first_fragment(world):
    """Not even a TCP header whole: IPv4 allows it, RFC 8200 (4.5) does not."""
    world.service()
    flow = world.tcp().establish()
    sent = flow.from_client("A", DATA[:40])
    if not sent.v6:
        return cross(flow, sent, fragments(sent, 8))
    for piece in fragments(sent, 8):
        world.c.send(piece)
    world.s.silent()


def test_ids_are_fresh(world):
    """Two clients that chose the same one do not mix at the server."""
    world.service(UDP)
    ids = set()
    for client in world.plan.neighbours[:5]:
        flow = world.udp(client=client)
        sent = flow.from_client(payload=DATA)
        pieces = [piece.but(id=77) for piece in fragments(sent, 1000)]
        ids.add(cross(flow, sent, pieces)[0].id)
    assert len(ids) == 5 and ids != {77}


def test_one_is_lost(world):
    """Nothing of it arrives."""
    world.service(UDP)
    flow = world.udp().open()
    first, *_, last = fragments(flow.from_client(payload=DATA), 1000)
    with world.counted():
        world.c.send(first)
        world.c.send(last)
        world.quiet()


def test_twice(world):
    """A fragment that comes again changes nothing."""
    world.service(UDP)
    flow = world.udp().open()
    sent = flow.from_client(payload=DATA)
    pieces = fragments(sent, 1000)
    cross(flow, sent, [pieces[0], pieces[0], *pieces[1:]])
    world.quiet()


def test_corrupt(world):
    """What came corrupt leaves corrupt, by as much."""
    world.service(UDP)
    flow = world.udp().open()
    sent = flow.from_client(payload=DATA, off=5)
    cross(flow, sent, fragments(sent, 1000))


def test_to_a_lip_that_nobody_asked(world):
    """Put together, of no connection: the host's own affair."""
    world.service(UDP)
    flow = world.udp().open()
    stranger = flow.from_server(payload=DATA, dport=(flow.lport + 1) % 65536)
    with world.counted(reassembled=1):
        for piece in fragments(stranger, 1000):
            world.s.send(piece)
    world.c.silent()
