# SPDX-License-Identifier: GPL-2.0
"""Links, addresses, neighbours and routes of the current network namespace.

What ip(8) would do, without starting it: on a debug kernel that takes longer
than most cases do. Each function makes a request; apply() has them carried out.
Devices go by their numbers, as socket.if_nametoindex() gives them.
"""

import os
import socket
import struct

from lib.netlink import ACK, ERROR, HEADER, REQUEST, attr, ip

CREATE = 0x600                                  # NLM_F_CREATE, NLM_F_EXCL
NEWLINK, NEWADDR, NEWROUTE, NEWNEIGH = 16, 20, 24, 28
UP, PERMANENT, NODAD = 0x1, 0x80, 0x02          # IFF_UP, NUD_PERMANENT, IFA_F_NODAD
MAIN, BOOT, UNICAST = 254, 3, 1                 # table, protocol and type of a route


def up(dev, mac=None):
    """DEV is up and has MAC, if one is given."""
    return NEWLINK, 0, struct.pack("=BxHiII", 0, 0, dev, UP, UP) + (
        attr(1, bytes.fromhex(mac.replace(":", ""))) if mac else b"")


def address(text, dev):
    """An address with its prefix length on DEV."""
    addr, bits = _prefix(text)
    return NEWADDR, CREATE, struct.pack("=BBBBI", _family(addr), bits, NODAD, 0, dev) + attr(
        2, addr) + attr(1, addr)


def neighbour(host, mac, dev):
    """HOST has MAC, for good."""
    return NEWNEIGH, CREATE, struct.pack(
        "=BxxxiHBB", _family(ip(host, 4)), dev, PERMANENT, 0, 0) + attr(
        1, ip(host, 4)) + attr(2, bytes.fromhex(mac.replace(":", "")))


def route(text, via):
    """A prefix is reached by way of VIA."""
    addr, bits = _prefix(text)
    return NEWROUTE, CREATE, struct.pack(
        "=BBBBBBBBI", _family(addr), bits, 0, 0, MAIN, BOOT, 0, UNICAST, 0) + attr(
        1, addr) + attr(5, ip(via, 4))


def _prefix(text):
    addr, bits = text.split("/")
    return ip(addr, 4), int(bits)


def _family(addr):
    return socket.AF_INET if len(addr) == 4 else socket.AF_INET6


def apply(*requests):
    """Carries them out in their order; the first that is refused is an OSError."""
    message = b""
    for seq, (kind, flags, body) in enumerate(requests, 1):
        flags |= REQUEST | (ACK if seq == len(requests) else 0)
        message += HEADER.pack(HEADER.size + len(body), kind, flags, seq, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.settimeout(20)
        s.send(message)
        while True:
            _, kind, _, seq, _ = HEADER.unpack_from(answer := s.recv(1 << 16))
            errno = -struct.unpack_from("=i", answer, HEADER.size)[0]
            assert kind == ERROR, answer.hex(" ")
            if errno:
                raise OSError(errno, f"request {seq}: {os.strerror(errno)}")
            if seq == len(requests):
                return
