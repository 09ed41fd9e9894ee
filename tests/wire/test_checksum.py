# SPDX-License-Identifier: GPL-2.0
"""Checksums: made, kept, kept wrong, left to the NIC, left out."""

import pytest

from lib import tap
from lib.packet import NEEDS_CSUM, TCP, UDP, VNET, ones_sum

BOTH_FAMILIES = True


def flow_of(world, proto):
    """An open flow of PROTO, and the flags of its data packets."""
    world.service(proto)
    return (world.tcp() if proto == TCP else world.udp()).open()


both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


@both
@pytest.mark.parametrize("off", [1, 0x0100, 0x1234, 0xfffe])
def test_corrupt_data_leaves_corrupt(world, proto, off):
    """The checksum is wrong by as much as it was."""
    flow = flow_of(world, proto)
    flow.up("PA", b"corrupt", off=off)
    flow.down("PA", b"corrupt", off=off)


def test_udp_first_packet_corrupt(world):
    """Even a flow's first datagram is for its receiver to judge."""
    world.service(UDP)
    world.udp().up(payload=b"corrupt", off=0x55)


def test_corrupt_syn(world):
    """A SYN would make a connection, so it is verified."""
    world.service()
    flow = world.tcp()
    with world.counted(drop_corrupt=1):
        world.c.send(flow.from_client("S", off=1))
        world.quiet()
    assert world.conns() == []


@pytest.mark.parametrize("flags", ["FA", "R", "RA"])
def test_corrupt_end_changes_nothing(world, flags):
    """A corrupt FIN or RST is passed on as it is, and only that."""
    flow = flow_of(world, TCP)
    with world.counted():
        flow.up(flags, off=1, seq=flow.next_c)
        flow.down(flags, off=1, seq=flow.next_s)
    assert flow.state() == "ESTABLISHED"


def test_udp_without_checksum(world):
    """None there was, none there will be."""
    flow = flow_of(world, UDP)
    for _ in range(2):
        flow.up(payload=b"data", off=None)
        flow.down(payload=b"data", off=None)
    world.udp(sport=40001).up(payload=b"first", off=None)


def adds_up_to_zero(frame):
    """FRAME with a payload for which UDP's sum is 0, which is sent as 0xffff."""
    sum_ = frame.but(payload=b"\0\0").check()
    zero = frame.but(payload=sum_.to_bytes(2, "big"))
    assert zero.check() == 0xffff
    return zero.payload


def test_udp_checksum_of_zero(world):
    """A sum that comes out as 0 becomes 0xffff: 0 would say that there is none."""
    flow = flow_of(world, UDP)
    flow.up(payload=adds_up_to_zero(flow.at_server(flow.from_client())))
    flow.down(payload=adds_up_to_zero(flow.at_client(flow.from_server())))
    # And one that comes in as 0xffff.
    flow.up(payload=adds_up_to_zero(flow.from_client()))
    flow.down(payload=adds_up_to_zero(flow.from_server()))


@both
def test_partial_is_completed(world, proto):
    """What the sender's NIC would have summed, for a receiver's that wants it done."""
    flow = flow_of(world, proto)
    for payload in (b"unsummed", b"odd"):
        flow.up("PA", payload, partial=True, arrives=dict(partial=False))
        flow.down("PA", payload, partial=True, arrives=dict(partial=False))


@both
def test_partial_stays_partial(world, proto):
    """Between NICs that sum by themselves only the pseudo header is kept right."""
    flow = flow_of(world, proto)
    world.c.offload(tap.F_CSUM)
    world.s.offload(tap.F_CSUM)
    flow.up("PA", b"unsummed", partial=True)
    flow.down("PA", b"unsummed", partial=True)
    # What is summed already stays so.
    flow.up("PA", b"summed")
    flow.down("PA", b"summed")


def test_partial_udp_that_adds_up_to_zero(world):
    """Also when the kernel makes the sum, 0 becomes 0xffff."""
    flow = flow_of(world, UDP)
    payload = adds_up_to_zero(flow.at_server(flow.from_client()))
    flow.up(payload=payload, partial=True, arrives=dict(partial=False))


@pytest.mark.parametrize("off", [0, None], ids=["summed", "unsummed"])
def test_sum_of_an_inner_packet_is_not_ours(world, off):
    """What the NIC is to sum lies in a tunnel's packet; UDP's own sum is whole, or none."""
    flow = flow_of(world, UDP)
    inner = b"ports." + b"\x12\x34" + b"of somebody else"
    done = inner[:6] + (~ones_sum(inner) & 0xffff).to_bytes(2, "big") + inner[8:]
    sent = flow.from_client(payload=done, off=off)
    wire = sent.wire()[VNET.size:-len(inner)] + inner
    world.c.send(VNET.pack(NEEDS_CSUM, 0, 0, 0, len(wire) - len(inner), 6) + wire)
    world.s.expect(flow.at_server(sent))


def test_partial_handshake(world):
    """A SYN whose sum is still to be made is as good as verified; options are edited."""
    timestamp = bytes([8, 10]) + bytes(8) + b"\1\1"
    world.service()
    flow = world.tcp()
    flow.up("S", partial=True, opt=timestamp, arrives=dict(partial=False, opt=b"\1" * 12))
    flow.down("SA", partial=True, arrives=dict(partial=False))
    flow.up("A", partial=True, arrives=dict(partial=False))
    assert flow.state() == "ESTABLISHED"


@both
def test_verified_by_the_nic(world, proto):
    """A frame that the NIC vouches for."""
    world.service(proto)
    flow = world.tcp() if proto == TCP else world.udp()
    flow.up("S", b"" if proto == TCP else b"first", valid=True)
    flow.down("SA", valid=True)
    flow.up("A", b"data", valid=True)
