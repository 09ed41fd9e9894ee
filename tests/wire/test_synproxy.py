# SPDX-License-Identifier: GPL-2.0
"""The SYN proxy: SYN and cookie, dialling, splice, and each refusal."""

import struct

import pytest

from abi import MSS, ROUTE, SACK, TTL, WSCALE, ZERO
from addresses import CLIENT_DEV, CLIENT_MAC
from lib import lab
from lib.netlink import attrs, number
from lib.packet import TCP
from options import NOP, SACK_OK, mss, sack, stamp, wscale
from proxied import OFFER, Guarded, count
from world import sysctl

BOTH_FAMILIES = True

TIMESTAMP = stamp(0xdeadbeef)


# --- the SYN ----------------------------------------------------------------------

def test_syn_is_turned_round(world, guarded):
    """Back to where it came from, with options of ours, and nothing is remembered."""
    flow = guarded()
    got = flow.syn()
    want = flow.from_client("S").but(
        smac=CLIENT_DEV, dmac=CLIENT_MAC, src=flow.vip, dst=flow.client, sport=flow.dport,
        dport=flow.sport, flags="SA", seq=got.seq, ack=flow.next_c, ttl=63, tos=0, id=0,
        win=3 * got_mss(got), opt=mss(got_mss(got)) + SACK_OK + wscale(7), partial=got.partial)
    assert not got.differences(want)
    assert got_mss(got) == (1452 if world.plan.host == 32 else 1432)
    assert world.conns() == [] and count("synproxy_syn_cnt") == 1
    world.quiet()


def got_mss(frame):
    assert frame.opt[:2] == bytes([2, 4])
    return struct.unpack("!H", frame.opt[2:4])[0]


@pytest.mark.parametrize("offer, answer", [
    (b"", b""), (mss(536), b""), (mss(1460) + SACK_OK, SACK_OK), (OFFER, SACK_OK + wscale(7)),
    (mss(1460) + wscale(14) + NOP * 4, wscale(7)), (OFFER + TIMESTAMP, SACK_OK + wscale(7)),
    (bytes([254, 4, 0xf9, 0x89]) + OFFER, SACK_OK + wscale(7)), (bytes([2, 0, 0, 0]), b"")],
    ids=["nothing", "MSS", "SACK", "linux", "scale", "timestamp", "unknown", "broken"])
def test_only_what_the_client_knows(guarded, offer, answer):
    """No option of the client's is reflected, none is answered that it did not offer."""
    got = guarded().syn(offer)
    assert got.opt[4:] == answer, got


def test_syn_with_data(world, guarded):
    """What a SYN carries is left behind: it comes again."""
    flow = guarded()
    got = flow.syn(payload=b"x" * 1000)
    assert got.payload == b"" and got.ack == flow.next_c


def test_no_scale_by_sysctl(world, guarded):
    """synproxy_wscale 0 and synproxy_sack 0: neither is offered, to client or server."""
    sysctl("net.ipv4.vs.synproxy_wscale", 0)
    sysctl("net.ipv4.vs.synproxy_sack", 0)
    flow = guarded()
    assert flow.syn().opt[4:] == b""
    assert flow.ack().opt == mss(1460)


def test_mss_by_sysctl(world, guarded):
    """synproxy_init_mss, until a server has said better; and the window follows."""
    sysctl("net.ipv4.vs.synproxy_init_mss", 9000)
    got = guarded().syn()
    assert got_mss(got) == (9000 if world.plan.host == 32 else 8980)
    assert got.win == 3 * got_mss(got)
    sysctl("net.ipv4.vs.synproxy_synack_ttl", 200)
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_thresh", 0)
    got = guarded(40001).syn()
    assert got.win == 0 and got.ttl == 200


def test_offer_of_the_service(world, guarded):
    """What it has of its own goes over what sysctls say, of this service alone, until it is taken back."""
    sysctl("net.ipv4.vs.synproxy_sack", 0)
    world.edit_service(synproxy=1, offer={MSS: 9000, WSCALE: 0, SACK: 1, TTL: 200})
    flow = guarded()
    got = flow.syn()
    assert (got_mss(got), got.opt[4:], got.ttl) == (9000, SACK_OK, 200)
    world.edit_service(synproxy=1, offer={})
    got = guarded(40001).syn()
    assert (got_mss(got) < 9000, got.opt[4:], got.ttl) == (True, wscale(7), 63)


