# SPDX-License-Identifier: GPL-2.0
"""Requests with one mistake: the right number, a sentence, and nothing done."""

from errno import EAFNOSUPPORT, EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, ERANGE, ESRCH

import pytest

from abi import (DEL_DAEMON, DEL_DEST, DEL_LADDR, DEL_SERVICE, GET_LADDR, GET_SERVICE, KEY,
                 LADDR, MSS, NEW_DAEMON, NEW_DEST, NEW_LADDR, NEW_SERVICE, OPTIONS, SACK,
                 SET_CONFIG, ROUTE, SET_DEST, SET_SERVICE, TIMESTAMP, TTL, TUNNEL, WSCALE, dest,
                 key, laddr, service, strict)
from lib.netlink import ACK, DUMP, NESTED, Refused, attr, be16, ip, string, u16, u32
from world import LIPS, SERVERS, VIP, World

OTHER = dict(addr=ip("198.51.100.7"))


@pytest.fixture(scope="module")
def configured(loaded):
    """A service with a server and a LIP, for all cases: none may change it."""
    world = World()
    world.service()
    yield world
    world.close()


def services():
    """(name, command, request, errno, a word of the sentence)"""
    def new(name, errno, word, **changes):
        return name, NEW_SERVICE, service(**OTHER | changes), errno, word

    yield new("short ipv6", EINVAL, "too short", af=u16(10), addr=ip(VIP, 4))
    yield new("link-local", EINVAL, "link-local", af=u16(10), addr=b"\xfe\x80" + bytes(13) + b"\1",
              netmask=u32(128))
    yield new("ipv6 netmask", EINVAL, "prefix length", af=u16(10),
              addr=b"\x20\x01" + bytes(13) + b"\1", netmask=u32(129))
    yield new("family 77", EAFNOSUPPORT, "IPv4", af=u16(77))
    yield new("sctp", EOPNOTSUPP, "TCP and UDP", proto=u16(132))
    yield new("fwmark 0", EINVAL, "above 0", fwmark=u32(0))
    for seconds in (0, 2147484):
        yield new(f"persistent for {seconds} s", EINVAL, "1 to 2147483",
                  flags=u32(1) + u32(-1), timeout=u32(seconds))
    yield new("one packet of tcp", EINVAL, "UDP", flags=u32(4) + u32(-1))
    yield new("synproxy 3", EINVAL, "off", synproxy=u32(3))
    yield new("synproxy of udp", EINVAL, "no SYN", proto=u16(17), synproxy=u32(1))
    yield new("offer of udp", EINVAL, "no SYN", proto=u16(17), offer=attr(TTL, 9))
    for what, values in ((MSS, (215, 65536)), (TTL, (0, 256)), (WSCALE, (2,)), (SACK, (2, 2 ** 32 - 1)),
                         (TIMESTAMP, (2,))):
        for value in values:
            yield new(f"offer {what}={value}", EINVAL, "216 to 65535", offer=attr(what, value))
    yield new("established timeout", EINVAL, "2147483", est_timeout=u32(2147484))
    yield new("engine", EOPNOTSUPP, "engine", pe=string("sip"))
    yield new("scheduler", ENOENT, "wlc", sched=string("maglev"))
    yield new("long scheduler", EINVAL, "", sched=string("r" * 16))
    yield new("short flags", EINVAL, "flags", flags=u32(0))
    yield new("long flags", ERANGE, "", flags=bytes(12))
    yield new("port 0", EINVAL, "-p", port=be16(0))
    yield new("short address", EINVAL, "too short", addr=b"\1\2\3")
    yield new("long address", ERANGE, "", addr=bytes(17))
    for addr in ("224.0.0.1", "255.255.255.255", "0.0.0.0"):
        yield new(f"vip {addr}", EINVAL, "unicast", addr=ip(addr))
    yield new("vip is a lip", EBUSY, "is a LIP", addr=ip(LIPS[0]))
    yield "set persistent for 0 s", SET_SERVICE, service(flags=u32(1) + u32(-1)), EINVAL, "1 to"
    yield "set synproxy", SET_SERVICE, service(synproxy=u32(3)), EINVAL, "off"
    yield ("set half an offer", SET_SERVICE, service(offer=attr(MSS, 1400) + attr(TTL, 0)), EINVAL,
           "1 to 255")
    for name in [*KEY, *OPTIONS]:
        yield new(f"without {name}", EINVAL, "", **{name: None})
        yield f"set without {name}", SET_SERVICE, service(**{name: None}), EINVAL, ""
    for command in (NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST,
                    DEL_DEST):
        yield f"{command} without a service", command, dest(), EINVAL, "No service"


