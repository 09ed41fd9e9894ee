# SPDX-License-Identifier: GPL-2.0
"""The automatic SYN proxy: handshakes pass until too many are half-open, and again after calm."""

import time

import pytest

from lib import lab
from lib.netlink import number
from lib.packet import TCP
from proxied import OFFER, Guarded, count
from world import sysctl

BOTH_FAMILIES = True
OFF, ON, AUTO = range(3)
ACTIVE = 66                 # FNAT_SVC_ATTR_SYNPROXY_ACTIVE
FEW = 4                     # half-open connections that are too many


@pytest.fixture
def auto(world):
    """A service that is guarded when FEW are half-open; makes flows to it."""
    sysctl("net.ipv4.vs.synproxy_auto_thresh", FEW)
    sysctl("net.ipv4.vs.synproxy_auto_calm", 1)
    world.service(synproxy=AUTO)
    # There might be cookies of a service before it, for as long as they live.
    with lab.later(200):
        yield lambda sport=40000, **kw: Guarded(world, TCP, sport, **kw)


def is_active(world):
    """Whether the director says that it answers SYNs with cookies now."""
    return bool(number(world.services()[0][ACTIVE]))


def half_open(auto, n=FEW, sport=41000):
    """N flows whose SYN has come to a server."""
    flows = [auto(sport + i) for i in range(n)]
    for flow in flows:
        flow.up("S", opt=OFFER)
    return flows


def raised(auto):
    """FEW half-open flows, and one whose SYN was one too many, with its cookie."""
    flows = half_open(auto)
    late = auto(42000)
    late.syn()
    return flows, late


def calm(world, flows):
    """The clients of FLOWS give up; the director sees that it is over."""
    for flow in flows:
        flow.down("SA", opt=OFFER)
        flow.up("R", seq=flow.next_c)
    lab.wait_until("it is calm", lambda: not is_active(world))


def passes(flow):
    """FLOW's handshake is between client and server."""
    flow.up("S", opt=OFFER)
    flow.down("SA", opt=OFFER)
    flow.up("A")
    return flow


def test_handshakes_pass(world, auto):
    """As without a SYN proxy, however many there are one after the other."""
    for i in range(3 * FEW):
        passes(auto(40000 + i)).up("PA", b"hello")
    assert not is_active(world)
    assert count("synproxy_syn_cnt") == count("synproxy_auto_on") == 0


def test_one_too_many(world, auto):
    """Gets a cookie, and so do all after it; those that are half-open go on as they began."""
    flows, late = raised(auto)
    assert is_active(world) and count("synproxy_auto_on") == 1
    flows[0].down("SA", opt=OFFER)
    flows[0].up("A")
    flows[1].up("S", opt=OFFER, seq=flows[1].next_c - 1)
    late.ack()
    late.answer()
    late.up("PA", b"hello")
    auto(42001).handshake()
    assert (count("synproxy_syn_cnt"), count("synproxy_ok_ack")) == (2, 2)
    assert count("synproxy_auto_on") == 1 and count("synproxy_auto_off") == 0
    world.quiet()


def test_made_up_acks_meanwhile(world, auto):
    """Are a matter of the SYN proxy, as with one that is always on."""
    raised(auto)
    world.c.send(auto(43000).from_client("A"))
    lab.wait_until("it was counted", lambda: count("synproxy_bad_ack") == 1)
    assert count("tcp_stray") == 0


def test_again_after_calm(world, auto):
    """Handshakes pass; a cookie from before is good still, a made-up one a mere stray."""
    flows, late = raised(auto)
    calm(world, flows)
    assert count("synproxy_auto_off") == 1
    passes(auto(43000)).up("PA", b"hello")
    world.c.send(auto(43001).from_client("A"))
    lab.wait_until("it was counted", lambda: count("tcp_stray") == 1)
    assert count("synproxy_bad_ack") == 0
    late.ack(b"GET /", "PA")
    late.answer()
    late.down("PA", b"here you are")
    assert (count("synproxy_syn_cnt"), count("synproxy_ok_ack")) == (1, 1)