def test_no_server(world, guarded):
    """Nobody to dial: refused at once."""
    world.edit("-e", None, "-w", 0)
    flow = guarded()
    world.c.send(flow.from_client("S"))
    got = world.c.receive(2 * lab.SLOW)
    assert got.flags == "RA"
    assert count("synproxy_no_dest") == 1
    world.quiet()


# --- the cookie -------------------------------------------------------------------

@pytest.mark.parametrize("offer", [b"", OFFER, mss(536) + SACK_OK, mss(8960) + wscale(0),
                                   mss(1300) + wscale(14)],
                         ids=["nothing", "linux", "SACK", "jumbo", "wide"])
def test_server_hears_what_the_client_offered(world, guarded, offer):
    """By way of the cookie: MSS rounded down, scale, SACK; the client's own window."""
    flow = guarded()
    flow.syn(offer)
    got = flow.ack(win=100)
    told = {b"": mss(536 if world.plan.host == 32 else 1220)}.get(offer, offer)
    if told[:4] == mss(1300):
        told = mss(1220) + told[4:]
    want = told[:4] + (SACK_OK if SACK_OK in offer else b"")
    scale = [n for n in range(15) if wscale(n) in offer]
    assert got.opt == want + (wscale(scale[0]) if scale else b"")
    assert got.win == min(100 << (scale[0] if scale else 0), 65535)
    assert flow.state() == "SYN_SENT"
    assert count("synproxy_ok_ack") == 1
    flow.answer()
    assert flow.state() == "ESTABLISHED"
    world.quiet()


@pytest.mark.parametrize("change", [
    dict(ack=+1), dict(seq=+1), dict(ack=1 << 31), dict(sport=1), dict(ack=1 << 22)],
    ids=["number", "client's number", "another window", "port", "seal"])
def test_forged_cookie(world, guarded, change):
    """Whatever is not as it was in the SYN: dropped and counted, nothing is dialled."""
    flow = guarded()
    flow.syn()
    right = flow.from_client("A")
    forged = right.but(**{k: (getattr(right, k) + v) % 2**32 for k, v in change.items()})
    world.c.send(forged)
    lab.wait_until("it was counted", lambda: count("synproxy_bad_ack") == 1)
    world.quiet()
    assert world.conns() == []
    sysctl("net.ipv4.vs.synproxy_bad_ack_rst", 1)
    world.c.send(forged)
    got = world.c.receive(2 * lab.SLOW)
    assert got.flags == "R" and got.seq == forged.ack
    flow.ack()


@pytest.mark.parametrize("flags", ["SA", "R", "RA", "F", "", "SR"])
def test_no_ack_at_all(world, guarded, flags):
    """Only an ACK can bring a cookie back."""
    flow = guarded()
    flow.syn()
    world.c.send(flow.from_client(flags))
    lab.wait_until("it was counted", lambda: count("synproxy_bad_ack") == 1)
    world.quiet()
    assert world.conns() == []


def test_other_services_do_not_care(world):
    """Without the SYN proxy a stray ACK is a stray ACK."""
    world.service()
    world.c.send(Guarded(world, TCP, 40000).from_client("A"))
    lab.wait_until("it was counted", lambda: count("tcp_stray") == 1)
    assert count("synproxy_bad_ack") == 0


def test_defer(world, guarded):
    """synproxy_defer: nobody is dialled until the client has said something."""
    sysctl("net.ipv4.vs.synproxy_defer", 1)
    flow = guarded()
    flow.syn()
    world.c.send(flow.from_client("A"))
    lab.wait_until("it was counted", lambda: count("synproxy_null_ack") == 1)
    world.quiet()
    flow.ack(b"GET /", "PA")
    flow.answer()


# --- dialling ---------------------------------------------------------------------

def test_early_data_is_kept(world, guarded):
    """The request comes before the server has answered, and again: it arrives once."""
    flow = guarded()
    flow.syn()
    flow.ack()
    flow.more("PA", b"GET / ")
    flow.more("PA", b"HTTP/1.0")
    world.c.send(flow.from_client("PA", b"HTTP/1.0", seq=flow.next_c - 8))
    lab.wait_until("it was counted", lambda: count("synproxy_synsend_qlen") == 1)
    flow.more("FPA", b"bye")
    flow.answer()
    flow.next_c += 1
    world.quiet()
    assert flow.state() == "CLOSE_WAIT"