def servers():
    """The same."""
    def server(name, errno, word, command=NEW_DEST, **changes):
        return name, command, service() + dest(**changes), errno, word

    yield server("weight -1", ERANGE, "weight", weight=u32(-1))
    yield server("weight 65536", ERANGE, "weight", weight=u32(65536))
    yield server("thresholds", ERANGE, "threshold", upper=u32(1), lower=u32(2))
    yield server("threshold -1", ERANGE, "threshold", upper=u32(-1))
    yield server("set weight -1", ERANGE, "weight", SET_DEST, addr=ip(SERVERS[0]),
                 weight=u32(-1))
    for addr in (VIP, LIPS[0]):
        yield server(f"server {addr}", EINVAL, "not a real server's", addr=ip(addr))
    for addr in ("224.0.0.9", "255.255.255.255", "0.0.0.0"):
        yield server(f"server {addr}", EINVAL, "unicast", addr=ip(addr))
    for number, name in ((1, "local"), (2, "tunnel"), (4, "bypass"), (6, "6")):
        yield server(f"method {name}", EOPNOTSUPP, "-b", method=u32(number))
    yield server("tunnel", EOPNOTSUPP, "Tunnel", method=u32(TUNNEL))
    yield server("port of route", EINVAL, "own port", method=u32(ROUTE), port=be16(81))
    yield server("port of route, set", EINVAL, "own port", SET_DEST, addr=ip(SERVERS[0]),
                 method=u32(ROUTE), port=be16(81))
    yield server("server of ipv6", EINVAL, "family", af=u16(10))
    for name in ("addr", "port", "method", "weight", "upper", "lower"):
        yield server(f"server without {name}", EINVAL, "", **{name: None})
    yield "no server", NEW_DEST, service(), EINVAL, "No real server"


def lips():
    """The same."""
    def lip(name, errno, word, *args, command=NEW_LADDR, **changes):
        return name, command, strict(key()) + laddr(*args, **changes), errno, word

    yield lip("range reversed", EINVAL, "range", LIPS[2], LIPS[1])
    yield lip("range of 4097", EINVAL, "4096", "10.98.0.0", "10.98.16.0")
    yield lip("range over the end", EINVAL, "range", "255.255.255.0", "0.0.0.5")
    for addr in ("224.0.0.1", "255.255.255.255", "10.10.0.255", "0.0.0.0"):
        yield lip(f"lip {addr}", EINVAL, "unicast", addr)
    for addr in ("127.0.0.1", "127.1.2.3"):
        yield lip(f"lip {addr}", EINVAL, "lip", addr)
    yield lip("primary address", EINVAL, "/32", "10.10.0.1")
    yield lip("primary in a range", EINVAL, "/32", "10.9.255.250", "10.10.0.1")
    yield lip("lip is a vip", EBUSY, "is a VIP", VIP)
    yield lip("vip in a range", EBUSY, "is a VIP", "198.51.100.0", "198.51.100.9")
    yield lip("there already", EEXIST, "already", LIPS[0])
    yield lip("one there already", EEXIST, "nothing was added", "10.98.255.250", LIPS[3])
    yield lip("not there", ENOENT, "nothing was removed", LIPS[1], command=DEL_LADDR)
    yield lip("one not there", ENOENT, "nothing was removed", LIPS[0], LIPS[1],
              command=DEL_LADDR)
    yield lip("short lip of ipv6", EINVAL, "too short", af=u16(10))
    yield lip("lip of family 77", EAFNOSUPPORT, "IPv6", af=u16(77))
    yield ("short lip", NEW_LADDR, attr(LADDR | NESTED, attr(1, b"\1\2\3")), EINVAL,
           "too short")
    yield "no lip", NEW_LADDR, strict(key()), EINVAL, "No local address"
    yield "real server in the pool", NEW_LADDR, laddr(SERVERS[0]), EINVAL, "real server"
    yield "not in the pool", DEL_LADDR, laddr(LIPS[0]), ENOENT, "nothing was removed"
    yield "no address", NEW_LADDR, attr(LADDR | NESTED), EINVAL, "missing"
    yield "unflagged lip", NEW_LADDR, attr(LADDR, laddr()[4:]), EINVAL, "NLA_F_NESTED"
    yield "unflagged service", NEW_LADDR, key() + laddr(), EINVAL, "NLA_F_NESTED"
    yield "unknown attribute", NEW_LADDR, laddr() + attr(90, 1), EINVAL, "Unknown attribute"
    yield ("unknown in the nest", NEW_LADDR, attr(LADDR | NESTED, laddr()[4:] + attr(90, 1)),
           EINVAL, "Unknown attribute")


