# SPDX-License-Identifier: GPL-2.0
"""Ten thousand connections at once."""

import time

import pytest

from lib.packet import TCP, UDP, VNET, Frame
from lib.template import Template
from world import LIPS, SERVERS

N, BATCH = 10_000, 200
IP_AT = VNET.size + 14
ADDRESSES, PORTS = IP_AT + 12, IP_AT + 20


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_ten_thousand(world, proto):
    """Through one LIP to two servers: every (LIP, port, server) its own, every reply home."""
    world.service(proto, servers=SERVERS[:2])
    flow = world.tcp() if proto == TCP else world.udp()
    first = flow.from_client("S", b"" if proto == TCP else b"hello", sport=0)
    template = Template(first)
    assert Frame.parse(template.fill(12345)) == first.but(sport=12345)

    began, seen = time.monotonic(), []
    for port in range(20000, 20000 + N, BATCH):
        world.c.send_all([template.fill(port + i) for i in range(BATCH)])
        seen += world.s.drain()
    took = time.monotonic() - began
    print(f"{N} connections in {took:.1f} s")

    assert len(seen) == N
    keys = {(wire[ADDRESSES:ADDRESSES + 8], wire[PORTS:PORTS + 2]) for wire in seen}
    assert len(keys) == N
    for wire in seen[::500]:
        got = Frame.parse(wire)
        assert got.off == 0 and got.ip_off == 0 and got.src == LIPS[0] and got.sport >= 1025

    assert world.lips() == {LIPS[0]: (0, N)}
    assert world.active() == dict.fromkeys(SERVERS[:2], (N // 2, 0))
    assert world.stats()["conns"] == N and len(world.conns()) == N

    # An answer to each of some finds its client.
    for sport, wire in list(enumerate(seen, 20000))[::500]:
        got = Frame.parse(wire)
        flow.sport, flow.lip, flow.lport, flow.rs = sport, got.src, got.sport, got.dst
        flow.shift = (got.seq - flow.next_c) % 2**32
        flow.down("PA", b"answer")
