# SPDX-License-Identifier: GPL-2.0
"""Frames: built, parsed and compared as one flat record.

Checksums are computed here in full, independently of the kernel. A frame does
not carry its checksum but what that is *off* by (0: right), so a translation
that must keep a corrupt packet exactly as corrupt compares equal field by field.
"""

import dataclasses
import socket
import struct

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
HOPOPT, ROUTING, FRAGMENT, AUTH, DSTOPT = 0, 43, 44, 51, 60
EXTENSIONS = (HOPOPT, ROUTING, FRAGMENT, DSTOPT)
IPV4, IPV6, VLAN = 0x0800, 0x86dd, 0x8100
FLAGS = "FSRPAUEC"              # of TCP, from bit 0 up

# struct virtio_net_hdr, in front of every frame of a TAP with IFF_VNET_HDR.
VNET = struct.Struct("=BBHHHH")
NEEDS_CSUM, DATA_VALID = 1, 2
GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 0, 1, 4


def fold(total):
    """The sum in ones' complement, 16 bits."""
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def ones_sum(data):
    """RFC 1071's sum over DATA, not inverted."""
    if len(data) % 2:
        data += b"\0"
    return fold(sum(struct.unpack(f"!{len(data) // 2}H", data)))


def _off(found, right):
    """What FOUND is off by; 0 where the two mean the same."""
    return fold(found + (~right & 0xffff)) % 0xffff


def mac(text):
    """Six bytes from 02:00:…"""
    return bytes.fromhex(text.replace(":", ""))