def test_store_is_bounded(world, guarded):
    """synproxy_ack_skb_store_thresh: so many behind the ACK, the rest comes again."""
    flow = guarded()
    flow.syn()
    flow.ack()
    for i in range(3):
        flow.more("PA", b"%d" % i)
    world.c.send(flow.from_client("PA", b"3"))
    lab.wait_until("it was counted", lambda: count("synproxy_synsend_qlen") == 1)
    flow.answer()
    flow.up("PA", b"3")
    world.quiet()


def test_store_of_all_is_bounded(world, guarded):
    """synproxy_ack_skb_store_kib: of all clients together no more than that, ACKs included."""
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_kib", 0)
    flow = guarded()
    flow.syn()
    flow.ack()
    world.c.send(flow.from_client("PA", b"early"))
    lab.wait_until("both were counted", lambda: count("synproxy_synsend_qlen") == 2)
    flow.early.clear()
    flow.answer()
    flow.up("PA", b"early")


def test_cookie_comes_back_when_servers_answer_by_themselves(world, guarded):
    """The proxy is off, and another method is on, which it does not know: RST."""
    flow = guarded()
    flow.syn()
    world.edit_service(synproxy=0)
    world.edit("-d")
    world.edit("-a", method=ROUTE)
    world.c.send(flow.from_client("A"))
    got = world.c.receive(2 * lab.SLOW)
    assert got and got.flags == "R" and got.seq == flow.next_s, f"not refused: {got}"
    world.quiet()
    assert world.conns() == []


def test_shut_window_is_opened(world, guarded):
    """Nothing may come early: the client hears when it may."""
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_thresh", 0)
    flow = guarded()
    assert flow.syn().win == 0
    flow.ack()
    flow.answer(win=1000)
    got = world.c.receive(2 * lab.SLOW)
    assert got.flags == "A" and got.seq == flow.next_s and got.ack == flow.next_c
    assert got.win == 1000 >> 7
    flow.up("PA", b"now")


def test_server_is_called_again(world, guarded):
    """After a second, then after two; the client has nothing to do with it."""
    flow = guarded()
    flow.syn()
    first = flow.ack()
    again = world.s.receive(3 * lab.SLOW)
    assert again and not again.differences(first)
    flow.answer()
    flow.up("PA", b"hello")
    assert count("synproxy_rs_error") == 1
    assert world.s.receive(2.5) is None


def test_server_is_silent(world, guarded):
    """After synproxy_syn_retry SYNs more the client is told, and nothing is left."""
    sysctl("net.ipv4.vs.timeout_close", 1)
    sysctl("net.ipv4.vs.synproxy_syn_retry", 1)
    flow = guarded()
    flow.syn()
    first = flow.ack()
    assert not world.s.receive(3 * lab.SLOW).differences(first)
    got = world.c.receive(4 * lab.SLOW)
    assert got and got.flags == "RA" and got.seq == flow.next_s and got.ack == flow.next_c
    flow.gone()
    assert sum(world.lips()[flow.lip][1:]) == 0
    world.quiet()


def test_server_refuses(world, guarded):
    """Its RST is passed on, and nothing is left."""
    sysctl("net.ipv4.vs.timeout_close", 1)
    flow = guarded()
    flow.syn()
    flow.ack()
    flow.back = -flow.next_s
    world.s.send(flow.from_server("RA", seq=0, ack=flow.early[0].seq + flow.shift))
    got = world.c.receive(2 * lab.SLOW)
    assert got and got.flags == "RA" and got.seq == flow.next_s and got.ack == flow.next_c
    flow.gone()
    assert count("synproxy_rs_error") == 1


@pytest.mark.parametrize("flags, seq, ack", [
    ("RA", 0, 1), ("R", 0, 0), ("SA", 5, 7)], ids=["RST", "RST alone", "SYN-ACK"])
