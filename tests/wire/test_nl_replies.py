# SPDX-License-Identifier: GPL-2.0
"""What the family answers, attribute by attribute, and what it puts up with."""

import socket

import pytest

from abi import (DEL_DEST, DEL_LADDR, DEL_SERVICE, DEST, FULLNAT, GET_CONFIG, GET_DAEMON, GET_DEST,
                 GET_INFO, GET_LADDR, GET_SERVICE, KEY, LADDR, MSS, NEW_DEST, NEW_LADDR,
                 NEW_SERVICE, SACK, SERVICE, SET_CONFIG, SET_DEST, SET_INFO, SET_SERVICE, TTL,
                 WSCALE, ZERO, dest, key, laddr, service, strict)
from lib.netlink import attr, attrs, be16, ip, number, string, u16, u32
from world import LIPS, SERVERS, VIP, sysctl
from world import ip as command


@pytest.fixture
def nl(world):
    world.service()
    family = world.netlink()
    yield family
    family.close()


def nested(replies, kind):
    """The nests of attribute KIND, one for each reply."""
    return [attrs(reply[kind]) for _, reply in replies]


def test_info(nl):
    """Version, table size, and the bits by which tools know what we can do."""
    [(command, info)] = nl.request(GET_INFO)
    assert command == SET_INFO
    assert {k: number(v) for k, v in info.items()} == {1: 0x010201, 2: 1 << 14, 64: 0b11111111}


def test_config(nl):
    """The three timeouts; 0 leaves one as it is."""
    def timeouts():
        [(command, found)] = nl.request(GET_CONFIG)
        assert command == SET_CONFIG
        return [number(found[n]) for n in (4, 5, 6)]
    assert timeouts() == [900, 120, 300]
    nl.request(SET_CONFIG, attr(4, 77) + attr(5, 0))
    nl.request(SET_CONFIG, attr(6, 2147483))
    nl.request(SET_CONFIG)
    assert timeouts() == [77, 120, 2147483]


def check_stats(found, traffic):
    """Both forms hold all ten values, of the right widths, and say TRAFFIC."""
    narrow, wide = attrs(found[10]), attrs(found[12])
    assert {k: len(v) for k, v in narrow.items() if k <= 10} == {
        k: 8 if k in (4, 5) else 4 for k in range(1, 11)}
    assert {k: len(v) for k, v in wide.items() if k <= 10} == dict.fromkeys(range(1, 11), 8)
    for form in (narrow, wide):
        assert [number(form[k]) for k in range(1, 6)] == traffic


def test_service(world, nl):
    """A service, asked for by name and listed; addresses fill sixteen bytes."""
    flow = world.tcp().establish()
    flow.up("PA", b"12345678")
    [(command, _)] = asked = nl.request(GET_SERVICE, key())
    assert command == NEW_SERVICE
    assert nl.dump(GET_SERVICE) == asked == nl.dump(GET_SERVICE, attr(SERVICE))
    [found] = nested(asked, SERVICE)
    assert {k: found[k] for k in (1, 2, 3, 4, 6, 8, 9)} == {
        1: u16(2), 2: u16(6), 3: ip(VIP), 4: be16(80), 6: string("rr"), 8: u32(0), 9: u32(-1)}
    assert found[7] == u32(2) + u32(-1)
    check_stats(found, [1, 3, 1, 40 + 40 + 48, 40])
    nl.request(ZERO, key())
    [found] = nested(nl.dump(GET_SERVICE), SERVICE)
    check_stats(found, [0] * 5)


