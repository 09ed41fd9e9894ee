# SPDX-License-Identifier: GPL-2.0
"""Packets that nobody meant to send: flows, errors and fragments with a few bytes changed.

Nothing is expected of what becomes of them; the kernel has to bear them, and the director
to work as before. Each run says the number that makes it again.
"""

import contextlib
import os
import random
import struct

from addresses import IP4
from lib import lab
from lib.packet import DSTOPT, HOPOPT, ICMP, ICMPV6, TCP, UDP, VNET, fragments
from lib.template import Template
from proxied import OFFER, Guarded
from world import sysctl

BOTH_FAMILIES = "always"

COUNT = int(os.environ.get("FNAT_MUTATIONS", 50_000 if lab.SLOW > 1 else 10_000))
# Packets of handshakes wait for each other: where nobody says how many, fewer.
HANDSHAKES = int(os.environ.get("FNAT_MUTATIONS", 2_500 if lab.SLOW > 1 else 1_000))
STEP = 50_000                   # after so many it says how far it is
SEED = int(os.environ.get("FNAT_SEED", random.SystemRandom().randrange(1 << 32)))

PAD = bytes([1, 4, 0, 0, 0, 0])
OPTIONS = (b"", b"\x02\x04\x05\xb4", b"\x01\x01\x05\x0a" + bytes(8), b"\x03\x03\x07\x00",
           b"\x08\x0a" + bytes(8) + b"\x01\x01", b"\x05\x22" + bytes(32) + b"\x01\x01")


def error_about(sent, quoted):
    """An ICMP error about QUOTED to who sent it, by the way that SENT came."""
    v6 = sent.v6
    return sent.but(dst=quoted.src, proto=ICMPV6 if v6 else ICMP, type=2 if v6 else 3,
                    code=0 if v6 else 4, info=1400, sport=None, dport=None, seq=0, ack=0,
                    flags="", win=0, opt=b"", payload=quoted.packet()[:80])


def originals(world):
    """(TAP, wire) of every kind of packet that the director looks into, whole."""
    found = []
    for proto in (TCP, UDP):
        world.service(proto)
        flow = world.flow(proto).open()
        flow.down("A", b"answer")
        for tap, other, make, follow in ((world.c, world.s, flow.from_client, flow.up),
                                         (world.s, world.c, flow.from_server, flow.down)):
            flags = ("S", "SA", "A", "PA", "FA", "R", "RA") if proto == TCP else ("",)
            sent = [make(f, b"data" * 10, **({"opt": o} if proto == TCP else {}))
                    for f in flags for o in OPTIONS]
            sent += fragments(make("A", bytes(600)), 200)
            if world.plan is not IP4:
                sent += [make("A", b"x", ext=((HOPOPT, bytes([0]) + PAD), (DSTOPT, bytes([0]) + PAD)))]
            back = follow("A", b"to be quoted")
            found += [(tap, frame.wire()) for frame in sent]
            other_side = (flow.from_server if tap is world.c else flow.from_client)("A")
            found.append((other, error_about(other_side, back).wire()))
    return found


def mutate(rng, wire):
    """WIRE with a few changes behind its Ethernet header; sometimes in the NIC's, too."""
    data = bytearray(wire)
    first = VNET.size + 14
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(first, len(data))
        how = rng.randrange(5)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        elif how == 2:
            del data[rng.randrange(first + 1, len(data) + 1):]
            if len(data) <= first:
                break
        elif how == 3:
            data += rng.randbytes(rng.randrange(1, 64))
        else:
            struct.pack_into("!H", data, min(at, len(data) - 2), rng.choice((0, 1, 0xffff)))
    return bytes(data)


def repaired(wire):
    """WIRE with a right IPv4 header checksum, or ip_rcv() would see most of them off."""
    data, at = bytearray(wire), VNET.size + 14
    size = (data[at] & 15) * 4 if len(data) > at else 0
    if data[at - 2:at] != b"\x08\x00" or not 20 <= size <= len(data) - at:
        return wire
    data[at + 10:at + 12] = b"\0\0"
    total = sum(struct.unpack(f"!{size // 2}H", data[at:at + size]))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    struct.pack_into("!H", data, at + 10, ~total & 0xffff)
    return bytes(data)


def forget_mutants(world):
    """From here on what still ends of them passes unheeded: reassembly by ICMP, flows by RST."""
    for tap in (world.c, world.s):
        tap.drain()
        tap.heeds = lambda frame: frame.proto == TCP and "R" not in frame.flags


