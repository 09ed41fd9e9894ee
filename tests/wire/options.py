# SPDX-License-Identifier: GPL-2.0
"""Options of TCP, as its ends write them."""

import struct

NOP = bytes([1])


def mss(n):
    """Kind 2: the largest segment that its sender takes."""
    return struct.pack("!BBH", 2, 4, n)


def wscale(n):
    """Kind 3, padded in front to a multiple of four."""
    return NOP + bytes([3, 3, n])


def sack(*edges):
    """Kind 5, padded in front to a multiple of four: blocks of two EDGES each."""
    return NOP * 2 + bytes([5, 2 + 4 * len(edges)]) + b"".join(
        struct.pack("!I", e % 2**32) for e in edges)


def stamp(val, ecr=0):
    """Kind 8, as Linux sends it."""
    return NOP * 2 + struct.pack("!BBII", 8, 10, val % 2**32, ecr % 2**32)


SACK_OK = NOP * 2 + bytes([4, 2])
