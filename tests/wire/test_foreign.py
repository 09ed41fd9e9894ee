# SPDX-License-Identifier: GPL-2.0
"""What is not ours is passed on untouched, or is the stack's to drop.

The VIP is routed through the director to another router, so a packet that was
left alone comes out on the servers' side as it was, one hop older.
"""

import pytest

from lib.packet import ICMP, TCP, UDP, Frame, fragments
from world import LIPS, VIP, ip, sysctl


@pytest.fixture
def flow(world):
    world.service(TCP)
    world.service(UDP)
    return world.tcp()


def left_alone(flow, frame, **counted):
    """FRAME, sent by the client, goes on as if there were no module; COUNTED is counted."""
    world = flow.world
    with world.counted(**counted):
        world.c.send(frame)
        world.s.expect(flow.passed_on(frame))
        world.quiet()
    assert world.conns() == []


def test_other_port_and_protocol(flow):
    """A VIP's other ports, and whatever is neither TCP nor UDP."""
    left_alone(flow, flow.from_client("S", dport=81))
    left_alone(flow, flow.from_client("S", dport=53))
    left_alone(flow, flow.from_client(proto=UDP, seq=0, win=0, payload=b"x", dport=80))
    left_alone(flow, flow.from_client("S", dst="198.51.100.2"))
    left_alone(flow, flow.from_client(proto=ICMP, sport=None, dport=None, type=8, info=7,
                                      seq=0, win=0, payload=b"ping"))
    left_alone(flow, flow.from_client(proto=132, sport=None, dport=None, seq=0, win=0,
                                      payload=b"\x9c\x40\0\x50" + bytes(20)))


@pytest.mark.parametrize("flags", ["A", "PA", "SA", "FA", "R", "RA", "FS", "SR", ""])
def test_stray_segment(world, flow, flags):
    """Without a connection only a SYN is of use; routed on, the rest could go in circles."""
    with world.counted(tcp_stray=1):
        world.c.send(flow.from_client(flags))
        world.quiet()
    assert world.conns() == []


def test_stray_segment_is_answered(world, flow):
    """As RFC 9293 3.10.7.1 has it, but never a RST with another."""
    sysctl("net.ipv4.vs.fullnat_stray", 1)
    for flags, answer in (("A", dict(flags="R", seq=flow.next_s)),
                          ("F", dict(flags="RA", ack=flow.next_c + 1)),
                          ("SA", dict(flags="R", seq=flow.next_s))):
        with world.counted(tcp_stray=1, refused_rst=1):
            sent = world.c.send(flow.from_client(flags))
            world.c.expect(Frame(smac=sent.dmac, dmac=sent.smac, src=sent.dst, dst=sent.src,
                                 sport=sent.dport, dport=sent.sport, **answer))
            world.quiet()
    for flags, src in (("R", flow.client), ("A", LIPS[0])):
        with world.counted(tcp_stray=1):
            world.c.send(flow.from_client(flags, src=src))
            world.quiet()


def test_stray_segment_is_dropped_or_passed(world, flow):
    """Whoever the VIP is."""
    ip(f"address add {VIP}/32 dev lo")
    sysctl("net.ipv4.vs.fullnat_stray", 2)
    with world.counted(tcp_stray=1):
        world.c.send(flow.from_client("A"))
        world.quiet()
    ip(f"address del {VIP}/32 dev lo")
    sysctl("net.ipv4.vs.fullnat_stray", 3)
    left_alone(flow, flow.from_client("A"), tcp_stray=1)


def test_stray_segment_to_the_host(world, flow):
    """If the VIP is an address of the host, that answers."""
    ip(f"address add {VIP}/32 dev lo")
    with world.counted(tcp_stray=1):
        sent = world.c.send(flow.from_client("A"))
        got = world.c.receive()
        world.quiet()
    assert (got.src, got.dst, got.flags, got.seq) == (VIP, sent.src, "R", sent.ack)


def test_fragments(world, flow):
    """To an address that is not ours."""
    whole = world.udp(vip="198.51.100.9").from_client(payload=bytes(range(200)) * 8)
    for piece in fragments(whole, 800):
        left_alone(flow, piece)


