# SPDX-License-Identifier: GPL-2.0
"""fullnat_timestamp=2: TCP timestamps that never run backwards for a local port."""

import struct

import pytest

from addresses import IP4
from lib import tap
from options import NOP, stamp
from world import sysctl

BOTH_FAMILIES = True

MINE, THEIRS = 0x11112222, 0x33334444       # the client's clock and the server's


def value(opt):
    """TSval in OPT, which begins as stamp() does."""
    assert opt[:4] == NOP * 2 + b"\x08\x0a", opt.hex()
    return struct.unpack_from("!I", opt, 4)[0]


def later(a, b):
    """Whether A is not before B, as a server compares them (RFC 7323 5.2)."""
    return (a - b) % 2**32 < 2**31


@pytest.fixture
def service(world):
    """TCP, with one local port: whoever comes has it after whoever was there."""
    sysctl("net.ipv4.vs.fullnat_timestamp", 2)
    sysctl("net.ipv4.vs.fullnat_lport_max", 1025)
    world.service()


def offer(flow, val=MINE, ecr=0, opt=b""):
    """A SYN; what the server is to add to, or find instead of, the client's timestamps."""
    sent = flow.world.c.send(flow.from_client("S", opt=stamp(val, ecr) + opt))
    got = flow._learn(sent)
    flow.next_c += 1
    flow.later = (value(got.opt) - val) % 2**32
    assert got == flow.at_server(sent, opt=stamp(val + flow.later, ecr) + opt)
    return value(got.opt)


def up(flow, flags, val, ecr, payload=b"", **fields):
    """A client's segment, whose TSval arrives shifted."""
    return flow.up(flags, payload, opt=stamp(val, ecr),
                   arrives=dict(opt=stamp(val + flow.later, ecr)), **fields)


def down(flow, flags, val, ecr, payload=b"", **fields):
    """A server's, which echoes what it saw: the client sees what it sent itself."""
    return flow.down(flags, payload, opt=stamp(val, ecr + flow.later),
                     arrives=dict(opt=stamp(val, ecr)), **fields)


def establish(flow, val=MINE):
    """The handshake, with timestamps; what the first one was to the server."""
    first = offer(flow, val)
    down(flow, "SA", THEIRS, val)
    up(flow, "A", val + 1, THEIRS)
    return first


def test_both_ways(world, service):
    """Every segment, from SYN to RST: the client's clock is shifted, the server's is not."""
    flow = world.tcp()
    establish(flow)
    up(flow, "PA", MINE + 2, THEIRS, b"question")
    down(flow, "PA", THEIRS + 7, MINE + 2, b"answer")
    down(flow, "FA", THEIRS + 8, MINE + 2)
    up(flow, "FA", MINE + 9, THEIRS + 8)
    up(flow, "RA", MINE + 9, THEIRS + 8)
    world.quiet()


def test_numbers_wrap(world, service):
    """Timestamps that run over 2^32 on both sides."""
    flow = world.tcp()
    establish(flow, 2**32 - 3)
    for n in range(8):
        up(flow, "PA", 2**32 - 2 + n, THEIRS + n, b"on")
        down(flow, "A", 2**32 - 4 + n, 2**32 - 2 + n)


def test_no_echo_without_ack(world, service):
    """What a SYN, or a segment without ACK, has in that place is nobody's clock."""
    flow = world.tcp()
    offer(flow, ecr=0x0badf00d)
    down(flow, "SA", THEIRS, MINE)
    flow.up("P", b"odd", opt=stamp(MINE, 5), arrives=dict(opt=stamp(MINE + flow.later, 5)))


def test_beside_sack(world, service):
    """Both options in one segment, each by its own offset."""
    flow = world.tcp()
    establish(flow)
    at = flow.next_c

    def blocks(shift):
        return NOP * 2 + bytes([5, 18]) + struct.pack(
            "!IIII", *((at + edge + shift) % 2**32 for edge in (10, 20, 30, 40)))
    flow.down("A", opt=stamp(THEIRS, MINE + flow.later) + blocks(flow.shift),
              arrives=dict(opt=stamp(THEIRS, MINE) + blocks(0)))


def test_retransmitted_syn(world, service):
    """It is later, and so is what the server sees; whatever the sysctl says by then."""
    flow = world.tcp()
    first = offer(flow)
    sysctl("net.ipv4.vs.fullnat_timestamp", 1)
    flow.next_c -= 1
    up(flow, "S", MINE + 1000, 0)
    assert value(stamp(MINE + 1000 + flow.later)) == (first + 1000) % 2**32
    down(flow, "SA", THEIRS, MINE + 1000)


