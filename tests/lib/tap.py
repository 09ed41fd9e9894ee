# SPDX-License-Identifier: GPL-2.0
"""TAP devices: the far end of a cable, with the NIC's own header on each frame.

A frame that is sent has been through the whole kernel when send() returns, so
what it causes can be read at once; waiting is only for what timers cause.
"""

import fcntl
import os
import select
import struct
import time

from lib import lab
from lib.packet import IPV4, IPV6, VNET, Frame

ETHER = 14                      # bytes in front of IP
TUNSETIFF, TUNSETPERSIST, TUNSETOFFLOAD = 0x400454ca, 0x400454cb, 0x400454d0
IFF_TUN, IFF_TAP, IFF_NAPI, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x2, 0x10, 0x1000, 0x4000
F_CSUM, F_TSO = 1, 6            # for offload(); of either family

LONGEST = 65536 + 64


class Tap:
    """A network device of the current namespace, for as long as that, and its wire."""

    kind = IFF_TAP

    def __init__(self, name, log, flags=0):
        self.name, self.log = name, log
        self.heeds = lambda frame: True         # what receive() and its kin do not pass over
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack(
            "16sH22x", name.encode(), self.kind | IFF_NO_PI | IFF_VNET_HDR | flags))
        # It goes with its namespace, both devices at once and nobody waiting for it.
        fcntl.ioctl(self.fd, TUNSETPERSIST, 1)

    def close(self):
        os.close(self.fd)

    def offload(self, flags):
        """What the device leaves to us: F_CSUM, F_TSO (which needs it), or 0."""
        fcntl.ioctl(self.fd, TUNSETOFFLOAD, flags)

    def stripped(self, wire):
        """WIRE as the device takes it."""
        return wire

    def dressed(self, wire):
        """What the device gives, as WIRE."""
        return wire

    def send(self, frame):
        """A Frame, or bytes that begin with the NIC's header; returns FRAME."""
        wire = frame if isinstance(frame, bytes) else frame.wire()
        self.log.append((time.time(), self.name, "<", wire))
        os.write(self.fd, self.stripped(wire))
        return frame

    def send_all(self, wires):
        """Many, unrecorded and as fast as it goes."""
        for wire in wires:
            os.write(self.fd, wire)

    def drain(self):
        """All that has come, as bytes, unrecorded."""
        got = []
        while True:
            try:
                got.append(os.read(self.fd, LONGEST))
            except BlockingIOError:
                return got

    def receive(self, seconds=2.0):
        """The next frame of IP that we heed, or None if none comes within SECONDS."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self.fd], [], [], left)[0]:
                return None
            wire = self.dressed(os.read(self.fd, LONGEST))
            self.log.append((time.time(), self.name, ">", wire))
            frame = Frame.parse(wire)
            if frame and self.heeds(frame):
                return frame

    def expect(self, wanted):
        """The next frame, which is as WANTED in every field, or the case fails."""
        got = self.receive(2 * lab.SLOW)
        if got is None:
            raise AssertionError(f"{self.name}: nothing came; wanted {wanted}")
        if got != wanted:
            raise AssertionError("\n  ".join([f"{self.name}: {got}", *got.differences(wanted)]))
        return got

    def silent(self, seconds=0.02):
        """Fails if anything comes."""
        got = self.receive(seconds)
        if got is not None:
            raise AssertionError(f"{self.name}: wanted nothing, got {got}")


class Tun(Tap):
    """The same for IP alone: MAC addresses are not sent, and come out as nobody's."""

    kind = IFF_TUN

    def stripped(self, wire):
        return wire[:VNET.size] + wire[VNET.size + ETHER:]

    def dressed(self, wire):
        kind = IPV4 if wire[VNET.size] >> 4 == 4 else IPV6
        return wire[:VNET.size] + bytes(12) + struct.pack("!H", kind) + wire[VNET.size:]


def save_pcap(log, path):
    """The frames of LOG, both sides in order, as a capture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as f:
        f.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, LONGEST, 1))
        for when, _, _, wire in log:
            data = wire[VNET.size:]
            f.write(struct.pack("=IIII", int(when), int(when % 1 * 1e6), len(data), len(data)))
            f.write(data)


def story(log):
    """LOG for people: a line and the bytes of each frame."""
    lines = []
    for _, name, arrow, wire in log:
        try:
            text = Frame.parse(wire) or "not IPv4"
        except Exception as err:        # noqa: BLE001 -- whatever the bytes were
            text = f"not understood: {err}"
        lines.append(f"{'sent to' if arrow == '<' else 'seen on'} {name}: {text}")
        data = wire[:VNET.size + 128]
        lines += [f"    {data[i:i + 16].hex(' ')}" for i in range(0, len(data), 16)]
    return "\n".join(lines)