def test_offer_of_its_own(nl):
    """Only what was said is said back; without it nothing changes, an empty one ends it all."""
    def offer():
        [found] = nested(nl.dump(GET_SERVICE), SERVICE)
        return {k: number(v) for k, v in attrs(found[68]).items()}
    assert offer() == {}
    nl.request(SET_SERVICE, service(offer=attr(MSS, 9000) + attr(SACK, 0) + attr(TTL, 255)))
    assert offer() == {MSS: 9000, SACK: 0, TTL: 255}
    nl.request(SET_SERVICE, service())
    assert offer() == {MSS: 9000, SACK: 0, TTL: 255}
    nl.request(SET_SERVICE, service(offer=attr(WSCALE, 1)))
    assert offer() == {WSCALE: 1}
    nl.request(SET_SERVICE, service(offer=b""))
    assert offer() == {}


def test_dest(world, nl):
    """A real server: FULLNAT for those who ask attribute 64, Masq for all others."""
    world.tcp().establish().down("FA")
    world.tcp(sport=40001).establish()
    [(command, _)] = listed = nl.dump(GET_DEST, key())
    assert command == NEW_DEST
    [found] = nested(listed, DEST)
    assert {k: found[k] for k in (1, 2, 11)} == {1: ip(SERVERS[0]), 2: be16(80), 11: u16(2)}
    assert {k: number(found[k]) for k in (3, 4, 5, 6, 7, 8, 9, 64)} == {
        3: 0, 4: 1, 5: 0, 6: 0, 7: 1, 8: 1, 9: 0, 64: FULLNAT}
    check_stats(found, [2, 4, 3, 160, 120])


def test_laddrs(world, nl):
    """LIPs of a service come with its key; those of the pool with none."""
    nl.request(NEW_LADDR, laddr(LIPS[2], LIPS[3]))
    world.tcp().establish()
    [reply] = nl.dump(GET_LADDR, strict(key()))
    assert attrs(reply[1][SERVICE]) == dict(zip((1, 2, 3, 4), KEY.values()))
    found = attrs(reply[1][LADDR])
    assert (found[1], found[65]) == (ip(LIPS[0]), u16(2))
    assert (number(found[2]), len(found[2]), number(found[3])) == (0, 8, 1)
    pool = nl.dump(GET_LADDR)
    assert [attrs(r[LADDR])[1] for _, r in pool] == [ip(LIPS[2]), ip(LIPS[3])]
    assert all(SERVICE not in r for _, r in pool)


def test_nothing_there(nl):
    """Lists that are empty are not errors."""
    assert nl.dump(GET_DEST, key(port=be16(81))) == []
    assert nl.dump(GET_DAEMON) == []
    assert nl.dump(GET_LADDR) == []


def test_short_addresses(nl):
    """Four bytes of an IPv4 address do, as some tools send them."""
    short = dict(addr=socket.inet_aton("198.51.100.7"))
    nl.request(NEW_SERVICE, service(**short))
    nl.request(NEW_DEST, key(**short) + dest(addr=socket.inet_aton(SERVERS[1])))
    [found] = nested(nl.dump(GET_DEST, key(addr=ip("198.51.100.7"))), DEST)
    assert found[1] == ip(SERVERS[1])


def test_unknown_attributes(nl):
    """Commands that upstream has take what they do not know, at every level."""
    odd = attr(13, b"?") + attr(100, b"?" * 9)
    nl.request(NEW_SERVICE, attr(SERVICE, service(addr=ip("198.51.100.7"))[4:] + odd)
               + attr(50, 1))
    nl.request(NEW_DEST, service() + attr(DEST, dest()[4:] + odd))
    assert len(nl.dump(GET_DEST, key() + attr(50, 1))) == 2


def test_keepalived_repeats_the_service(nl):
    """Of the service in a dest command only the key counts, whatever else it says."""
    sloppy = dict(flags=u32(0) + u32(0), timeout=u32(0), sched=string("lblc"), netmask=u32(0))
    nl.request(NEW_DEST, service(**sloppy) + dest())
    nl.request(SET_DEST, service(**sloppy) + dest(weight=u32(7)))
    assert [number(d[4]) for d in nested(nl.dump(GET_DEST, key()), DEST)] == [1, 7]
    [found] = nested(nl.dump(GET_SERVICE), SERVICE)
    assert found[6] == string("rr")


