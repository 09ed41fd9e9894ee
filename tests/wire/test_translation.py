# SPDX-License-Identifier: GPL-2.0
"""Every byte of a packet that is translated, both ways."""

import struct

import pytest

from lib.packet import TCP, UDP
from options import NOP
from world import LIPS, SERVERS, ip

MSS, SACK_OK, WSCALE = bytes([2, 4, 5, 180]), bytes([4, 2]), bytes([3, 3, 7])
TIMESTAMP = bytes([8, 10]) + struct.pack("!II", 0xdeadbeef, 0)


def test_tcp_both_ways(world):
    """Addresses, ports, MACs, TTL and checksums; id, DSCP, window and data stay."""
    world.service()
    flow = world.tcp().establish()
    flow.up("PA", b"GET / HTTP/1.0\r\n\r\n")
    flow.down("A", payload=bytes(range(256)) * 5)
    flow.up("PAU", b"odd", urg=2, win=1, ttl=2, tos=0, id=0xffff)
    flow.down("PAEC", b"x" * 1460, tos=0x03, id=0, df=False)
    world.quiet()
    assert flow.lip == LIPS[0] and flow.rs == SERVERS[0] and 1025 <= flow.lport <= 65535


def test_udp_both_ways(world):
    """The same for datagrams, from an empty one to the largest."""
    world.service(UDP)
    flow = world.udp()
    for payload in (b"question", b"", b"?", b"x" * 1472):
        flow.up(payload=payload)
        flow.down(payload=payload[::-1])
    world.quiet()
    assert flow.lip == LIPS[0] and flow.rs == SERVERS[0] and 1025 <= flow.lport <= 65535


def test_zero_window_and_reserved_bits(world):
    """A window of nothing and flags that make no sense together are not our business."""
    world.service()
    flow = world.tcp().establish()
    flow.up("A", win=0)
    flow.up("PUEC", b"no ack", ack=0x01020304)
    flow.up("", b"no flags at all")
    flow.down("PUEC", b"no ack", ack=0x01020304)


def test_numbers_wrap(world):
    """Sequence numbers that run over 2^32 on both sides."""
    world.service()
    flow = world.tcp(isn=0xfffffff0, server_isn=0xfffffffe).establish()
    for _ in range(3):
        flow.up("PA", b"over the edge")
        flow.down("PA", b"and back")
    assert flow.state() == "ESTABLISHED"


def test_server_isn_is_ours(world):
    """The server sees other numbers than the client's, and no two flows' offsets agree."""
    world.service()
    shifts = {world.tcp(sport=p).establish().shift for p in range(40000, 40008)}
    assert len(shifts) == 8 and 0 not in shifts


@pytest.mark.parametrize("before, after", [
    (b"", b""),
    (MSS + SACK_OK, NOP + WSCALE),
    (NOP * 2, b""),
], ids=["alone", "linux", "padded"])
def test_timestamp_is_stripped_from_syn(world, before, after):
    """A client's SYN arrives with NOPs in place of its timestamp, all else in order."""
    world.service()
    pad = NOP * (-len(before + TIMESTAMP + after) % 4)
    flow = world.tcp()
    flow.up("S", opt=before + TIMESTAMP + after + pad,
            arrives=dict(opt=before + NOP * 10 + after + pad))
    flow.down("SA", opt=MSS + TIMESTAMP + NOP * 2)
    flow.up("A", opt=NOP * 2 + TIMESTAMP)


@pytest.mark.parametrize("opt", [
    MSS + NOP + WSCALE + SACK_OK + NOP * 2,
    bytes([8, 2, 1, 1]),                            # too short for a timestamp
    bytes([99, 0, 8, 10]) + bytes(8),               # a length of nothing
    bytes([99, 40]) + TIMESTAMP,                    # beyond the end
    bytes([0, 0]) + TIMESTAMP,                      # behind the end of the list
    NOP * 39 + bytes([8]),                          # without room for a length
], ids=["linux", "short", "zero", "beyond", "ended", "cut"])
def test_other_options_stay(world, opt):
    """What is no timestamp, or makes no sense, is passed on as it is."""
    world.service()
    flow = world.tcp()
    flow.up("S", opt=opt)
    flow.down("SA", opt=opt)


@pytest.mark.parametrize("ipopt", [b"\1\1\1\0", bytes([148, 4, 0, 0]), b"\1" * 40],
                         ids=["nops", "alert", "longest"])
@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_ip_options(world, proto, ipopt):
    """A longer IP header moves the ports; it is kept."""
    world.service(proto)
    flow = world.tcp() if proto == TCP else world.udp()
    flow.up("S", ipopt=ipopt)
    flow.down("SA", b"" if proto == TCP else b"data", ipopt=ipopt)


def test_first_packet_with_data(world):
    """A SYN may carry data (RFC 7413): it arrives, and counts as sent."""
    world.service()
    flow = world.tcp()
    flow.up("S", b"early")
    flow.down("SA")
    flow.up("A")
    assert flow.state() == "ESTABLISHED"


def test_vlans(world):
    """The client in one VLAN, the server in another: tags are the device's affair."""
    ip("link add link tapc name c.7 type vlan id 7",
       "link add link taps name s.8 type vlan id 8",
       "address flush dev tapc", "address flush dev taps",
       "link set c.7 up", "link set s.8 up",
       "address add 192.0.2.1/24 dev c.7", "address add 10.10.0.1/24 dev s.8",
       "neigh add 192.0.2.2 lladdr 02:00:00:00:01:02 dev c.7",
       "neigh add 10.10.0.2 lladdr 02:00:00:00:02:02 dev s.8")
    world.service()
    flow = world.tcp()
    for flags, data in (("S", b""), ("A", b""), ("PA", b"tagged")):
        flow.up(flags, data, vlan=7, arrives=dict(vlan=8))
        flow.down("SA" if flags == "S" else "A", data, vlan=8, arrives=dict(vlan=7))


def test_ports_are_stable_and_distinct(world):
    """Flows that take turns each keep their own port."""
    world.service(servers=SERVERS[:1])
    flows = [world.tcp(sport=p).establish() for p in range(40000, 40012)]
    for _ in range(2):
        for flow in flows:
            flow.up("PA", b"mine")
            flow.down("PA", b"yours")
    assert len({f.lport for f in flows}) == len(flows)
    assert all(1025 <= f.lport <= 65535 for f in flows)
