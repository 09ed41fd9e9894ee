# SPDX-License-Identifier: GPL-2.0
"""Two sides that only answer each other's ACKs are cut short, and nobody else is."""

import pytest

from lib import lab
from lib.packet import TCP
from proxied import Guarded, count
from world import sysctl

BOTH_FAMILIES = True

FEW = 4             # exchanges a second, which a slow machine does, too
MANY = 40           # more than are ever let pass in a row


@pytest.fixture
def flow(world):
    """One that the SYN proxy has spliced."""
    world.service(synproxy=1)
    return Guarded(world, TCP, 40000).handshake()


def echo(flow, **fields):
    """The client's bare ACK and the server's, which say nothing new; whether they arrived."""
    sent = flow.world.c.send(flow.from_client("A", **fields))
    if flow.world.s.receive(lab.SLOW) != flow.at_server(sent):
        return False
    sent = flow.world.s.send(flow.from_server("A", **fields))
    return flow.world.c.receive(lab.SLOW) == flow.at_client(sent)


def exchanges(flow, **fields):
    """How many of MANY arrived, in a row."""
    return next((n for n in range(MANY) if not echo(flow, **fields)), MANY)


def test_storm_is_cut(world, flow):
    """After some exchanges; what comes next is heard."""
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", FEW)
    assert FEW <= exchanges(flow) < MANY
    assert count("synproxy_ackstorm") == 1
    flow.up("PA", b"hello")
    flow.down("PA", b"hello")
    assert echo(flow)


def test_storm_is_cut_after_a_fin(world, flow):
    """Such as in CLOSE_WAIT."""
    flow.up("FA")
    flow.down("A")
    assert flow.state() == "CLOSE_WAIT"
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", FEW)
    assert FEW <= exchanges(flow) < MANY


def test_threshold(world, flow):
    """synproxy_ack_storm_thresh, 0: none."""
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", 2)
    assert 2 <= exchanges(flow) <= 4
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", 0)
    assert exchanges(flow) == MANY


def test_plain_connections_are_not_looked_at(world):
    """Nothing is counted of those that the SYN proxy has no part in."""
    world.service()
    assert exchanges(world.tcp().establish()) == MANY


def test_duplicate_acks(world, flow):
    """Each answers data, here or there; there may be any number, from both sides."""
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", 1)
    at_c, at_s = flow.next_c, flow.next_s
    flow.down("PA", b"0123456789")
    for _ in range(MANY):
        flow.up("A", ack=at_s)
    for _ in range(MANY):
        flow.down("PA", b"0123456789", seq=at_s + flow.back)
        flow.up("A")
        flow.up("PA", b"0123456789", seq=at_c)
        flow.down("A", ack=at_c + flow.shift)
    assert count("synproxy_ackstorm") == 0


def test_window_updates(world, flow):
    """A reader that goes on opening its window, the other side having nothing to say."""
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", 1)
    for win in range(MANY):
        flow.up("A", win=win)
    for win in range(MANY):
        flow.up("A", win=0x7210 + win)
        flow.down("A", win=0x7210 + win)
    assert count("synproxy_ackstorm") == 0


def test_window_probes(world, flow):
    """However short the first, they back off: within the first second there are a few."""
    flow.up("A", win=0)
    for _ in range(8):
        flow.down("A", seq=flow.next_s + flow.back - 1)
        flow.up("A", win=0)
    assert count("synproxy_ackstorm") == 0


def test_keepalive(world, flow):
    """Once a second, for as long as you like."""
    sysctl("net.ipv4.vs.synproxy_ack_storm_thresh", 1)
    for _ in range(4):
        flow.up("A", seq=flow.next_c - 1)
        flow.down("A")
        world.c.silent(1.1)
    assert count("synproxy_ackstorm") == 0
