# SPDX-License-Identifier: GPL-2.0
"""A table that is far too small: every row of it is full, and chains hang there."""

import pytest

from lib import lab
from lib.packet import TCP, UDP, Frame
from lib.template import Template

BOTH_FAMILIES = True

N, BATCH = (500 if lab.SLOW == 1 else 200), 50
SPORTS = list(range(20000, 20000 + N))
SHORT, LONG = 2 + lab.SLOW, 300         # s; as in test_expiry, and what no case takes


@pytest.fixture(scope="module", autouse=True)
def tiny(loaded):
    """Tables of some buckets; and afterwards those that the other files' cases expect."""
    lab.reload(lab.TINY)
    yield
    lab.reload(lab.SMALL)


def exchange(from_tap, wires, to_tap):
    """WIRES are sent, few enough at a time; the segments and datagrams that arrive."""
    seen = []
    for i in range(0, len(wires), BATCH):
        from_tap.send_all(wires[i:i + BATCH])
        seen += filter(None, map(Frame.parse, to_tap.drain()))
    return seen


class Crowd:
    """N flows of PROTO, a client's port each, to one server through one LIP."""

    def __init__(self, world, proto):
        world.service(proto)
        flow = world.flow(proto)
        self.world = world
        self.up = Template(flow.from_client("S", b"" if proto == TCP else b"hello", sport=0))
        self.down = None
        self.flow = flow

    def send(self, sports=SPORTS):
        """The clients at SPORTS send; the ports by which the server sees them."""
        seen = exchange(self.world.c, [self.up.fill(sport) for sport in sports], self.world.s)
        assert len(seen) == len(sports)
        if not self.down:
            self.flow.lip, self.flow.lport, self.flow.rs = seen[0].src, 0, seen[0].dst
            self.down = Template(self.flow.from_server("SA", b"" if self.flow.proto == TCP else
                                                       b"hello"))
        return {got.sport for got in seen}

    def answer(self, lports):
        """The server answers at LPORTS; the ports of the clients that hear of it."""
        return {got.dport for got in exchange(
            self.world.s, [self.down.fill(dport=lport) for lport in lports], self.world.c)}

    def meet(self, lports):
        """Every flow is found by its packets of either side: LPORTS are what it has."""
        assert self.send() == lports
        assert self.answer(lports) == set(SPORTS)


def keys(world, proto):
    found = [c["client"] for c in world.conns() if c["proto"] == proto]
    assert len(found) == len(set(found)), "a connection twice"
    return found


def test_crowded(world):
    """Half of what stands in each row goes, before and behind the rest, and comes again."""
    world.timeouts(udp=SHORT)
    tcp, udp = Crowd(world, TCP), Crowd(world, UDP)
    lports = {tcp: set(), udp: set()}
    for i in range(0, N, BATCH):
        for crowd in (tcp, udp):
            lports[crowd] |= crowd.send(SPORTS[i:i + BATCH])
    assert len(lports[tcp]) == len(lports[udp]) == N
    tcp.meet(lports[tcp])
    assert len(keys(world, "TCP")) == N

    lab.wait_until("UDP has gone", lambda: not keys(world, "UDP"), 30)
    tcp.meet(lports[tcp])
    assert len(world.conns()) == N

    world.timeouts(udp=LONG)
    udp.meet(udp.send())
    tcp.meet(lports[tcp])
    assert len(keys(world, "TCP")) == N and len(keys(world, "UDP")) == N


def test_replaced(world):
    """A connection that a client opens anew takes the place of the old one, wherever that is."""
    crowd = Crowd(world, TCP)
    lports = crowd.send()
    for sport in range(40000, 40020):
        world.tcp(sport=sport).establish().up("RA")
        anew = world.tcp(sport=sport, isn=0x30000000, server_isn=0x50000000).establish()
        anew.down("PA", b"answer")
        assert anew.state() == "ESTABLISHED"
    assert len(world.conns()) == N + 20
    crowd.meet(lports)