def test_none_offered(world, service):
    """A connection without timestamps has nothing to translate, however odd it goes on."""
    flow = world.tcp().establish()
    flow.up("PA", b"data", opt=stamp(MINE, THEIRS))
    flow.down("PA", b"data", opt=stamp(THEIRS, MINE))


@pytest.mark.parametrize("opt", [
    NOP * 2 + bytes([8, 6]) + bytes(4), NOP + bytes([8, 11]) + bytes(9),
    bytes([8, 20]) + bytes(10), bytes([0, 0]) + bytes([8, 10]) + bytes(8),
], ids=["short", "long", "beyond", "ended"])
def test_broken_option(world, service, opt):
    """What is no timestamp is left alone."""
    flow = world.tcp()
    establish(flow)
    flow.up("PA", b"data", opt=opt)
    flow.down("PA", b"data", opt=opt)


def test_connections_of_one_port(world, service):
    """Clients whose clocks disagree take turns: the server sees one that only goes on."""
    last, ports = None, set()
    for n, clock in enumerate((2**31 + 5, 7, 2**32 - 2, 2**31 - 9, 0, 2**30)):
        flow = world.tcp(isn=0x1000 * n)
        first = establish(flow, clock)
        assert last is None or later(first, last), (n, hex(first), hex(last))
        up(flow, "PA", clock + 1, THEIRS, b"question")
        down(flow, "FPA", THEIRS, clock + 1, b"answer")
        up(flow, "FA", clock + 2, THEIRS)
        assert flow.state() == "TIME_WAIT"
        last = (clock + 2 + flow.later) % 2**32
        ports.add(flow.lport)
    assert ports == {1025}


def close(flow, **fin):
    """The server first; the client's FIN carries what FIN says."""
    down(flow, "FA", THEIRS, MINE)
    flow.up("FA", **fin)


def stripped(world):
    """A new flow is offered to its server without timestamps."""
    flow = world.tcp(isn=0x50000000)
    flow.up("S", opt=stamp(MINE), arrives=dict(opt=NOP * 12))
    flow.down("SA")
    flow.up("A")
    flow.down("FA")
    flow.up("FA")


def test_client_that_ran_ahead(world, service):
    """Who leaves a server with a timestamp of next year's spoils the port for nobody."""
    flow = world.tcp()
    establish(flow)
    ahead = MINE + 2**30
    close(flow, opt=stamp(ahead, THEIRS), arrives=dict(opt=stamp(ahead + flow.later, THEIRS)))
    stripped(world)
    establish(world.tcp(isn=0x70000000))


def test_client_that_hid_its_clock(world, service):
    """Nor who says nothing at the end, having perhaps run ahead before."""
    flow = world.tcp()
    establish(flow)
    close(flow)
    stripped(world)
    establish(world.tcp(isn=0x70000000))


def test_reset_leaves_nothing_behind(world, service):
    """Behind a RST there is no TIME_WAIT: what it lacks is not missed."""
    flow = world.tcp()
    establish(flow)
    flow.up("R")
    establish(world.tcp(isn=0x70000000))


def test_super_packet(world, service):
    """One option for all segments, translated once."""
    flow = world.tcp()
    establish(flow)
    data = bytes(i % 251 for i in range(12000))
    world.c.offload(tap.F_CSUM | tap.F_TSO)
    world.s.offload(tap.F_CSUM | tap.F_TSO)
    size = 1448 if world.plan is IP4 else 1428
    up(flow, "PA", MINE + 2, THEIRS, data, partial=True, gso=size)
    down(flow, "PA", THEIRS + 2, MINE + 2, data, partial=True, gso=size)


def test_summed_by_the_nic(world, service):
    """Where the sum is still to be made, options are none of the pseudo header's business."""
    flow = world.tcp()
    sent = world.c.send(flow.from_client("S", opt=stamp(MINE), partial=True))
    got = flow._learn(sent)
    flow.next_c += 1
    flow.later = (value(got.opt) - MINE) % 2**32
    assert got == flow.at_server(sent, partial=False, opt=stamp(MINE + flow.later))
    flow.down("SA", partial=True, opt=stamp(THEIRS, MINE + flow.later),
              arrives=dict(partial=False, opt=stamp(THEIRS, MINE)))


def test_corrupt_stays_corrupt(world, service):
    """The checksum is off by what it was, shifted timestamps or not."""
    flow = world.tcp()
    establish(flow)
    up(flow, "PA", MINE + 2, THEIRS, b"corrupt", off=0x1234)
    down(flow, "PA", THEIRS + 2, MINE + 2, b"corrupt", off=0x1234)
