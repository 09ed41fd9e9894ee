# SPDX-License-Identifier: GPL-2.0
"""Schedulers that send a client, or a VIP, to the same server again."""

from collections import Counter

import pytest

from abi import BY_PORT, FALLBACK
from lib.packet import UDP
from world import SERVERS

A, B, C = SERVERS
CLIENTS = [f"203.0.113.{i}" for i in range(1, 201)]


def server_of(world, client, sport=40000):
    """Where a datagram of CLIENT goes: address and port."""
    world.c.send(world.udp(sport=sport, client=client).from_client(payload=b"x"))
    got = world.s.receive()
    return f"{got.dst}:{got.dport}"


def servers_of(world, clients=tuple(CLIENTS), sport=40000):
    return [server_of(world, client, sport) for client in clients]


def test_dh(world):
    """By destination: one VIP, one server."""
    world.service(UDP, scheduler="dh", servers=(A, B, C))
    assert len(set(servers_of(world, CLIENTS[:20]))) == 1


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_same_client_same_server(world, scheduler):
    """Whatever port it comes from."""
    world.service(UDP, scheduler=scheduler, servers=(A, B, C))
    first = servers_of(world, CLIENTS[:50], 40000)
    assert first == servers_of(world, CLIENTS[:50], 40001)
    assert len(set(first)) == 3


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_port_counts_if_told_so(world, scheduler):
    """sh-port, mh-port: a client's flows are spread."""
    world.service(UDP, scheduler=scheduler, servers=(A, B, C))
    world.edit_service(UDP, scheduler=scheduler, flags=BY_PORT)
    assert f"({scheduler}-port)" in world.ipvsadm("-Ln").stdout
    assert len({server_of(world, CLIENTS[0], sport) for sport in range(40000, 40050)}) == 3


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_by_weight(world, scheduler):
    """Three times the weight, about three times the clients."""
    world.service(UDP, scheduler=scheduler, servers={A: 1, B: 3})
    share = Counter(servers_of(world))[f"{A}:53"] / len(CLIENTS)
    assert 0.15 < share < 0.35, share


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_fallback(world, scheduler):
    """A server that drains refuses its clients, or hands them on if told so."""
    world.service(UDP, scheduler=scheduler, servers=(A, B, C))
    before = dict(zip(CLIENTS[:60], servers_of(world, CLIENTS[:60])))
    theirs = [c for c, rs in before.items() if rs == f"{A}:53"]
    world.edit("-e", A, "-w", 0, proto=UDP)
    with world.counted(conn_sched_unreach=1):
        world.c.send(world.udp(sport=41000, client=theirs[0]).from_client(payload=b"x"))
        world.s.silent()
    world.edit_service(UDP, scheduler=scheduler, flags=FALLBACK)
    after = dict(zip(before, servers_of(world, list(before), 42000)))
    assert f"{A}:53" not in after.values()
    if scheduler == "sh":
        assert all(after[c] == rs for c, rs in before.items() if c not in theirs)


def test_mh_moves_few(world):
    """One of ten servers goes: its clients move, and few others (15 % at most)."""
    world.service(UDP, scheduler="mh", servers=())
    # Upstream hashes address plus port: neighbours in both would coincide.
    ten = [(rs, port) for port in (1000, 2000, 3000, 4000) for rs in SERVERS][:10]
    for rs, port in ten:
        world.edit("-a", rs, proto=UDP, rport=port)
    ten = [f"{rs}:{port}" for rs, port in ten]
    before = servers_of(world)
    assert set(before) == set(ten)
    world.edit("-d", SERVERS[0], proto=UDP, rport=1000)
    after = servers_of(world, sport=40001)
    others = [(was, now) for was, now in zip(before, after) if was != ten[0]]
    moved = sum(was != now for was, now in others)
    print(f"{moved} of {len(others)} other clients moved")
    assert ten[0] not in after
    assert moved <= 0.15 * len(others)