def test_answer_to_something_else(world, guarded, flags, seq, ack):
    """What does not acknowledge our SYN answers nothing."""
    flow = guarded()
    flow.syn()
    flow.ack()
    flow.back = -flow.next_s
    world.s.send(flow.from_server(flags, seq=seq, ack=flow.early[0].seq + flow.shift + ack))
    if "S" in flags:        # the server remembers what we do not
        got = world.s.receive(2 * lab.SLOW)
        assert got.flags == "R" and got.seq == (flow.early[0].seq + flow.shift + ack) % 2**32
    world.quiet()
    flow.answer()


def test_client_hangs_up(world, guarded):
    """Its RST ends it all, and the server's half as well."""
    sysctl("net.ipv4.vs.timeout_close", 1)
    flow = guarded()
    flow.syn()
    flow.ack()
    world.c.send(flow.from_client("R"))
    got = world.s.receive(2 * lab.SLOW)
    assert got.flags == "R" and got.seq == (flow.next_c + flow.shift) % 2**32
    flow.gone()


# --- after the splice -------------------------------------------------------------

@pytest.mark.parametrize("isn, server", [
    (0x10000000, 0x77000000), (0xfffffff0, 0xfffffff8), (5, 0)], ids=["plain", "wrap", "zero"])
def test_numbers_both_ways(world, guarded, isn, server):
    """Sequence, ACK and SACK, to and fro, across the edge; a FIN each ends it."""
    flow = guarded(isn=isn)
    flow.server_isn = server
    flow.handshake()
    for _ in range(3):
        flow.up("PA", b"question")
        flow.down("PA", b"a longer answer")
    here, there = flow.next_s, flow.next_c
    flow.up("A", opt=sack(here + 100, here + 200),
            arrives=dict(opt=sack(here + flow.back + 100, here + flow.back + 200)))
    flow.down("A", opt=sack(there + flow.shift + 10, there + flow.shift + 20),
              arrives=dict(opt=sack(there + 10, there + 20)))
    flow.up("FA")
    flow.down("FA")
    flow.up("A")
    assert flow.state() == "CLOSE"
    world.quiet()


@pytest.mark.parametrize("server, shift", [
    (OFFER, 0), (mss(1460) + SACK_OK + wscale(10), 3), (mss(1460) + SACK_OK + wscale(2), -5),
    (mss(1460), -7)], ids=["same", "wider", "narrower", "none"])
def test_windows_are_rescaled(world, guarded, server, shift):
    """The client goes by the scale that we told it, whatever the server's is."""
    flow = guarded().handshake(server=server)

    def scaled(win):
        return min(win << shift, 65535) if shift > 0 else win >> -shift

    for win in (1000, 65535, 128):
        flow.down("PA", b"x", win=win, arrives=dict(win=scaled(win)))
    flow.down("A", win=0, arrives=dict(win=0))
    flow.down("A", win=1, arrives=dict(win=max(scaled(1), 1)))
    # A server that does not scale takes the client's at its face value.
    flow.up("PA", b"x", win=100,
            arrives=dict(win=100 if b"\x03\x03" in server else 100 << 7))


@pytest.mark.parametrize("flags", ["S", "SA"])
def test_scales_stay_what_they_were(world, guarded, flags):
    """Anybody can send a SYN for a connection that is up; it tells nothing of its windows."""
    flow = guarded().handshake(server=mss(1460) + SACK_OK + wscale(10))
    world.c.send(flow.from_client(flags, seq=1, opt=mss(1460)))
    world.s.receive(0.1)
    flow.down("PA", b"x", win=1000, arrives=dict(win=8000))
    flow.up("PA", b"x", win=100, arrives=dict(win=100))


def test_synack_again(world, guarded):
    """Our ACK was lost: the server's second SYN-ACK goes on to the client."""
    flow = guarded().handshake()
    sent = world.s.send(flow.from_server("SA", seq=flow.server_isn, opt=OFFER))
    world.c.expect(flow.at_client(sent))
    flow.up("PA", b"on we go")


def test_what_servers_can_is_offered(world, guarded):
    """Learned from the answer of each: the smallest MSS, SACK if all have it."""
    world.edit("-a", world.plan.servers[1])
    guarded(40000).handshake(server=mss(1400) + SACK_OK + wscale(7))
    got = guarded(40001).syn()
    assert got.opt == mss(1400) + SACK_OK + wscale(7)
    flow = guarded(40002)
    flow.handshake(server=mss(8960))
    assert flow.rs == world.plan.servers[1]
    assert guarded(40003).syn().opt == mss(1400)
    world.edit("-e", world.plan.servers[0], "-w", 0)
    assert guarded(40004).syn().opt == mss(8960)