@dataclasses.dataclass(frozen=True)
class Frame:
    """An Ethernet frame with IP in it, and what the virtual NIC says about it.

    It is IPv6 if src is; id, df and mf are then of a fragment header, which it has if it
    is a fragment, behind the other extension headers.
    """

    smac: str = "00:00:00:00:00:00"
    dmac: str = "00:00:00:00:00:00"
    vlan: int | None = None
    # IP. Without ports, and in fragments, the payload is all that follows.
    src: str = "0.0.0.0"
    dst: str = "0.0.0.0"
    proto: int = TCP
    ttl: int = 64
    tos: int = 0
    id: int = 0
    df: bool = True
    mf: bool = False
    offset: int = 0             # of a fragment, in bytes
    ipopt: bytes = b""
    ext: tuple = ()             # (type, all behind its first byte) of IPv6
    flow: int = 0               # label, of IPv6
    ip_off: int = 0             # what the header checksum is off by
    # Transport.
    sport: int | None = None
    dport: int | None = None
    seq: int = 0
    ack: int = 0
    flags: str = ""
    win: int = 0
    urg: int = 0
    opt: bytes = b""
    doff: int | None = None     # only if it does not match the options
    type: int | None = None     # ICMP
    code: int = 0
    info: int = 0
    payload: bytes = b""
    off: int | None = 0         # what the checksum is off by; None: UDP without
    # The NIC.
    partial: bool = False       # the checksum is still to be made
    gso: int = 0                # payload of each segment, if it is to be cut up
    valid: bool = dataclasses.field(default=False, compare=False)

    def but(self, **changes):
        """A copy with CHANGES."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        if not copy.__dict__.keys() >= changes.keys():
            raise TypeError(f"a frame has none of {changes.keys() - copy.__dict__.keys()}")
        copy.__dict__.update(changes)
        return copy

    # --- out ---------------------------------------------------------------------

    @property
    def v6(self):
        """Whether it is IPv6."""
        return ":" in self.src

    def _pseudo(self, length):
        if self.v6:
            return ones_sum(socket.inet_pton(socket.AF_INET6, self.src)
                            + socket.inet_pton(socket.AF_INET6, self.dst)
                            + struct.pack("!II", length, self.proto))
        return ones_sum(socket.inet_aton(self.src) + socket.inet_aton(self.dst)
                        + struct.pack("!BBH", 0, self.proto, length))

    def _tcp(self, check=0):
        bits = sum(1 << FLAGS.index(f) for f in self.flags)
        words = 5 + len(self.opt) // 4 if self.doff is None else self.doff
        return struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq, self.ack,
                           words << 4, bits, self.win, check, self.urg) + self.opt + self.payload

    def _udp(self, check=0):
        return struct.pack("!HHHH", self.sport, self.dport, 8 + len(self.payload),
                           check) + self.payload

    def _icmp(self, check=0):
        return struct.pack("!BBHI", self.type, self.code, check, self.info) + self.payload

    def check(self):
        """The right checksum of the segment (for PARTIAL: of its pseudo header)."""
        if self.type is not None:
            icmp = self._icmp()
            pseudo = self._pseudo(len(icmp)) if self.v6 else 0
            return ~fold(pseudo + ones_sum(icmp)) & 0xffff
        segment = self._tcp() if self.proto == TCP else self._udp()
        pseudo = self._pseudo(len(segment))
        if self.partial:
            return pseudo
        sum_ = ~fold(pseudo + ones_sum(segment)) & 0xffff
        return 0xffff if not sum_ and self.proto == UDP else sum_

    def segment(self):
        """What IP carries."""
        if self.type is None and self.sport is None:
            return self.payload
        make = self._icmp if self.type is not None else \
            self._tcp if self.proto == TCP else self._udp
        if self.off is None:
            return make(0)
        return make(fold(self.check() + self.off) if self.off else self.check())

    def _extensions(self):
        """The first next header, and the extension headers."""
        chain = list(self.ext)
        if self.mf or self.offset:
            chain.append((FRAGMENT, struct.pack("!BHI", 0, self.offset | self.mf, self.id)))
        kinds = [kind for kind, _ in chain] + [self.proto]
        return kinds[0], b"".join(bytes([after]) + rest
                                  for after, (_, rest) in zip(kinds[1:], chain))

    def _packet6(self):
        first, extensions = self._extensions()
        body = extensions + self.segment()
        return struct.pack("!IHBB", 6 << 28 | self.tos << 20 | self.flow, len(body), first,
                           self.ttl) + socket.inet_pton(socket.AF_INET6, self.src) \
            + socket.inet_pton(socket.AF_INET6, self.dst) + body

    def packet(self):
        """The IP packet."""
        if self.v6:
            return self._packet6()
        segment = self.segment()
        words = 5 + len(self.ipopt) // 4
        frag = self.df << 14 | self.mf << 13 | self.offset // 8
        head = struct.pack("!BBHHHBBH4s4s", 0x40 | words, self.tos,
                           4 * words + len(segment), self.id, frag, self.ttl, self.proto, 0,
                           socket.inet_aton(self.src), socket.inet_aton(self.dst)) + self.ipopt
        check = fold((~ones_sum(head) & 0xffff) + self.ip_off)
        return head[:10] + struct.pack("!H", check) + head[12:] + segment

    def frame(self):
        """From the MAC addresses on."""
        tag = b"" if self.vlan is None else struct.pack("!HH", VLAN, self.vlan)
        return mac(self.dmac) + mac(self.smac) + tag + struct.pack(
            "!H", IPV6 if self.v6 else IPV4) + self.packet()

    def _places(self):
        """Where the NIC begins to sum, and where in there the sum goes."""
        ip = 40 + len(self._extensions()[1]) if self.v6 else 20 + len(self.ipopt)
        start = 14 + (4 if self.vlan is not None else 0) + ip
        return start, 16 if self.proto == TCP else 6

    def wire(self):
        """What a TAP takes and gives: the NIC's header, then the frame."""
        start, where = self._places() if self.partial else (0, 0)
        hdr_len = start + 20 + len(self.opt) if self.gso else 0
        return VNET.pack((NEEDS_CSUM if self.partial else 0) | (DATA_VALID if self.valid else 0),
                         (GSO_TCPV6 if self.v6 else GSO_TCPV4) if self.gso else GSO_NONE, hdr_len, self.gso,
                         start, where) + self.frame()

    # --- in ----------------------------------------------------------------------

    @classmethod
    def parse(cls, wire):
        """What came out of a TAP; None unless it is IP (and no neighbour discovery)."""
        flags, gso_type, _, gso, start, where = VNET.unpack_from(wire)
        data, at, vlan = wire[VNET.size:], 14, None
        kind = struct.unpack_from("!H", data, 12)[0]
        if kind == VLAN:
            vlan, kind = struct.unpack_from("!HH", data, 14)
            at = 18
        if kind not in (IPV4, IPV6):
            return None
        parse = cls.parse_packet if kind == IPV4 else cls.parse_packet6
        f = parse(data[at:], partial=bool(flags & NEEDS_CSUM))
        if f.v6 and f.type is not None and 130 <= f.type <= 143:
            return None
        f = f.but(dmac=data[:6].hex(":"), smac=data[6:12].hex(":"), vlan=vlan,
                  gso=gso if gso_type else 0, valid=bool(flags & DATA_VALID))
        if f.partial and (start, where) != f._places():
            raise AssertionError(f"sum from {start} to {where}: wrong for {f}")
        return f

    @classmethod
    def parse_packet(cls, data, partial=False):
        """An IP packet."""
        (version, tos, length, id_, frag, ttl, proto, check, src,
         dst) = struct.unpack_from("!BBHHHBBH4s4s", data)
        hlen = (version & 0xf) * 4
        head = data[:10] + b"\0\0" + data[12:hlen]
        f = cls(src=socket.inet_ntoa(src), dst=socket.inet_ntoa(dst), proto=proto, ttl=ttl,
                tos=tos, id=id_, df=bool(frag & 0x4000), mf=bool(frag & 0x2000),
                offset=(frag & 0x1fff) * 8, ipopt=data[20:hlen],
                ip_off=_off(check, ~ones_sum(head) & 0xffff),
                payload=data[hlen:length], partial=partial)
        return f if f.mf or f.offset else f._parse_segment()

    @classmethod
    def parse_packet6(cls, data, partial=False):
        """An IPv6 packet."""
        word, length, kind, ttl = struct.unpack_from("!IHBB", data)
        body, ext, fragment = data[40:40 + length], [], {}
        while kind in EXTENSIONS:
            size = 8 if kind == FRAGMENT else (body[1] + 1) * 8
            if kind == FRAGMENT:
                _, place, id_ = struct.unpack_from("!BHI", body, 1)
                fragment = dict(offset=place & 0xfff8, mf=bool(place & 1), id=id_)
            else:
                ext.append((kind, body[1:size]))
            kind, body = body[0], body[size:]
        f = cls(src=socket.inet_ntop(socket.AF_INET6, data[8:24]),
                dst=socket.inet_ntop(socket.AF_INET6, data[24:40]), proto=kind, ttl=ttl,
                tos=word >> 20 & 0xff, flow=word & 0xfffff, ext=tuple(ext), payload=body,
                partial=partial, **fragment)
        return f if f.mf or f.offset else f._parse_segment()

    def _parse_segment(self):
        data = self.payload
        if self.proto == TCP and len(data) >= 20:
            (sport, dport, seq, ack, doff, bits, win, check,
             urg) = struct.unpack_from("!HHIIBBHHH", data)
            words, hlen = doff >> 4, (doff >> 4) * 4
            sane = 20 <= hlen <= len(data)
            f = self.but(sport=sport, dport=dport, seq=seq, ack=ack, win=win, urg=urg,
                         flags="".join(c for i, c in enumerate(FLAGS) if bits >> i & 1),
                         doff=None if sane else words, opt=data[20:hlen] if sane else b"",
                         payload=data[hlen if sane else 20:])
        elif self.proto == UDP and len(data) >= 8:
            sport, dport, _, check = struct.unpack_from("!HHHH", data)
            f = self.but(sport=sport, dport=dport, payload=data[8:])
        elif self.proto == (ICMPV6 if self.v6 else ICMP) and len(data) >= 8:
            kind, code, check, info = struct.unpack_from("!BBHI", data)
            f = self.but(type=kind, code=code, info=info, payload=data[8:])
        else:
            return self
        if self.proto == UDP and not check and not self.partial:
            return f.but(off=None)
        return f.but(off=_off(check, f.check()))

    # --- for people --------------------------------------------------------------

    def __str__(self):
        ports = (f":{p}" if p is not None else "" for p in (self.sport, self.dport))
        text = f"{self.src}{next(ports)} > {self.dst}{next(ports)}"
        if self.type is not None:
            text += f" ICMP {self.type}/{self.code} info {self.info}"
        elif self.sport is None:
            text += f" protocol {self.proto}"
        elif self.proto == TCP:
            text += f" {self.flags or '-'} seq {self.seq} ack {self.ack} win {self.win}"
            text += f" opt {self.opt.hex()}" if self.opt else ""
        else:
            text += " UDP"
        text += f" len {len(self.payload)} ttl {self.ttl}"
        if self.mf or self.offset:
            text += f" fragment at {self.offset}{'+' if self.mf else ''}"
        for name in ("partial", "gso", "off", "ip_off", "vlan"):
            value = getattr(self, name)
            text += f" {name} {value}" if value or value is None and name == "off" else ""
        return text

    def differences(self, wanted):
        """A line for each field in which this is not as WANTED."""
        pairs = ((f.name, getattr(self, f.name), getattr(wanted, f.name))
                 for f in dataclasses.fields(self) if f.compare)
        return [f"{name} is {got!r}, not {want!r}" for name, got, want in pairs if got != want]


def fragments(frame, size):
    """FRAME in fragments that carry SIZE bytes each (a multiple of 8)."""
    data = frame.segment()
    return [frame.but(sport=None, type=None, off=0, payload=data[at:at + size], df=False,
                      dport=None, seq=0, ack=0, flags="", win=0, opt=b"",
                      offset=at, mf=at + size < len(data))
            for at in range(0, len(data), size)]


def reassembled(frames):
    """The packet whose fragments, in any order, FRAMES are; complete or it fails."""
    frames = sorted(frames, key=lambda f: f.offset)
    data = b""
    for f in frames:
        assert f.offset == len(data) and f.mf == (f is not frames[-1]), f"a hole before {f}"
        data += f.payload
    whole = frames[0].but(mf=False, payload=data)
    parse = Frame.parse_packet6 if whole.v6 else Frame.parse_packet
    return parse(whole.packet()).but(
        smac=whole.smac, dmac=whole.dmac, vlan=whole.vlan)
