# SPDX-License-Identifier: GPL-2.0
"""Netlink messages that nobody should send, and from whom nobody should hear."""

import errno
import json
import os
import random

import pytest

from abi import (COOKIE_KEY, DEL_DEST, DEL_LADDR, DEL_SERVICE, FLUSH, GET_CONFIG, GET_CONN,
                 GET_DAEMON, GET_DEST, GET_INFO, GET_LADDR, GET_SERVICE, NEW_DEST, NEW_LADDR,
                 NEW_SERVICE, SERVICE, SET_CONFIG, SET_DEST, SET_INFO, SET_KEY, SET_SERVICE,
                 conn, dest, key, laddr, service, strict)
from lib.netlink import ACK, DUMP, GENL, HEADER, NESTED, Family, Refused, attr, ip
from world import LIPS

COMMANDS = [*range(0, 22), 64, 65, 66, 67, 255]
CHANGING = {NEW_SERVICE, SET_SERVICE, DEL_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, NEW_LADDR,
            DEL_LADDR, SET_KEY}
ONLY_DUMPED = {GET_DEST, GET_DAEMON, GET_LADDR, GET_CONN}
ELSEWHERE = dict(addr=ip("198.51.100.200"))
N = 1000


@pytest.fixture
def nl(world):
    world.service()
    family = world.netlink()
    yield family
    family.close()


def nearly(command):
    """A request that reaches far into COMMAND, and must fail there."""
    return {NEW_SERVICE: service(netmask=None), SET_SERVICE: service(netmask=None),
            DEL_SERVICE: key(**ELSEWHERE), GET_SERVICE: key(), GET_DEST: key(),
            NEW_DEST: service() + dest(upper=None), SET_DEST: service() + dest(upper=None),
            DEL_DEST: service() + dest(), NEW_LADDR: strict(key()) + laddr("224.0.0.1"),
            DEL_LADDR: strict(key()) + laddr(LIPS[1]), GET_LADDR: strict(key()),
            GET_CONN: conn(laddr=LIPS[0], dport=80), SET_KEY: attr(COOKIE_KEY, bytes(15)),
            }.get(command, service(netmask=None) + dest(upper=None) + laddr("224.0.0.1"))


def random_attrs(rnd, depth=0):
    """A few attributes of any type and size, some of them nests."""
    data = b""
    for _ in range(rnd.randrange(6)):
        kind = rnd.choice((rnd.randrange(20), rnd.randrange(1 << 16)))
        if depth < 3 and rnd.random() < 0.5:
            kind = rnd.choice((1, 2, 3, 7, kind)) | rnd.choice((0, NESTED))
            data += attr(kind, random_attrs(rnd, depth + 1))
        else:
            # Never 1 to 16 bytes of an address that might be anyone's.
            data += attr(kind, bytes([0xe0]) * rnd.choice((0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 40)))
    return data


def mangled(rnd, data):
    """DATA with a few bytes changed, cut, doubled or put in."""
    data = bytearray(data)
    for _ in range(rnd.randrange(1, 4)):
        at = rnd.randrange(len(data) + 1)
        match rnd.randrange(5):
            case 0:
                del data[at:]
            case 1:
                data[at:at] = rnd.randbytes(rnd.choice((1, 2, 4, 8)))
            case 2:
                del data[at:at + rnd.choice((1, 2, 4, 8))]
            case 3 if len(data) >= 4:
                at = min(at, len(data) - 1) & ~3
                length = rnd.choice((0, 1, 3, 4, 5, 0xffff, len(data)))
                data[at:at + 2] = length.to_bytes(2, "little")
            case _ if data:
                data[min(at, len(data) - 1)] = rnd.choice((0, 1, 0x7f, 0x80, 0xff))
    return bytes(data)


def settled(nl, seq):
    """What became of message SEQ: an errno, or None if it was not answered."""
    nl.request(GET_INFO)
    return nl.verdicts.pop(seq, None)


@pytest.mark.parametrize("flags", [ACK, DUMP, ACK | DUMP, 0xffff & ~1],
                         ids=["do", "dump", "both", "all"])
def test_no_attributes(world, nl, flags):
    """Every command with nothing to go by."""
    before = world.configuration()
    for command in COMMANDS:
        if command != FLUSH:
            seq = nl.post(GENL.pack(command, 1, 0), flags)
            if settled(nl, seq) == 0:
                assert command not in CHANGING
    assert world.configuration() == before


