# SPDX-License-Identifier: GPL-2.0
"""Requests of the family IPVS, whole unless told otherwise, by their numbers."""

import socket

from addresses import LIPS, PORT, SERVERS, VIP
from lib.netlink import NESTED, attr, be16, ip, nest, number, string, u16, u32
from lib.packet import TCP

(NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST,
 NEW_DAEMON, DEL_DAEMON, GET_DAEMON, SET_CONFIG, GET_CONFIG, SET_INFO, GET_INFO, ZERO, FLUSH,
 NEW_LADDR, DEL_LADDR, GET_LADDR) = range(1, 21)

GET_CONN, CONN = 64, 64
SET_KEY, DEL_KEY, COOKIE_KEY = 65, 66, 65

SERVICE, DEST, DAEMON, TCP_TIMEOUT, FIN_TIMEOUT, UDP_TIMEOUT, LADDR = range(1, 8)

SERVICE_ATTRS = dict(af=1, proto=2, addr=3, port=4, fwmark=5, sched=6, flags=7, timeout=8,
                     netmask=9, pe=11, synproxy=64, est_timeout=65, offer=68)
CONN_ATTRS = dict(af=1, proto=2, caddr=3, cport=4, vaddr=5, vport=6, laddr=7, lport=8, daddr=9,
                  dport=10, fwmark=11)
DEST_ATTRS = dict(addr=1, port=2, method=3, weight=4, upper=5, lower=6, af=11)
LADDR_ATTRS = dict(addr=1, last=64, af=65)

MASQ, TUNNEL, ROUTE, FULLNAT = 0, 2, 3, 5
MSS, WSCALE, SACK, TIMESTAMP, TTL = range(1, 6)             # of an offer
PERSISTENT, ONE_PACKET, FALLBACK, BY_PORT = 1, 4, 8, 16     # flags; the last two of sh and mh


def family(addr):
    """The number of ADDR's family."""
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def named(proto=TCP, vip=VIP, port=None, mark=None):
    """The attributes that name a service: by address and port, or by firewall mark."""
    af = u16(family(vip))
    if mark:
        return dict(af=af, proto=None, addr=None, port=None, fwmark=u32(mark))
    return dict(af=af, proto=u16(proto), addr=ip(vip), port=be16(PORT[proto] if port is None else port))


def options(scheduler="rr", flags=0, persistent=0, mask="255.255.255.255", est_timeout=None,
            synproxy=None, offer=None):
    """Those that say what it does; OFFER: values by MSS, WSCALE and so on."""
    flags |= PERSISTENT if persistent else 0
    return dict(sched=string(scheduler), flags=u32(flags) + u32(-1), timeout=u32(persistent),
                netmask=u32(mask) if isinstance(mask, int) else socket.inet_aton(mask),
                est_timeout=None if est_timeout is None else u32(est_timeout),
                synproxy=None if synproxy is None else u32(synproxy),
                offer=None if offer is None else b"".join(attr(k, v) for k, v in offer.items()))


KEY = named()
OPTIONS = dict(sched=string("rr"), flags=u32(0) + u32(-1), timeout=u32(0), netmask=u32(-1))


def _nest(kind, names, values):
    return nest(kind, *(attr(names[k], v) for k, v in values.items() if v is not None))


def service(**changes):
    """A service's nest, in full; an attribute set to None is left out."""
    return _nest(SERVICE, SERVICE_ATTRS, KEY | OPTIONS | changes)


def key(**changes):
    """Only what names it."""
    return _nest(SERVICE, SERVICE_ATTRS, KEY | changes)


def dest(**changes):
    """A real server's nest, in full."""
    return _nest(DEST, DEST_ATTRS, dict(
        addr=ip(SERVERS[1]), port=be16(80), method=u32(FULLNAT), weight=u32(1), upper=u32(0),
        lower=u32(0), af=u16(2)) | changes)


def strict(data):
    """The nest DATA with NLA_F_NESTED, as commands from 18 up want it."""
    return data[:2] + u16(number(data[2:4]) | NESTED) + data[4:]


def conn(**wanted):
    """A filter of connections: addresses as text, ports as numbers, or bytes."""
    def value(name, v):
        if isinstance(v, bytes):
            return v
        if name == "proto":
            return bytes([v])
        return ip(v, 4) if name.endswith("addr") else be16(v) if name.endswith("port") else u32(v)
    return strict(_nest(CONN, CONN_ATTRS, {k: value(k, v) for k, v in wanted.items()}))


def laddr(addr=LIPS[1], last=None, **changes):
    """A local address's nest, from ADDR to LAST."""
    return strict(_nest(LADDR, LADDR_ATTRS, dict(
        addr=ip(addr, 4), last=last and ip(last, 4), af=u16(family(addr))) | changes))
