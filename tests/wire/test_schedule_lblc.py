# SPDX-License-Identifier: GPL-2.0
"""lblc and lblcr: an address stays with its server, or its few servers, while it can."""

import struct

import pytest

from lib import lab
from lib.packet import VNET, fold
from test_fwmark import mark
from world import SERVERS, sysctl

A, B, C = SERVERS
MARK = 7
both = pytest.mark.parametrize("scheduler", ["lblc", "lblcr"])


@pytest.fixture
def cache(world):
    """Servers for whatever address is asked; start(scheduler, {server: weight})."""
    mark("ip daddr 203.0.113.0/24")

    def start(scheduler, servers):
        world.service(mark=MARK, scheduler=scheduler, servers=servers)
    yield start


def weigh(world, server, weight):
    world.edit("-e", server, "-w", weight, mark=MARK)


class Asker:
    """Flows to addresses behind the mark, each from a port of its own."""

    def __init__(self, world):
        self.world, self.port = world, 40000

    def __call__(self, address):
        """The server that a new flow to ADDRESS gets."""
        self.port += 1
        return self.world.tcp(sport=self.port, vip=address).establish().rs


@pytest.fixture
def ask(world):
    return Asker(world)


@both
def test_an_address_has_its_server(cache, ask, scheduler):
    """New addresses go to the least loaded; known ones to where they were."""
    cache(scheduler, {A: 100, B: 100, C: 100})
    first = {f"203.0.113.{i}": ask(f"203.0.113.{i}") for i in range(1, 7)}
    assert sorted(first.values()) == [A, A, B, B, C, C]
    for _ in range(3):
        assert {a: ask(a) for a in first} == first


@both
def test_a_server_that_drains_or_goes(world, cache, ask, scheduler):
    """Its addresses move, once."""
    cache(scheduler, {A: 100, B: 100})
    rs = ask("203.0.113.1")
    other = B if rs == A else A
    weigh(world, rs, 0)
    assert [ask("203.0.113.1") for _ in range(3)] == [other] * 3
    weigh(world, rs, 100)
    if scheduler == "lblc":
        assert ask("203.0.113.1") == other
    world.edit("-d", other, mark=MARK)
    assert ask("203.0.113.1") == rs


ENTRIES = 16384


def one_of_each(flow, count):
    """The flow's first packet, to COUNT addresses from 203.0.0.0 on."""
    head, body = VNET.size + 14, bytearray(flow.from_client(payload=b"x").wire())
    body[head + 26:head + 28] = b"\0\0"         # no UDP checksum
    for n in range(count):
        body[head + 10:head + 12] = b"\0\0"
        body[head + 16:head + 20] = bytes([203, 0, n >> 8, n & 255])
        struct.pack_into("!H", body, head + 10,
                         ~fold(sum(struct.unpack_from("!10H", body, head))) & 0xffff)
        yield bytes(body)


def test_memory_is_not_without_end(world, ask):
    """More addresses than it has room for go where there is least to do, each time."""
    mark("ip daddr 203.0.0.0/16")
    world.service(mark=MARK, scheduler="lblc", servers={A: 65535, B: 65535})
    known = ask("203.0.255.1")
    world.c.send_all(one_of_each(world.udp(), ENTRIES - 1))
    world.s.drain()
    assert len(world.conns()) == ENTRIES
    assert {ask("203.0.255.1") for _ in range(4)} == {known}
    assert {ask("203.0.255.2") for _ in range(10)} == {A, B}


def test_lblc_leaves_an_overloaded_server(cache, ask):
    """More than its weight, and another less than half full: the address moves."""
    cache("lblc", {A: 2, B: 8})
    asked = [ask("203.0.113.1") for _ in range(12)]
    moved = [i for i in range(1, 12) if asked[i] != asked[i - 1]]
    assert len(moved) <= 3 and set(asked) == {A, B}
    assert asked.count(B) > asked.count(A)


def test_lblcr_spreads_a_busy_address(cache, ask):
    """A set grows by a server when its servers are overloaded; then the least loaded is next."""
    cache("lblcr", {A: 2, B: 2, C: 2})
    assert {ask("203.0.113.1") for _ in range(12)} == {A, B, C}


def test_lblcr_set_shrinks(world, cache, ask):
    """A set that has not changed for lblcr_expiration loses its most loaded server."""
    cache("lblcr", {A: 2, B: 2, C: 2})
    assert {ask("203.0.113.1") for _ in range(12)} == {A, B, C}
    for server in SERVERS:
        weigh(world, server, 1000)
    sysctl("net.ipv4.vs.lblcr_expiration", 1)
    lab.wait_until("only one is asked", lambda: len({ask("203.0.113.1") for _ in range(4)}) == 1,
                   30, 0.5)


@both
def test_by_address_of_a_service(world, scheduler):
    """An ordinary service has one address: all go to one server until it is full."""
    world.service(scheduler=scheduler, servers={A: 100, B: 100})
    assert len({world.tcp(sport=40000 + i).establish().rs for i in range(6)}) == 1


@both
def test_memory_goes_with_the_scheduler(world, cache, ask, scheduler):
    """Another scheduler, and back: addresses are scheduled afresh; servers are let go."""
    cache(scheduler, {A: 100, B: 100})
    ask("203.0.113.1")
    world.edit_service(mark=MARK, scheduler="rr")
    assert {ask("203.0.113.1"), ask("203.0.113.1")} == {A, B}
    world.edit_service(mark=MARK, scheduler=scheduler)
    assert len({ask("203.0.113.1") for _ in range(3)}) == 1
