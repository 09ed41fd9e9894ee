# SPDX-License-Identifier: GPL-2.0
"""One-packet scheduling: each datagram of a client is a question of its own."""

import pytest

from abi import NEW_SERVICE, ONE_PACKET, service
from lib.netlink import u32
from lib.packet import UDP
from world import SERVERS, sysctl

A, B, C = SERVERS


@pytest.fixture
def questions(world):
    """A UDP service with -o and three servers."""
    world.service(UDP, servers=(A, B, C))
    world.edit_service(UDP, flags=ONE_PACKET)
    return world


def ask(world, sport=40000):
    """A datagram from SPORT as a flow of its own."""
    flow = world.udp(sport)
    flow.up(payload=b"question")
    return flow


def test_every_datagram_is_scheduled(questions):
    """From one port, to each server in turn."""
    asked = [ask(questions) for _ in range(6)]
    assert [f.rs for f in asked[:3]] == [f.rs for f in asked[3:]]
    assert {f.rs for f in asked} == {A, B, C}


def test_each_answer_comes_back(questions):
    """In whatever order, to the client, from the VIP."""
    asked = [ask(questions) for _ in range(6)]
    for flow in reversed(asked):
        flow.down(payload=b"answer")


def test_answer_in_parts(questions):
    """What follows an answer at once is part of it; then the port is free again."""
    flow = ask(questions)
    for part in (b"one", b"two", b"three"):
        flow.down(payload=part)
    questions.wait_gone(10)
    questions.s.send(flow.from_server(payload=b"late"))
    questions.c.silent()


def test_unanswered_question_expires(questions):
    """After timeout_onepacket, and not after timeout_udp."""
    sysctl("net.ipv4.vs.timeout_onepacket", 2)
    ask(questions)
    assert [c["state"] for c in questions.conns()] == ["UDP"]
    questions.wait_gone(10)


def test_each_is_listed_and_counted(questions):
    """Questions that wait are connections, one each."""
    for _ in range(5):
        ask(questions)
    assert len(questions.conns()) == 5
    assert questions.stats()["conns"] == 5
    assert sum(active for active, _ in questions.active().values()) == 5


def test_switched_off(questions):
    """-E without it: a client's port is a flow again."""
    ask(questions)
    questions.netlink().request(2, service(proto=b"\x11\0", port=b"\0\x35",
                                           flags=u32(0) + u32(4)))
    flow = questions.udp(41000).open()
    for _ in range(3):
        flow.up(payload=b"more")


def test_not_for_tcp(world):
    """A sentence."""
    with pytest.raises(Exception, match="UDP"):
        world.netlink().request(NEW_SERVICE, service(flags=u32(4) + u32(-1)))