def test_client_that_can_little_spoils_nothing(world, guarded):
    """From an answer to it one learns nothing about what it did not ask."""
    guarded(40000).handshake()
    flow = guarded(40001)
    flow.syn(b"")
    flow.ack()
    world.s.send(flow.from_server("SA", seq=flow.server_isn, opt=mss(1400),
                                  ack=flow.early[0].seq + flow.shift))
    assert world.s.receive(2 * lab.SLOW).flags == "A"
    assert guarded(40002).syn().opt == mss(1400) + SACK_OK + wscale(7)


def test_again_after_the_end(world, guarded):
    """The same port, while we still hold what it left: a cookie begins it anew."""
    flow = guarded().handshake()
    flow.down("RA")
    assert flow.state() == "CLOSE"
    again = guarded(isn=0x30000000)
    again.syn()
    assert flow.state() == "CLOSE", "a SYN proves nothing"
    again.ack()
    again.answer()
    again.up("PA", b"hello")
    assert again.state() == "ESTABLISHED" and count("synproxy_conn_reused") == 1
    assert count("synproxy_ok_ack") == 2


def test_again_is_up_to_the_operator(world, guarded):
    """synproxy_conn_reuse_close 0: what closed is left alone, and no cookie is promised."""
    sysctl("net.ipv4.vs.synproxy_conn_reuse_close", 0)
    flow = guarded().handshake()
    flow.down("RA")
    before = count("synproxy_syn_cnt")
    world.c.send(guarded(isn=0x30000000).from_client("S", opt=OFFER))
    got = world.s.receive(2 * lab.SLOW)
    assert got and (got.flags, got.sport) == ("S", flow.lport), "the server is to judge"
    world.c.silent()
    assert count("synproxy_conn_reused") == 0 and count("synproxy_syn_cnt") == before


def test_server_that_answers_by_itself(world, guarded):
    """To a SYN over what has closed: the client hears its scale, and goes by that."""
    sysctl("net.ipv4.vs.synproxy_conn_reuse_close", 0)
    wide = mss(1460) + SACK_OK + wscale(10)
    flow = guarded().handshake(server=wide)
    flow.down("PA", b"x", win=1000, arrives=dict(win=8000))
    flow.down("RA", win=0)
    flow.next_c, flow.next_s = 0x30000000, 0x40000000
    flow.up("S", opt=OFFER)
    flow.down("SA", opt=wide)
    flow.up("A")
    flow.down("PA", b"x", win=1000)
    assert flow.state() == "ESTABLISHED"


def test_stats_of_each_service(world, guarded):
    """What was answered and what came back, by service; zeroed with the rest."""
    def stats():
        return [[number(attrs(service[67])[i]) for i in (1, 2, 3)] for service in world.services()]

    world.service(port=81, synproxy=1)
    for sport in (40000, 40001):
        guarded(sport).handshake()
    guarded(40002).syn()
    guarded(40003, dport=81, rport=80).handshake()
    world.c.send(guarded(40004, dport=81).from_client("A"))
    lab.wait_until("it was counted", lambda: count("synproxy_bad_ack") == 1)
    assert stats() == [[3, 2, 0], [1, 1, 1]]
    world.nl.request(ZERO)
    assert stats() == [[0, 0, 0], [0, 0, 0]]
    guarded(40005).syn()
    assert stats() == [[1, 0, 0], [0, 0, 0]]
    assert count("synproxy_syn_cnt") == 5


def test_refused_for_udp(world):
    """UDP has no SYN."""
    with pytest.raises(Exception, match="UDP has no SYN"):
        world.service(17, synproxy=1)


def test_ends_with_the_namespace(world, guarded):
    """Dialled and never answered, with data waiting: nothing is left behind."""
    for sport in range(40000, 40020):
        flow = guarded(sport)
        flow.syn()
        flow.ack()
        flow.more("PA", b"hello")
    world.delete_service()
    assert len(world.conns()) == 20