def others():
    """The same."""
    for number in (4, 5, 6):
        yield f"timeout {number}", SET_CONFIG, attr(number, 2147484), EINVAL, "seconds"
    yield "daemon", NEW_DAEMON, b"", EOPNOTSUPP, "sync"
    yield "no daemon", DEL_DAEMON, b"", EOPNOTSUPP, "sync"


@pytest.mark.parametrize("command, request_, errno, word", [
    *(pytest.param(*case, id=name)
      for name, *case in (*services(), *servers(), *lips(), *others())),
    pytest.param(NEW_LADDR, laddr("0.1.2.3"), EINVAL, "lip", id="lip 0.1.2.3"),
    pytest.param(NEW_SERVICE, service(addr=ip("0.1.2.3")), EINVAL, "unicast", id="vip 0.1.2.3")])
def test_mistake(configured, command, request_, errno, word):
    """The errno, a sentence for whoever asked, and everything as it was."""
    before = configured.configuration()
    family = configured.netlink()
    try:
        with pytest.raises(Refused) as answer:
            family.request(command, request_)
    except BaseException:
        configured.flush()                      # it was taken: begin anew for the others
        configured.service()
        raise
    finally:
        family.close()
    assert answer.value.errno == errno
    assert answer.value.sentence and word.lower() in answer.value.sentence.lower()
    assert configured.configuration() == before


@pytest.mark.parametrize("command, request_, errno", [
    (NEW_SERVICE, service(), EEXIST),
    (SET_SERVICE, service(**OTHER), ESRCH),
    (DEL_SERVICE, key(**OTHER), ESRCH),
    (GET_SERVICE, key(**OTHER), ESRCH),
    (NEW_DEST, service() + dest(addr=ip(SERVERS[0])), EEXIST),
    (SET_DEST, service() + dest(), ENOENT),
    (DEL_DEST, service() + dest(), ENOENT),
    (NEW_DEST, service(**OTHER) + dest(), ESRCH),
    (SET_DEST, service(**OTHER) + dest(), ESRCH),
    (DEL_DEST, service(**OTHER) + dest(), ESRCH),
    (NEW_LADDR, strict(key(**OTHER)) + laddr(), ESRCH),
    (DEL_LADDR, strict(key(**OTHER)) + laddr(), ESRCH),
], ids=lambda v: str(v) if isinstance(v, int) else "-")
def test_which_it_is(configured, command, request_, errno):
    """What is there twice or not at all: numbers that tools put into words themselves."""
    before = configured.configuration()
    family = configured.netlink()
    with pytest.raises(Refused) as answer:
        family.request(command, request_)
    family.close()
    assert answer.value.errno == errno
    assert configured.configuration() == before


@pytest.mark.parametrize("command", [0, 14, 21, 63, 67, 255])
@pytest.mark.parametrize("flags", [ACK, DUMP], ids=["do", "dump"])
def test_no_such_command(configured, command, flags):
    """Numbers without a command."""
    family = configured.netlink()
    with pytest.raises(Refused) as answer:
        family.request(command, service(), flags)
    family.close()
    assert answer.value.errno == EOPNOTSUPP


def test_laddrs_of_no_service(configured):
    """A dump says so, too."""
    family = configured.netlink()
    with pytest.raises(Refused) as answer:
        family.dump(GET_LADDR, strict(key(**OTHER)))
    family.close()
    assert answer.value.errno == ESRCH