def test_masq_stands_for_fullnat(nl):
    """It leaves a server what it is; for a new one the operator has to say so."""
    nl.request(SET_DEST, service() + dest(addr=ip(SERVERS[0]), method=u32(0), weight=u32(3)))
    sysctl("net.ipv4.vs.fullnat_masq", 1)
    nl.request(NEW_DEST, service() + dest(method=u32(0)))
    found = nested(nl.dump(GET_DEST, key()), DEST)
    assert [(number(d[4]), number(d[64])) for d in found] == [(3, FULLNAT), (1, FULLNAT)]


def test_port_zero_of_a_server(nl):
    """It stands for the service's own."""
    nl.request(NEW_DEST, service() + dest(port=be16(0)))
    assert [d[2] for d in nested(nl.dump(GET_DEST, key()), DEST)] == [be16(80)] * 2


def test_edit_keeps_what_is_there(world, nl):
    """SET_SERVICE with other options: servers, LIPs and connections stay."""
    flow = world.tcp().establish()
    nl.request(SET_SERVICE, service(sched=string("wlc")))
    assert len(nl.dump(GET_DEST, key())) == len(nl.dump(GET_LADDR, strict(key()))) == 1
    flow.up("PA", b"still here")


def test_long_lists(nl):
    """Lists that fill many messages are whole, and name nobody twice."""
    vips = [ip(f"198.51.101.{n}") for n in range(1, 201)]
    for vip in vips:
        nl.request(NEW_SERVICE, service(addr=vip))
    assert [s[3] for s in nested(nl.dump(GET_SERVICE), SERVICE)] == [ip(VIP), *vips]
    servers = [ip(f"10.10.1.{n}") for n in range(1, 201)]
    for rs in servers:
        nl.request(NEW_DEST, service() + dest(addr=rs))
    assert [d[1] for d in nested(nl.dump(GET_DEST, key()), DEST)] == [ip(SERVERS[0]), *servers]
    nl.request(NEW_LADDR, strict(key()) + laddr("10.97.0.0", "10.97.15.255"))
    lips = [attrs(r[LADDR])[1] for _, r in nl.dump(GET_LADDR, strict(key()))]
    assert len(lips) == len(set(lips)) == 4097


def test_warning(nl):
    """A LIP that is no address of the host is taken; -G lists it."""
    nl.request(NEW_LADDR, strict(key()) + laddr("10.97.0.1"))
    assert len(nl.dump(GET_LADDR, strict(key()))) == 2


def test_server_that_the_host_asks_from_a_lip(world, nl):
    """It is taken, with a warning: the checks of its health may meet the ports of clients."""
    command("route add 10.10.0.9 dev taps src " + LIPS[0])
    done = world.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.10.0.9:80", "-b")
    assert "from a LIP" in done.stdout + done.stderr
    assert "from a LIP" not in str(world.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.10.0.8:80", "-b"))
    assert len(nl.dump(GET_DEST, key())) == 3


def test_lip_that_was_given_up(nl):
    """It is one no more, whoever tidies up later: it may be a VIP, or a server, at once."""
    for _ in range(20):
        nl.request(NEW_LADDR, strict(key()) + laddr("10.97.0.1"))
        nl.request(DEL_LADDR, strict(key()) + laddr("10.97.0.1"))
        nl.request(NEW_SERVICE, service(addr=ip("10.97.0.1")))
        nl.request(DEL_SERVICE, service(addr=ip("10.97.0.1")))
        nl.request(NEW_LADDR, strict(key()) + laddr("10.97.0.2"))
        nl.request(DEL_LADDR, strict(key()) + laddr("10.97.0.2"))
        nl.request(NEW_DEST, service() + dest(addr=ip("10.97.0.2")))
        nl.request(DEL_DEST, service() + dest(addr=ip("10.97.0.2")))
