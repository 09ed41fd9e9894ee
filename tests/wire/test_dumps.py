# SPDX-License-Identifier: GPL-2.0
"""Dumps of many messages, with changes made between two of them."""

import pytest

from abi import (DEL_DEST, DEL_LADDR, DEST, GET_CONN, GET_DEST, GET_LADDR, GET_SERVICE, LADDR,
                 NEW_DEST, NEW_LADDR, NEW_SERVICE, SERVICE, dest, key, laddr, service, strict)
from lib.netlink import DONE, DUMP, GENL, attrs, be16, ip
from world import VIP

PORTS = range(1000, 1400)


@pytest.fixture
def nl(world):
    """One socket for the dump, one for changes."""
    dump, change = world.netlink(), world.netlink()
    yield dump, change
    dump.close()
    change.close()


def interrupted(dump, command, data, change):
    """The replies of a dump; CHANGE is called after its first message."""
    dump.post(GENL.pack(command, 1, 0) + data, DUMP)
    replies, messages, done = [], 0, False
    while not done:
        for kind, _, _, body in dump._messages():
            done = done or kind == DONE
            if kind != DONE:
                replies.append(attrs(body[GENL.size:]))
        messages += 1
        if messages == 1:
            change()
    assert messages > 3, "a dump of one message shows nothing"
    return replies


def test_dests(world, nl):
    """Servers taken away, shown or not yet, and one that is added: all others come once."""
    dump, change = nl
    world.service(servers=())
    for port in PORTS:
        change.request(NEW_DEST, service() + dest(port=be16(port)))

    def edit():
        for port in (*PORTS[:5], *PORTS[-5:]):
            change.request(DEL_DEST, service() + dest(port=be16(port)))
        change.request(NEW_DEST, service() + dest(port=be16(PORTS[2])))
    shown = [int.from_bytes(attrs(r[DEST])[2], "big")
             for r in interrupted(dump, GET_DEST, key(), edit)]
    assert shown == [*PORTS[:-5], PORTS[2]]


def test_services(world, nl):
    """The same of services."""
    dump, change = nl
    world.service()

    def other(port):
        return service(port=be16(port))
    for port in PORTS:
        change.request(NEW_SERVICE, other(port))

    def edit():
        for port in (*PORTS[:5], *PORTS[-5:]):
            change.request(3, other(port))
        change.request(NEW_SERVICE, other(PORTS[2]))
    shown = [int.from_bytes(attrs(r[SERVICE])[4], "big")
             for r in interrupted(dump, GET_SERVICE, b"", edit)]
    assert shown == [80, *PORTS[:-5], PORTS[2]]


def test_lips(world, nl):
    """The same of LIPs, which are listed by address."""
    dump, change = nl
    world.service(lips=())
    change.request(NEW_LADDR, laddr("10.98.0.0", "10.98.3.255"))

    def edit():
        change.request(DEL_LADDR, laddr("10.98.0.0", "10.98.0.3"))
        change.request(DEL_LADDR, laddr("10.98.3.250"))
        change.request(NEW_LADDR, laddr("10.97.0.1"))
        change.request(NEW_LADDR, laddr("10.99.9.9"))
    shown = [attrs(r[LADDR])[1] for r in interrupted(dump, GET_LADDR, b"", edit)]
    wanted = [ip(f"10.98.{n // 256}.{n % 256}") for n in range(1024)]
    wanted.remove(ip("10.98.3.250"))
    assert shown == [*wanted, ip("10.99.9.9")]


def test_service_deleted_meanwhile(world, nl):
    """A dump of its servers ends there, without an error."""
    dump, change = nl
    world.service(servers=())
    for port in PORTS:
        change.request(NEW_DEST, service() + dest(port=be16(port)))
    dump.post(GENL.pack(GET_DEST, 1, 0) + key(), DUMP)
    first = list(dump._messages())
    change.request(3, key())
    rest = list(dump._messages())
    while rest[-1][0] != DONE:
        rest += dump._messages()
    assert len(first) > 3
    assert rest[-1][3][:4] == bytes(4)


def test_commands_are_not_held_up(world, nl):
    """Between two messages of a dump that nobody reads on, everything can be changed."""
    dump, change = nl
    world.service(servers=())
    for port in PORTS:
        change.request(NEW_DEST, service() + dest(port=be16(port)))
    for command, data in ((GET_DEST, key()), (GET_SERVICE, b""), (GET_CONN, b""),
                          (GET_LADDR, strict(key()))):
        stalled = world.netlink()
        stalled.post(GENL.pack(command, 1, 0) + data, DUMP)
        change.request(DEL_DEST, service() + dest(port=be16(PORTS[0])))
        change.request(NEW_DEST, service() + dest(port=be16(PORTS[0])))
        stalled.close()
    [found] = world.services()
    assert found[3] == ip(VIP)