def test_no_calm_while_many_are_half_open(world, auto):
    """Half of what raised it is too many, one less is few."""
    flows, late = raised(auto)
    late.ack()
    late.answer()
    for flow in flows[:FEW // 2]:
        flow.down("SA", opt=OFFER)
        flow.up("A")
    with pytest.raises(AssertionError, match="not within"):
        lab.wait_until("it is calm", lambda: not is_active(world), 4 / lab.SLOW)
    flows[-1].down("SA", opt=OFFER)
    flows[-1].up("A")
    lab.wait_until("it is calm", lambda: not is_active(world))


def test_no_calm_while_cookies_do_not_come_back(world, auto):
    """SYNs that would be half-open connections go on; those of good clients do not count."""
    sports = iter(range(45000, 46000))

    def passes_in_the_end():
        """A client goes through its handshake, cookie or not: whether its SYN has passed."""
        flow = auto(next(sports))
        sent = world.c.send(flow.from_client("S", opt=OFFER))
        got = world.c.receive(0.3 * lab.SLOW)
        if not got:
            return world.s.receive(0).flags == "S"
        flow.next_c, flow.next_s = sent.seq + 1, (got.seq + 1) % 2**32
        flow.ack()
        flow.answer()
        return False

    sysctl("net.ipv4.vs.synproxy_auto_calm", 2)
    flows, _ = raised(auto)
    for flow in flows:
        flow.down("SA", opt=OFFER)
        flow.up("A")
    flooded = time.monotonic() + 5
    while time.monotonic() < flooded:
        for _ in range(10):
            world.c.send(auto(next(sports)).from_client("S", opt=OFFER))
        world.c.drain()
        world.c.silent(0.3)
    assert is_active(world)
    lab.wait_until("it is calm", passes_in_the_end)
    assert not is_active(world)


def test_whatever_ends_a_handshake_is_counted(world, auto):
    """Up, reset, closed, begun anew by the server, timed out: exactly FEW pass behind it all."""
    up = passes(auto(40000))
    for flags in ("R", "FA"):
        flow = auto(40001 + len(flags))
        flow.up("S", opt=OFFER)
        flow.down("SA", opt=OFFER)
        flow.up(flags)
    again = auto(40010)
    passes(again)
    again.next_c += 0x20000000
    again.up("S", opt=OFFER)
    again.down("SA", seq=again.next_s + 5000, opt=OFFER)
    assert again.state() == "SYN_RECV"
    again.down("RA", seq=again.next_s + 5001)
    sysctl("net.ipv4.vs.timeout_synrecv", 1)
    late = auto(40020)
    late.up("S")
    late.gone()
    sysctl("net.ipv4.vs.timeout_synrecv", 60)
    up.up("FA")
    up.down("FA")
    up.up("A")
    half_open(auto)
    assert not is_active(world)
    auto(42000).syn()
    assert is_active(world)


def test_dialled_connections_are_not_half_open(world, auto):
    """Their clients have answered: it becomes calm while servers do not."""
    flows, _ = raised(auto)
    sysctl("net.ipv4.vs.synproxy_syn_retry", 6)
    for i in range(FEW):
        flow = auto(43000 + i)
        flow.syn()
        flow.ack()
    for flow in flows:
        flow.down("SA", opt=OFFER)
        world.c.send(flow.from_client("A"))
    lab.wait_until("it is calm", lambda: not is_active(world))
    assert len([c for c in world.conns() if c["state"] == "SYN_SENT"]) == FEW


def test_mode_is_edited(world, auto):
    """Off takes cookies still, on to auto goes on; an edit of something else changes nothing."""
    flows, late = raised(auto)
    world.edit_service(scheduler="wrr")
    assert is_active(world)
    world.edit_service(synproxy=OFF)
    assert not is_active(world)
    passes(auto(43000))
    late.ack()
    late.answer()
    world.edit_service(synproxy=AUTO)
    assert not is_active(world)
    late = auto(43001)
    late.syn()
    assert count("synproxy_auto_on") == 2, "half-open ones are counted all the time"
    world.edit_service(synproxy=ON)
    world.edit_service(synproxy=AUTO)
    auto(43002).handshake()
    assert is_active(world)
    calm(world, flows)
    late.ack()
    late.answer()


def test_on_to_auto_becomes_calm(world, auto):
    """What was on, for no reason, is off soon; its cookies are good still."""
    world.edit_service(synproxy=ON)
    flow = auto(40000)
    flow.syn()
    world.edit_service(synproxy=AUTO)
    assert is_active(world)
    lab.wait_until("it is calm", lambda: not is_active(world))
    passes(auto(40001))
    flow.ack()
    flow.answer()
    assert count("synproxy_auto_on") == 0 and count("synproxy_auto_off") == 1


def test_removed_and_added_again(world, auto):
    """The new service knows nothing of the flood, but takes the old one's cookies."""
    _, late = raised(auto)
    world.delete_service()
    world.service(synproxy=AUTO)
    assert not is_active(world)
    late.ack()
    late.answer()
    half_open(auto, FEW, 47000)
    assert not is_active(world)
    auto(48000).syn()
    assert count("synproxy_auto_on") == 2


def test_of_one_service_only(world, auto):
    """Another service of the same VIP has a guard of its own."""
    world.service(port=81, synproxy=AUTO)
    raised(auto)
    passes(auto(49000, dport=81, rport=80))
    assert [number(s[ACTIVE]) for s in world.services()] == [1, 0]


def test_over_what_has_closed(world, auto):
    """At rest a SYN opens it again; raised, a cookie does."""
    flow = passes(auto(40000))
    flow.down("RA")
    again = passes(auto(40000, isn=0x30000000))
    assert count("fullnat_conn_reused") == 1
    again.down("RA")
    raised(auto)
    last = auto(40000, isn=0x50000000)
    last.handshake()
    assert count("synproxy_conn_reused") == 1


def test_mode_is_refused(world):
    """What is none of the three; and automatic, too, is for TCP and for answers that come back."""
    with pytest.raises(Exception, match="automatic .2."):
        world.service(synproxy=3)
    with pytest.raises(Exception, match="UDP has no SYN"):
        world.service(17, synproxy=AUTO)
    world.service(synproxy=AUTO)
    with pytest.raises(Exception, match="Route .-g. does not bring"):
        world.edit("-e", None, method=3)