def test_mutated_packets(world, capfd):
    """The kernel bears them all, and a new flow works afterwards."""
    def tell(n):
        with capfd.disabled():
            print(f"mutated: {n} of {COUNT} packets, FNAT_SEED={SEED}", flush=True)

    tell(0)
    rng = random.Random(SEED)
    world.timeouts(tcp=5, fin=2, udp=5)
    packets, came = originals(world), 0
    for n in range(COUNT):
        tap, wire = rng.choice(packets)
        try:
            tap.send_all([repaired(mutate(rng, wire))])
        except OSError:         # the TAP itself will not have it
            continue
        if n and n % STEP == 0:
            tell(n)
        if n % 64 == 0:
            came += len(world.c.drain()) + len(world.s.drain())
    came += len(world.c.drain()) + len(world.s.drain())
    counted = {k: v for k, v in lab.counters(ns=None).items() if v}
    lab.figure(f"mutated: {COUNT} packets, {came} went on, of seed {SEED}; counted: {counted}")
    assert came > COUNT / 100, "next to nothing went through: the mutants are too wild"
    forget_mutants(world)
    flow = world.tcp(sport=50001).establish()
    flow.up("PA", b"as ever")
    flow.down("PA", b"as ever")


class Gambler:
    """Sends packets of handshakes, every other one with a few bytes changed."""

    def __init__(self, world, rng):
        self.world, self.rng, self.sent = world, rng, 0
        flow = Guarded(world, TCP, 0, isn=0, server_isn=0)
        flow.lip, flow.lport, flow.rs = world.plan.lips[0], 0, world.plan.servers[0]

        def client(flags, data=b"", **fields):
            return Template(flow.from_client(flags, data, **fields))

        def server(flags):
            return Template(flow.from_server(flags, seq=0, ack=0, opt=OFFER))

        self.syns = [client("S", opt=(OFFER + opt)[:40]) for opt in OPTIONS]
        self.acks = [(client(*said), len(said[-1])) for said in
                     (("A", b""), ("PA", b"early"), ("FA", b""), ("FPA", b"bye"))]
        self.answers = [server(flags) for flags in ("SA", "SA", "SA", "RA", "A", "R")]
        self.ends = [client(flags, b"more") for flags in ("A", "RA")]
        self.at = self.syns[0].at

    def send(self, tap, wire):
        """{flags: ports and numbers} of what came of WIRE, or of a mutant, on either cable."""
        if self.rng.random() < 0.5:
            wire = repaired(mutate(self.rng, wire))
        with contextlib.suppress(OSError):
            tap.send_all([wire])
        self.sent += 1
        return {got[self.at + 13]: struct.unpack_from("!HHII", got, self.at)
                for got in self.world.c.drain() + self.world.s.drain()
                if len(got) >= self.at + 20}

    def handshake(self, sport):
        """One client's try with the SYN proxy: each step as far as the one before came."""
        rng = self.rng
        synack = self.send(self.world.c, rng.choice(self.syns).fill(sport)).get(0x12)
        if not synack:
            return
        seq, ack, called = synack[3], synack[2] + 1 & 0xffffffff, None
        segment, length = rng.choice(self.acks)
        for _ in range(rng.choice((1, 1, 2, 5))):
            came = self.send(self.world.c, segment.fill(sport, seq=seq, ack=ack))
            called = came.get(0x02, called)
            seq += length
        if not called:
            return
        lport, _, first, _ = called
        for _ in range(rng.choice((1, 1, 2))):
            self.send(self.world.s, rng.choice(self.answers).fill(
                dport=lport, seq=0x77000000, ack=first + 1 & 0xffffffff))
        for segment in self.ends:
            self.send(self.world.c, segment.fill(sport, seq=seq, ack=ack))


def test_mutated_handshakes(world, capfd):
    """With the SYN proxy: the kernel bears them, and of all that was begun nothing is left."""
    rng = random.Random(SEED)
    world.service(synproxy=1)
    world.timeouts(tcp=2, fin=1)
    # A mutant of a server may begin its connection anew, and so leave it half open.
    for name in ("synrecv", "close", "closewait", "lastack", "timewait"):
        sysctl(f"net.ipv4.vs.timeout_{name}", 1)
    sysctl("net.ipv4.vs.synproxy_syn_retry", 1)
    gambler = Gambler(world, rng)
    for n in range(HANDSHAKES):
        gambler.handshake(1024 + n % 60000)
        if n % (HANDSHAKES // 10) == 0:
            with capfd.disabled():
                print(f"handshakes: {n} of {HANDSHAKES}, FNAT_SEED={SEED}", flush=True)
    counted = {k: v for k, v in lab.counters(ns=None).items() if v}
    lab.figure(f"mutated handshakes: {HANDSHAKES}, {gambler.sent} packets, of seed {SEED};"
               f" counted: {counted}")
    assert counted["synproxy_ok_ack"] > HANDSHAKES / 20, "next to none got through: the mutants are too wild"
    world.wait_gone(30)
    assert sum(sum(row[1:]) for row in world.lips().values()) == 0
    forget_mutants(world)
    Guarded(world, TCP, 999).handshake().up("PA", b"as ever")
