# SPDX-License-Identifier: GPL-2.0
"""The SYN proxy's server does not answer: another one is asked, then the client is told."""

import pytest

from abi import FULLNAT, MASQ
from lib import lab
from lib.packet import TCP
from proxied import OFFER, Guarded, count
from world import sysctl

BOTH_FAMILIES = True

SCHEDULERS = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo",
              "ovf", "twos"]


class Redialled(Guarded):
    """A flow whose server may be silent."""

    def asked_again(self):
        """The SYN that the next server gets, as the first one got it: its frame."""
        got = self.world.s.receive(4 * lab.SLOW)
        assert got and got.flags == "S", f"nobody else was dialled: {got}"
        assert got.opt == OFFER and got.dst != self.rs
        self.lip, self.lport, self.rs = got.src, got.sport, got.dst
        self.asked = got.seq + 1
        self.shift = (self.asked - self.early[0].seq) % 2**32
        return got

    def told(self):
        """Its client is: nobody answers."""
        got = self.world.c.receive(4 * lab.SLOW)
        assert got and got.flags == "RA", f"no RST: {got}"
        assert got.seq == self.next_s and got.ack == self.early[0].seq
        self.gone()


@pytest.fixture
def guarded(world):
    """Makes a service whose servers are asked once each, and its flows."""
    def serve(servers=2, method=FULLNAT, **more):
        world.service(synproxy=1, servers=world.plan.servers[:servers], method=method, **more)
        return lambda sport=40000, **kw: Redialled(world, TCP, sport, method=method, **kw)
    sysctl("net.ipv4.vs.synproxy_syn_retry", 0)
    sysctl("net.ipv4.vs.timeout_close", 1)
    return serve


def dialled(flow, *early):
    """FLOW, whose client has said EARLY to a server that has yet to answer."""
    flow.syn()
    flow.ack()
    for payload in early:
        flow.more("PA", payload)
    return flow


@pytest.mark.parametrize("method", [FULLNAT, MASQ], ids=["fullnat", "masq"])
def test_another_server(world, guarded, method):
    """It gets the SYN, and all that the client has said; nothing is left with the first."""
    flow = dialled(guarded(method=method)(), b"GET / ", b"HTTP/1.0")
    first = flow.rs
    flow.asked_again()
    flow.answer()
    flow.up("PA", b"more")
    flow.down("PA", b"the answer")
    world.quiet()
    assert flow.state() == "ESTABLISHED" and len(world.conns()) == 1
    assert world.active() == {first: (0, 0), flow.rs: (1, 0)}
    assert count("synproxy_redialled") == 1 and count("synproxy_rs_error") == 1
    assert world.stats()["conns"] == 1
    if method == FULLNAT:
        assert sum(busy for _, busy in world.lips().values()) == 1


def test_client_goes_on_meanwhile(world, guarded):
    """Between two servers, and behind the second SYN: it is kept in order."""
    flow = dialled(guarded()(), b"one")
    flow.asked_again()
    flow.more("PA", b"two")
    flow.answer()
    flow.up("PA", b"three")


def test_first_server_wakes_up(world, guarded):
    """Its late SYN-ACK gets a RST, and the second one's connection does not notice."""
    flow = dialled(guarded()(), b"hello")
    late = flow.from_server("SA", seq=1000, opt=OFFER)
    flow.asked_again()
    world.s.send(late)
    got = world.s.receive(2 * lab.SLOW)
    assert got.flags == "R" and got.seq == late.ack and got.dst == late.src
    flow.answer()


def test_nobody_answers(world, guarded):
    """Two are asked, not the third; then the client hears of it, and nothing is left."""
    flow = dialled(guarded(servers=3)(), b"hello")
    flow.asked_again()
    flow.told()
    world.quiet()
    assert set(world.active().values()) == {(0, 0)}
    assert sum(busy for _, busy in world.lips().values()) == 0


def test_retries_are_each_servers(world, guarded):
    """synproxy_syn_retry counts for the second as for the first."""
    make = guarded()
    sysctl("net.ipv4.vs.synproxy_syn_retry", 1)
    flow = dialled(make())
    for _ in range(2):
        again = world.s.receive(3 * lab.SLOW)
        assert again.flags == "S" and again.dst == flow.rs
        if count("synproxy_redialled") == 0:
            flow.asked_again()
    flow.told()
    assert count("synproxy_rs_error") == 4


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_finds_another(world, guarded, scheduler):
    """Even those for which each client has one server."""
    flow = dialled(guarded(scheduler=scheduler, servers=3)())
    flow.asked_again()
    flow.answer()


def test_none_that_takes_connections(world, guarded):
    """Weight 0 is not asked."""
    flow = dialled(guarded()(), b"hello")
    other = next(rs for rs in world.plan.servers[:2] if rs != flow.rs)
    world.edit("-e", other, "-w", 0)
    flow.told()
    assert count("synproxy_redialled") == 0


def test_persistent_client_moves(world, guarded):
    """It stays with who has answered."""
    make = guarded(persistent=300, mask="255.255.255.255" if world.plan.host == 32 else 128)
    flow = dialled(make(), b"hello")
    first = flow.rs
    flow.asked_again()
    flow.answer()
    for sport in range(40001, 40004):
        other = make(sport)
        other.syn()
        other.ack()
        other.answer()
        assert other.rs == flow.rs != first


def test_persistent_client_with_nowhere_to_go(world, guarded):
    """It comes back to the server that it had."""
    make = guarded(persistent=300, mask="255.255.255.255" if world.plan.host == 32 else 128)
    flow = dialled(make(), b"hello")
    first = flow.rs
    other = next(rs for rs in world.plan.servers[:2] if rs != first)
    world.edit("-e", other, "-w", 0)
    flow.told()
    world.edit("-e", other, "-w", 1)
    assert dialled(make(40001)).rs == first


def test_what_is_held_is_known(world, guarded):
    """What waits for servers counts once, however often they change, and not when it is gone."""
    make = guarded()
    for sport in range(40000, 40004):
        flow = dialled(make(sport), b"one", b"two", b"three")
        flow.asked_again()
        flow.told() if sport % 2 else flow.answer()
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_kib", 8)
    flow = dialled(make(40004), b"one", b"two", b"three")
    assert count("synproxy_synsend_qlen") == 0, "it counts what has gone"
    flow.answer()
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_kib", 0)
    flow = dialled(make(40005))
    world.c.send(flow.from_client("PA", b"early"))
    lab.wait_until("both were counted", lambda: count("synproxy_synsend_qlen") == 2)


@pytest.mark.parametrize("what", ["service", "server"])
def test_removed_meanwhile(world, guarded, what):
    """Of a service that is gone nobody else is asked; one without the first server is."""
    flow = dialled(guarded()(), b"hello")
    if what == "service":
        world.delete_service()
        flow.told()
    else:
        world.edit("-d", flow.rs)
        flow.asked_again()
        flow.answer()


def test_namespace_ends_between_two_servers(world, guarded):
    """Timers that are to ask another server, and those that have: nothing is left behind."""
    make = guarded()
    # Of the first, another server may be asked, and their clients told, before the last.
    world.c.heeds = lambda frame: frame.flags == "SA"
    for sport in range(40000, 40040):
        dialled(make(sport), b"hello")
    lab.wait_until("another is asked", lambda: count("synproxy_redialled") > 0)
