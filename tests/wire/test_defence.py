# SPDX-License-Identifier: GPL-2.0
"""Defences: what is dropped when the operator says so, and that nothing else is."""

import itertools
import pathlib
import time

import pytest

from lib import lab
from lib.packet import UDP, fragments
from world import LIPS, SERVERS, sysctl

A, B, C = SERVERS


def vs(**values):
    for name, value in values.items():
        sysctl(f"net.ipv4.vs.{name}", value)


def mode(name):
    return int(pathlib.Path("/proc/sys/net/ipv4/vs", name).read_text())


def start(world, n, first=40000):
    """How many of N new flows get to a server."""
    before = world.stats()["conns"]
    for i in range(n):
        world.c.send(world.tcp(sport=first + i).from_client("S"))
    world.c.drain()
    world.s.drain()
    return world.stats()["conns"] - before


def thinning(world):
    """Waits until drop_packet is at work; its worker looks when it comes to it."""
    ports = itertools.count(20000)
    lab.wait_until("a first packet is dropped", lambda: start(world, 1, next(ports)) == 0)


def test_drop_packet_always(world):
    """3: one first packet in am_droprate is dropped and counted."""
    world.service()
    vs(am_droprate=4, drop_packet=3)
    thinning(world)
    with world.counted(drop_packet=10):
        assert start(world, 40, 41000) == 30


def test_drop_packet_leaves_connections_alone(world):
    """What is up loses nothing."""
    world.service()
    flow = world.tcp().establish()
    vs(am_droprate=1, drop_packet=3)
    thinning(world)
    for _ in range(5):
        flow.up("PA", b"x")
        flow.down("PA", b"y")
    assert start(world, 5, 41000) == 0


@pytest.mark.parametrize("name", ["drop_entry", "drop_packet", "secure_tcp"])
def test_automatic_follows_memory(world, name):
    """1 becomes 2 while memory is scarce, and 1 again."""
    world.service()
    vs(**{name: 1})
    time.sleep(2.5)     # in which the director has looked twice
    assert mode(name) == 1
    assert start(world, 10) == 10
    vs(amemthresh=2**31 - 1)
    lab.wait_until("memory is found scarce", lambda: mode(name) == 2)
    vs(amemthresh=0)
    lab.wait_until("memory is found sufficient", lambda: mode(name) == 1)
    assert start(world, 10, 41000) == 10


def test_drop_entry_ends_what_is_half_open(world):
    """3: handshakes that hang go, connections that are up stay."""
    world.service()
    flow = world.tcp(sport=30000).establish()
    assert start(world, 200) == 200
    vs(drop_entry=3)
    lab.wait_until("most are gone", lambda: len(world.conns()) < 150, 60, 0.5)
    assert flow.state() == "ESTABLISHED"
    flow.up("PA", b"x")
    assert lab.counters(ns=None)["drop_entry"] > 50


def test_drop_entry_ends_the_templates_of_a_flood(world):
    """Of clients that never were; not those of who was there, though he has gone."""
    world.service(persistent=300)
    sysctl("net.ipv4.vs.timeout_close", 1)
    flow = world.tcp(client="192.0.2.3").establish()
    flow.up("RA")
    for i in range(200):
        world.c.send(world.tcp(client=f"203.0.113.{i}").from_client("S"))

    def listed(state):
        return [c["client"][0] for c in world.conns() if c["state"] == state]
    lab.wait_until("each has its template", lambda: len(listed("NONE")) >= 200)
    vs(drop_entry=3)
    lab.wait_until("most have gone", lambda: len(listed("NONE")) < 100, 60, 0.5)
    assert listed("ASSURED") == ["192.0.2.3"]


def test_secure_tcp_shortens_the_handshake(world):
    """At work, SYN_RECV lasts ten seconds."""
    world.service()
    vs(secure_tcp=3)
    lab.wait_until("it is at work", lambda: (
        start(world, 1), min(c["left"] for c in world.conns()) <= 10)[1])
    vs(secure_tcp=0)
    lab.wait_until("it is at rest", lambda: max(c["left"] for c in world.conns()) > 10)


def test_tcp_drop(world):
    """Ports of a VIP without a service, and strays; by default the stack has them."""
    world.service()
    flow = world.tcp(sport=42000, dport=81)
    sent = world.c.send(flow.from_client("S"))
    world.s.expect(flow.passed_on(sent))
    vs(defence_tcp_drop=1)
    with world.counted(defence_tcp_drop=2):
        world.c.send(flow.from_client("S"))
        world.c.send(world.tcp(sport=43000).from_client("A"))
        world.quiet()
    world.tcp().establish()


def test_udp_drop(world):
    """The same of UDP; a VIP's UDP service goes on."""
    world.service()
    world.service(UDP, lips=LIPS[1:2])
    vs(defence_udp_drop=1)
    with world.counted(defence_udp_drop=1):
        world.c.send(world.udp(dport=5353).from_client(payload=b"x"))
        world.quiet()
    world.udp().open()


def test_fragment_drop(world):
    """Fragments to a VIP, one and all."""
    world.service(UDP)
    pieces = fragments(world.udp().from_client(payload=bytes(1600)), 800)
    vs(defence_frag_drop=1)
    with world.counted(defence_ip_frag_drop=len(pieces)):
        for piece in pieces:
            world.c.send(piece)
        world.quiet()


def test_drops_are_limited_to_vips(world):
    """Traffic to other addresses of and behind the host is none of theirs."""
    world.service()
    vs(defence_tcp_drop=1, defence_udp_drop=1, defence_frag_drop=1)
    flow = world.tcp()
    for frame in (flow.from_client("S").but(dst="198.51.100.9"),
                  world.udp().from_client(payload=b"x").but(dst="198.51.100.9")):
        world.c.send(frame)
        assert world.s.receive().dst == "198.51.100.9"


@pytest.mark.parametrize("weight", [1, 0], ids=["cookie", "refusal"])
def test_nobody_has_us_broadcast(world, weight):
    """A SYN that says to be from all of a network is not answered where answers are routed."""
    vs(synproxy_synack_route=1)
    world.service(servers={A: weight}, synproxy=1)
    world.c.send(world.tcp(client="192.0.2.255").from_client("S"))
    world.quiet()
    assert lab.counters(ns=None)["drop_source"] == 1
