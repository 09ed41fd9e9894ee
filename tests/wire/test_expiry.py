# SPDX-License-Identifier: GPL-2.0
"""When connections end by themselves."""

import time

from lib import lab
from lib.packet import UDP
from world import sysctl

BOTH_FAMILIES = True

# A timeout, in seconds, that a slow kernel does not reach between two packets.
SHORT = 2 + lab.SLOW
CLOCK_MONOTONIC_COARSE = 6


def next_second():
    """The module's clock is read in whole seconds, as of the last tick: waits for the next one."""
    def seconds():
        return int(time.clock_gettime(CLOCK_MONOTONIC_COARSE))
    now = seconds()
    lab.wait_until("a second has passed", lambda: seconds() > now, 3, 0.02)


def test_udp_expires(world):
    """A silent flow vanishes; its port and counts are given back."""
    world.timeouts(udp=1)
    world.service(UDP)
    flow = world.udp().open()
    assert flow.state() == "UDP"
    flow.gone()
    assert world.active() == {world.plan.servers[0]: (0, 0)}
    assert [conns for _, conns in world.lips().values()] == [0]


def test_traffic_keeps_it(world):
    """A flow that is heard of, from either side, stays past its timeout."""
    world.timeouts(udp=SHORT)
    world.service(UDP)
    flow = world.udp().open()
    until = time.monotonic() + 2 * SHORT + 1
    while time.monotonic() < until:
        next_second()
        flow.up(payload=b"on")
        next_second()
        flow.down(payload=b"and on")
        assert flow.state() == "UDP"
    flow.gone(seconds=15)


def test_time_left_is_listed(world):
    """-c shows what is left of the timeout, which a packet renews."""
    world.timeouts(udp=100)
    world.service(UDP)
    flow = world.udp().open()
    assert 90 < world.conns()[0]["left"] <= 100
    lab.wait_until("time goes by", lambda: world.conns()[0]["left"] < 98, 5)
    flow.up(payload=b"again")
    assert world.conns()[0]["left"] >= 99


def test_lowered_timeout(world):
    """It takes effect on a connection with its next packet, however far off its end was."""
    world.service(UDP)
    flow = world.udp().open()
    assert world.conns()[0]["left"] > 200
    world.timeouts(udp=1)
    next_second()
    flow.up(payload=b"once more")
    flow.gone()


def test_states_have_their_own(world):
    """A connection that closes is gone long before an open one would be."""
    world.timeouts(fin=1)
    world.service()
    stays = world.tcp(sport=30000).establish()
    ends = world.tcp().establish()
    ends.down("FA")
    assert ends.state() == "FIN_WAIT"
    ends.gone()
    assert stays.state() == "ESTABLISHED"
    assert world.active() == {world.plan.servers[0]: (1, 0)}
    # The port of the dead one is free again for a packet of its client's.
    world.tcp(isn=77).establish()


def test_raised_timeout(world):
    """Raised before the end, it saves the connection."""
    world.timeouts(udp=SHORT)
    world.service(UDP)
    flow = world.udp().open()
    world.timeouts(udp=300)
    until = time.monotonic() + SHORT + 2
    lab.wait_until("the old timeout has passed", lambda: time.monotonic() > until, 10)
    assert flow.state() == "UDP"
    flow.up(payload=b"still")
    flow.down(payload=b"here")


def test_ends_are_told(world):
    """An established connection that times out: a RST to both, with a number they accept."""
    world.timeouts(tcp=SHORT)
    world.service()
    flow = world.tcp().establish()
    flow.up("PA", b"request")
    flow.down("PA", b"answer")
    flow.up("A")
    with world.counted(conn_expire_rst=2):
        client, server = (tap.receive(10 * lab.SLOW) for tap in (world.c, world.s))
        flow.gone()
    assert client and (client.src, client.dst, client.sport, client.dport) == (
        flow.vip, flow.client, flow.dport, flow.sport)
    assert (client.flags, client.seq, client.ack, client.off) == ("RA", flow.next_s, flow.next_c, 0)
    assert server and (server.src, server.dst, server.sport, server.dport) == (
        flow.lip, flow.rs, flow.lport, flow.rport)
    # It has acknowledged the request, and numbers it as we gave it out.
    assert (server.flags, server.seq, server.off) == ("RA", (flow.next_c + flow.shift) % 2**32, 0)
    world.quiet()


def test_ends_are_not_told(world):
    """If the operator says so, and of what is not established."""
    world.timeouts(tcp=1)
    sysctl("net.ipv4.vs.conn_expire_tcp_rst", 0)
    world.service()
    world.tcp().establish().gone()
    sysctl("net.ipv4.vs.conn_expire_tcp_rst", 1)
    sysctl("net.ipv4.vs.timeout_synrecv", 1)
    half = world.tcp(sport=41000)
    half.up("S")
    half.gone()
    world.quiet()


def test_idle_listing(world):
    """Nothing is listed before the first connection and after the last."""
    assert world.conns() == []
    world.timeouts(udp=1)
    world.service(UDP)
    assert world.conns() == []
    world.udp().open().gone()
    assert world.conns() == []
