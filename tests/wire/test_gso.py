# SPDX-License-Identifier: GPL-2.0
"""Super-packets: one packet on the inside, whatever the wire makes of it."""

import pytest

from lib import lab, tap
from lib.packet import UDP
from addresses import IP4
from world import CLIENT_DEV, SERVER_DEV, ip

BOTH_FAMILIES = True

SEGMENT = 1428          # with IPv6 and TCP in 1500
DATA = bytes(i % 251 for i in range(20000))


def segments(frame, size=SEGMENT):
    """What a super-packet is on a wire that carries SIZE bytes of it at a time."""
    data = frame.payload
    last = (len(data) - 1) // size
    return [frame.but(payload=data[i * size:(i + 1) * size], seq=(frame.seq + i * size) % 2**32,
                      id=0 if frame.v6 else frame.id + i, flags=frame.flags if i == last else
                      frame.flags.replace("P", "").replace("F", ""),
                      partial=False, gso=0)
            for i in range(last + 1)]


def test_stays_whole(world):
    """Between NICs that segment it is one frame in, one frame out, one packet counted."""
    world.service()
    flow = world.tcp().establish()
    world.c.offload(tap.F_CSUM | tap.F_TSO)
    world.s.offload(tap.F_CSUM | tap.F_TSO)
    before = world.stats()
    flow.up("PA", DATA, partial=True, gso=SEGMENT)
    flow.down("PA", DATA, partial=True, gso=SEGMENT)
    after = world.stats()
    assert (after["inpkts"] - before["inpkts"], after["outpkts"] - before["outpkts"]) == (1, 1)
    assert after["inbytes"] - before["inbytes"] == (40 if world.plan is IP4 else 60) + len(DATA)
    world.quiet()


@pytest.mark.parametrize("isn", [0x10000000, 2**32 - 10000], ids=["plain", "wraps"])
def test_is_cut_at_the_door(world, isn):
    """For a NIC that does not, each segment is right in itself; inside it is still one."""
    world.service()
    flow = world.tcp(isn=isn, server_isn=isn + 77).establish()
    before = world.stats()
    sent = world.c.send(flow.from_client("PA", DATA, partial=True, gso=SEGMENT))
    for segment in segments(flow.at_server(sent)):
        world.s.expect(segment)
    sent = world.s.send(flow.from_server("PA", DATA, partial=True, gso=SEGMENT))
    for segment in segments(flow.at_client(sent)):
        world.c.expect(segment)
    after = world.stats()
    assert (after["inpkts"] - before["inpkts"], after["outpkts"] - before["outpkts"]) == (1, 1)
    world.quiet()


def test_fin_at_the_end(world):
    """A super-packet whose last segment closes: the state sees the end of it."""
    world.service()
    flow = world.tcp().establish()
    sent = world.c.send(flow.from_client("FPA", DATA, partial=True, gso=SEGMENT))
    for segment in segments(flow.at_server(sent)):
        world.s.expect(segment)
    assert flow.state() == "CLOSE_WAIT"


def test_segments_too_long_for_the_route(world):
    """It is the segments that must fit, not the whole."""
    world.service()
    flow = world.tcp().establish()
    with world.counted(xmit_unexpected_mtu=1, sent_icmp=1):
        world.c.send(flow.from_client("PA", DATA, partial=True, gso=1600))
        assert (world.c.receive().info, world.s.receive(0.02)) == (1500, None)
    with world.counted():
        flow.up("PA", b"fits")


def test_large_datagram_without_gso_does_not_fit(world):
    """A packet longer than the MTU that nobody may cut is refused, not sent."""
    world.service(UDP)
    flow = world.udp().open()
    with world.counted(xmit_unexpected_mtu=1, sent_icmp=1):
        world.c.send(flow.from_client(payload=bytes(4000)))
        assert world.c.receive().type == (3 if world.plan is IP4 else 2)
    world.quiet()


def with_gro(world, address, *features):
    """One more device, with ADDRESS, that merges segments as drivers do, with FEATURES.

    Of a frame that is merged into another, tun (that of 6.1) keeps a reference to
    its socket for ever: it does not call skb_prepare_for_gro(). kmemleak would say so.
    """
    if lab.SLOW > 1:
        pytest.skip("a tap that merges leaks its socket, and leaks are looked for here")
    device = world.tap("tapg", tap.IFF_NAPI)
    ip(f"link set tapg address {address} up")
    lab.sh("ethtool", "-K", "tapg", "gro", "on", *(word for f in features for word in (f, "on")))
    # Segments that we write one by one are one burst.
    lab.sh("unshare", "-m", "sh", "-c", "mount -t sysfs sysfs /sys &&"
           " echo 200000000 >/sys/class/net/tapg/gro_flush_timeout")
    return device


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_merged_on_arrival(world, up):
    """Segments that a driver merged leave as they came, each of them translated."""
    world.service()
    flow = world.tcp().establish()
    # Where the kernel can, into a list of packets that keep their headers.
    device = with_gro(world, CLIENT_DEV if up else SERVER_DEV, "rx-gro-list")
    make, at, leaves, count = ((flow.from_client, flow.at_server, world.s, "inpkts") if up else
                               (flow.from_server, flow.at_client, world.c, "outpkts"))

    def merged():
        before = world.stats()[count]
        whole = make("PA", DATA[:5 * SEGMENT])
        for segment in segments(whole):
            device.send(segment)
        for segment in segments(whole):
            leaves.expect(at(segment))
        if up:
            flow.next_c += len(whole.payload)
        else:
            flow.next_s += len(whole.payload)
        return world.stats()[count] < before + 5

    lab.wait_until("some of five segments were one to us", merged, seconds=60)
    world.quiet()


@pytest.mark.parametrize("feature", ["rx-gro-list", "rx-udp-gro-forwarding"])
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_datagrams_merged_on_arrival(world, up, feature):
    """Datagrams of one length and a shorter last, merged by a driver, leave as they came."""
    world.service(UDP)
    flow = world.udp().open()
    flow.down(payload=b"hello")
    device = with_gro(world, CLIENT_DEV if up else SERVER_DEV, feature)
    make, at, leaves, count = ((flow.from_client, flow.at_server, world.s, "inpkts") if up else
                               (flow.from_server, flow.at_client, world.c, "outpkts"))
    sent = [make(payload=DATA[i * 500:][:500 if i < 4 else 77],
                 **({"id": 0x100 + i} if world.plan is IP4 else {})) for i in range(5)]

    def merged():
        before = world.stats()[count]
        for datagram in sent:
            device.send(datagram)
        for datagram in sent:
            leaves.expect(at(datagram))
        return world.stats()[count] < before + 5

    lab.wait_until("some of five datagrams were one to us", merged, seconds=60)
    world.quiet()