@pytest.mark.parametrize("kind", ["random", "mangled"])
def test_garbage(world, nl, kind):
    """Thousands of messages, by the same dice each time: refused, and nothing has changed."""
    before = world.configuration()
    rnd, answers = random.Random(f"ipvs-fullnat {kind}"), {}
    for _ in range(N):
        command = rnd.choice([c for c in COMMANDS if c != FLUSH])
        data = random_attrs(rnd) if kind == "random" else mangled(rnd, nearly(command))
        body = GENL.pack(command, rnd.randrange(256), rnd.randrange(1 << 16)) + data
        seq = nl.post(body, rnd.choice((ACK, DUMP, ACK | DUMP)))
        answer = settled(nl, seq)
        answers[answer] = answers.get(answer, 0) + 1
        assert answer or command not in CHANGING, f"{command} took {data.hex(' ')}"
    print(answers)
    assert len(answers) > 4, "dice that reach nothing prove nothing"
    assert world.configuration() == before
    world.tcp().establish()


def test_lengths_that_lie(world, nl):
    """Headers that claim more or less than there is; whole messages cut at every byte."""
    before = world.configuration()
    for command in sorted(CHANGING):
        body = GENL.pack(command, 1, 0) + nearly(command)
        for length in (0, 1, HEADER.size - 1, HEADER.size, HEADER.size + 3, HEADER.size + 5,
                       HEADER.size + len(body) + 4, 1 << 31, (1 << 32) - 1):
            settled(nl, nl.post(body, ACK, length))
        for cut in range(len(body)):
            assert settled(nl, nl.post(body[:cut], ACK)) != 0
    assert world.configuration() == before


def test_deep_nests(nl):
    """Nests within nests within nests."""
    data = b""
    for _ in range(2000):
        data = attr(SERVICE, data)
    for command in CHANGING:
        assert settled(nl, nl.post(GENL.pack(command, 1, 0) + data, ACK))


def test_flush_takes_anything(world, nl):
    """FLUSH is meant, whatever comes with it."""
    nl.request(FLUSH, attr(50, b"garbage"))
    assert world.configuration() == []


def test_many_at_once(world, nl):
    """One datagram that holds a thousand messages."""
    one = HEADER.pack(HEADER.size + GENL.size, nl.type, 1 | ACK, 7, 0) \
        + GENL.pack(NEW_SERVICE, 1, 0)
    nl.socket.send(one * 1000)
    nl.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            try:
                nl.socket.recv(1 << 18)
            except OSError as err:              # more answers than the socket holds
                if err.errno != errno.ENOBUFS:
                    raise
    assert len(world.services()) == 1


def as_nobody(task):
    """What TASK returns in a process without a capability."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        # Never a second pytest, whatever fails here; of nothing no answer is read.
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writer, json.dumps(task()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


@pytest.mark.parametrize("flags", [ACK, DUMP], ids=["do", "dump"])
def test_without_privilege(world, nl, flags):
    """Every command, even one that only looks, is refused to those who may not."""
    def ask():
        family, answers = Family(), {}
        for command in COMMANDS:
            try:
                family.request(command, service() + dest() + laddr(), flags)
                answers[command] = 0
            except Refused as err:
                answers[command] = err.errno
        return answers

    before = world.configuration()
    answers = {int(c): answer for c, answer in as_nobody(ask).items()}
    if flags == DUMP:
        there = {GET_SERVICE, *ONLY_DUMPED}
    else:
        there = set(range(NEW_SERVICE, GET_LADDR + 1)) - {SET_INFO, *ONLY_DUMPED}
    assert {c: answers[c] for c in there} == dict.fromkeys(there, errno.EPERM)
    # Of the others kernels before 6.2 ask for the privilege first, if they know them at all.
    assert {answers[c] for c in COMMANDS if c not in there} <= {errno.EPERM, errno.EOPNOTSUPP}
    assert world.configuration() == before


def test_still_sound(nl):
    """SET_CONFIG with garbage leaves timeouts that are in range."""
    rnd = random.Random("timeouts")
    for _ in range(200):
        data = b"".join(attr(n, rnd.randbytes(rnd.choice((0, 3, 4, 4, 4, 8)))) for n in (4, 5, 6))
        settled(nl, nl.post(GENL.pack(SET_CONFIG, 1, 0) + data, ACK))
    [(_, found)] = nl.request(GET_CONFIG)
    assert all(0 < int.from_bytes(found[n], "little") <= 2147483 for n in (4, 5, 6))
