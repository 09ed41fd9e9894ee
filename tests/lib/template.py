# SPDX-License-Identifier: GPL-2.0
"""Many segments or datagrams of one frame, which differ in ports and numbers only.

Building each anew takes longer than most of what the kernel does with it.
"""

import struct

from lib.packet import TCP, VNET, fold


class Template:
    """What FRAME (without IP options) says, but for the fields that fill() is given."""

    def __init__(self, frame):
        self.at = VNET.size + 14 + (40 if frame.v6 else 20)     # of ports and numbers
        self.check_at = self.at + (16 if frame.proto == TCP else 6)
        self.wire = frame.wire()

    def fill(self, sport=0, dport=0, seq=0, ack=0):
        """Its bytes with those of these fields that are not 0; FRAME has 0 there.

        The checksum follows by RFC 1624's rule.
        """
        data = bytearray(self.wire)
        words = sport, dport, seq >> 16, seq & 0xffff, ack >> 16, ack & 0xffff
        for i, word in enumerate(words):
            if word:
                struct.pack_into("!H", data, self.at + 2 * i, word)
        [check] = struct.unpack_from("!H", data, self.check_at)
        struct.pack_into("!H", data, self.check_at,
                         ~fold((~check & 0xffff) + sum(words)) & 0xffff or 0xffff)
        return bytes(data)