@pytest.mark.parametrize("doff", [0, 4, 7, 15])
def test_nonsensical_header_length(flow, doff):
    """A TCP header shorter than 20 bytes or longer than the packet."""
    left_alone(flow, flow.from_client("S", doff=doff, opt=b""))


@pytest.mark.parametrize("length", [0, 1, 4, 7, 12, 19])
def test_cut_short(flow, length):
    """Not even a whole TCP header; for UDP not even that of 8 bytes."""
    segment = flow.from_client("S").segment()[:length]
    bare = dict(sport=None, dport=None, seq=0, win=0, payload=segment)
    left_alone(flow, flow.from_client(**bare))
    if length < 8:
        left_alone(flow, flow.from_client(proto=UDP, **bare | dict(seq=0)))


def test_for_another_host(world, flow):
    """A frame to another MAC is not for us, nor for the stack."""
    for frame in (flow.from_client("S"), world.udp().from_client(payload=b"x")):
        with world.counted():
            world.c.send(frame.but(dmac="02:00:00:00:00:99"))
            world.quiet()
    assert world.conns() == []


def test_broadcast_frame(world, flow):
    """An IP packet to a VIP in a broadcast frame: nobody answers."""
    with world.counted():
        world.c.send(flow.from_client("S").but(dmac="ff:ff:ff:ff:ff:ff"))
        world.quiet()
    assert world.conns() == []


def test_corrupt_ip_header(world, flow):
    """The stack drops it before we are asked."""
    with world.counted():
        world.c.send(flow.from_client("S", ip_off=1))
        world.quiet()


def test_length_beyond_the_frame(world, flow):
    """As it does with a packet that claims to be longer than it is."""
    whole = flow.from_client("PA", b"x" * 100).wire()
    with world.counted():
        world.c.send(whole[:-50])
        world.quiet()


def test_padding_behind_the_packet(flow):
    """Ethernet pads short frames: what lies behind the packet is not payload."""
    world = flow.world
    sent = flow.from_client("S")
    world.c.send(sent.wire() + b"\xa5" * 6)
    got = flow._learn(sent)
    assert got == flow.at_server(sent)


def test_unknown_port_of_a_lip(world, flow):
    """A server's packet to a LIP's port without a connection is the host's to answer."""
    flow.establish()
    stray = flow.from_server("PA", b"data", dport=flow.lport ^ 1)
    with world.counted():
        world.s.send(stray)
        answer = world.s.receive()
        world.quiet()
    assert (answer.src, answer.dst, answer.flags) == (LIPS[0], stray.src, "R")


@pytest.mark.parametrize("other", [dict(src="10.10.0.3"), dict(sport=81), dict(proto=UDP)],
                         ids=["server", "port", "protocol"])
def test_stranger_to_our_port(world, flow, other):
    """Only the very server:port of the connection reaches its client."""
    flow.establish()
    frame = flow.from_server("PA", b"data")
    if "proto" in other:
        frame = frame.but(seq=0, ack=0, win=0, flags="")
    world.s.send(frame.but(**other))
    world.c.silent()
    assert flow.state() == "ESTABLISHED"


FORGED = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "224.0.0.1",
          "239.255.255.255", "255.255.255.255", VIP, LIPS[0],
          "192.0.2.255", "10.10.0.255", "192.0.2.1", "10.10.0.1"]


@pytest.mark.parametrize("src", FORGED)
def test_forged_source(world, flow, src):
    """Taking a packet skips the stack's own checks, so its source is looked at by us."""
    datagram = world.udp().from_client(payload=b"x", src=src)
    for frame in (flow.from_client("S", src=src), datagram):
        with world.counted(drop_source=1):
            world.c.send(frame)
            world.quiet()
    assert world.conns() == []


def test_no_service_no_hook(world):
    """Before there is a service nothing is touched or counted."""
    left_alone(world.tcp(), world.tcp().from_client("S"))
    world.service()
    world.delete_service()
    left_alone(world.tcp(), world.tcp().from_client("S"))
