# SPDX-License-Identifier: GPL-2.0
"""Generic netlink by hand: no library between a case and the bytes."""

import os
import socket
import struct

GENERIC = 16                                    # NETLINK_GENERIC
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
REQUEST, MULTI, ACK, DUMP = 0x1, 0x2, 0x4, 0x300
CAPPED, ACK_TLVS = 0x100, 0x200                 # flags of an error message
ERROR, DONE = 2, 3                              # message types
NESTED = 0x8000                                 # bit of an attribute's type

HEADER = struct.Struct("=IHHII")                # length, type, flags, seq, pid
GENL = struct.Struct("=BBH")                    # command, version, reserved


class Refused(Exception):
    """The kernel's answer was an error: its number and, perhaps, its sentence."""

    def __init__(self, errno, sentence):
        super().__init__(f"{os.strerror(errno)}: {sentence!r}")
        self.errno, self.sentence = errno, sentence


# --- attributes ------------------------------------------------------------------

def attr(kind, data=b""):
    """One attribute; an int as DATA is a u32."""
    if isinstance(data, int):
        data = u32(data)
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def nest(kind, *attrs):
    """A nest without NLA_F_NESTED, as stock tools send it."""
    return attr(kind, b"".join(attrs))


def u16(n):
    return struct.pack("=H", n)


def u32(n):
    return struct.pack("=I", n & 0xffffffff)


def be16(n):
    return struct.pack("!H", n)


def string(text):
    return text.encode() + b"\0"


def ip(text, size=16):
    """An address: one of IPv4 in SIZE bytes, one of IPv6 in 16."""
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return socket.inet_aton(text) + bytes(size - 4)


def attrs(data):
    """{type: bytes} of a run of attributes; the last of a type wins."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def number(data):
    """A host-order integer of any size."""
    return int.from_bytes(data, "little" if struct.pack("=H", 1)[0] else "big")


# --- the family ------------------------------------------------------------------

class Family:
    """A generic netlink family of the current network namespace."""

    def __init__(self, name="IPVS"):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
        self.socket.setsockopt(SOL_NETLINK, CAP_ACK, 1)
        self.socket.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        self.socket.settimeout(20)
        self.socket.bind((0, 0))
        self.seq = 0
        self.verdicts = {}                      # by sequence number: errno
        self.type = 0x10                        # GENL_ID_CTRL
        reply = self.request(3, attr(2, string(name)))[0][1]
        self.type = number(reply[1])

    def close(self):
        self.socket.close()

    def request(self, command, data=b"", flags=ACK):
        """Send COMMAND with attributes DATA: [(command, {attribute: bytes})]."""
        return self.send(GENL.pack(command, 1, 0) + data, flags)

    def dump(self, command, data=b""):
        return self.request(command, data, DUMP)

    def post(self, body, flags, length=None):
        """Send BODY behind a header that claims LENGTH bytes (None: the truth).

        Returns its sequence number and waits for nothing; the next request()
        leaves the answer, if there was one, in verdicts.
        """
        self.seq += 1
        true = HEADER.size + len(body)
        self.socket.send(HEADER.pack(true if length is None else length, self.type,
                                     REQUEST | flags, self.seq, 0) + body)
        return self.seq

    def send(self, body, flags):
        """The same, with the answer."""
        return self.answer(self.post(body, flags))

    def answer(self, seq):
        """What the kernel says to the request of number SEQ."""
        replies = []
        while True:
            for kind, mflags, theirs, body in self._messages():
                if kind in (ERROR, DONE):
                    errno, sentence = _verdict(kind, mflags, body)
                    if theirs != seq:
                        self.verdicts[theirs] = errno
                    elif errno:
                        raise Refused(errno, sentence)
                    else:
                        return replies
                elif theirs == seq:
                    replies.append((body[0], attrs(body[GENL.size:])))

    def _messages(self):
        data = self.socket.recv(1 << 18)
        while data:
            size, kind, flags, seq, _ = HEADER.unpack_from(data)
            yield kind, flags, seq, data[HEADER.size:size]
            data = data[(size + 3) & ~3:]


def _verdict(kind, flags, body):
    """The errno (0: success) and the sentence of an answer's last message."""
    errno = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    tlvs = b""
    if flags & ACK_TLVS:
        tlvs = body[4:] if kind == DONE else body[4 + HEADER.size:]
        if kind == ERROR and not flags & CAPPED:
            tlvs = body[4 + struct.unpack_from("=I", body, 4)[0]:]
    return errno, attrs(tlvs).get(1, b"").rstrip(b"\0").decode()
