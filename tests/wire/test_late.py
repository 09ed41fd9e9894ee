# SPDX-License-Identifier: GPL-2.0
"""The SYN proxy and what comes late, again, or about a connection that will not be."""

import pytest

from lib import lab
from lib.packet import TCP
from options import SACK_OK, mss, wscale
from proxied import OFFER, Guarded, count
from test_dial import dialled
from test_icmp_errors import report
from world import sysctl

BOTH_FAMILIES = True


def first_data(flow):
    """The first segment of the client's with data, which still proves its cookie."""
    return flow.from_client("PA", b"POST /", seq=flow.early_seq)


def refuse(world, flow):
    """The server of FLOW, which is being dialled, does not want it; its client hears so."""
    flow.early_seq = flow.early[0].seq
    flow.back = -flow.next_s
    world.s.send(flow.from_server("RA", seq=0, ack=flow.asked))
    got = world.c.receive(2 * lab.SLOW)
    assert got and got.flags == "RA"


def begins_nothing(world, flow):
    """The client's data goes to no other server, and to this one as what it is."""
    world.c.send(first_data(flow))
    got = world.s.receive(0.5 * lab.SLOW)
    assert got is None or (got.flags, got.dst) == ("PA", flow.rs), got
    world.quiet()
    assert flow.state() == "CLOSE" and count("synproxy_ok_ack") == 1


def test_data_of_a_refused_client(world, guarded):
    """It was on its way when the server's RST came: no other server is to run it."""
    world.edit("-a", world.plan.servers[1])
    flow = dialled(guarded())
    refuse(world, flow)
    begins_nothing(world, flow)


def test_data_behind_the_servers_reset(world, guarded):
    """The same once both were up."""
    world.edit("-a", world.plan.servers[1])
    flow = dialled(guarded())
    flow.early_seq = flow.early[0].seq
    flow.answer()
    flow.down("RA")
    begins_nothing(world, flow)


def test_data_when_nobody_answers(world, guarded):
    """And where the client was told so by us."""
    sysctl("net.ipv4.vs.synproxy_syn_retry", 0)
    flow = dialled(guarded())
    flow.early_seq = flow.early[0].seq
    assert world.c.receive(4 * lab.SLOW).flags == "RA"
    begins_nothing(world, flow)


def test_data_when_nobody_answered_for_long(world, guarded):
    """The time that its server was given is no part of timeout_close."""
    sysctl("net.ipv4.vs.synproxy_syn_retry", 1)
    sysctl("net.ipv4.vs.timeout_close", 3 * lab.SLOW)
    flow = dialled(guarded())
    flow.early_seq = flow.early[0].seq
    assert world.s.receive(2 * lab.SLOW).flags == "S", "it was asked once"
    assert world.c.receive(4 * lab.SLOW).flags == "RA"
    assert not world.c.receive(1.5), "who is left has been told"
    begins_nothing(world, flow)


def test_port_used_again_when_the_proxy_is_gone(world, guarded):
    """What the service was when the old connection began is of no matter to the new one."""
    flow = guarded().handshake()
    flow.down("RA")
    world.delete_service()
    world.service(servers=world.plan.servers[1:2])
    assert world.tcp(isn=0x30000000).establish().rs == world.plan.servers[1]


def test_refused_client_tries_again(world, guarded):
    """From the same port, by a cookie of its own."""
    flow = dialled(guarded())
    refuse(world, flow)
    again = guarded(isn=0x30000000).handshake()
    again.up("PA", b"hello")
    assert count("synproxy_conn_reused") == 1


@pytest.mark.parametrize("unreachable", ["port", "host"])
def test_unreachable_server(world, guarded, unreachable):
    """Said of our SYN: another server is asked at once, and then the client is told."""
    world.edit("-a", world.plan.servers[1])
    flow = guarded()
    flow.syn()
    asked = flow.ack()
    world.s.send(report(world, world.s, asked, 20, unreachable))
    second = world.s.receive(0.8)
    assert second and second.flags == "S" and second.dst != asked.dst, second
    world.s.send(report(world, world.s, second, 20, unreachable))
    got = world.c.receive(0.8)
    assert got and got.flags == "RA" and got.seq == flow.next_s, got
    assert count("synproxy_redialled") == 1 and count("icmp_translated") == 0
    world.quiet()


def test_error_about_another_number(world, guarded):
    """Forged, or about what was before: it ends nothing, and nobody hears of it."""
    flow = guarded()
    flow.syn()
    asked = flow.ack()
    wrong = asked.but(seq=asked.seq + 1)
    world.s.send(report(world, world.s, wrong, 20, "host"))
    world.s.send(report(world, world.s, asked, 20, "too big"))
    world.quiet()
    flow.answer()
    flow.up("PA", b"hello")


def is_challenged(world, flow):
    got = world.c.receive(2 * lab.SLOW)
    assert got and got.flags == "A" and got.seq == flow.next_s, f"no challenge: {got}"
    assert got.ack == flow.early[0].seq and got.win == 0xffff >> 7


def test_port_is_used_again_meanwhile(world, guarded):
    """A new SYN while the old one is dialled: the client's RST makes way (RFC 5961 4.2)."""
    flow = dialled(guarded(), b"hello")
    world.c.send(guarded(isn=0x30000000).from_client("S", opt=OFFER))
    is_challenged(world, flow)
    world.c.send(flow.from_client("R", seq=flow.early[0].seq))
    got = world.s.receive(2 * lab.SLOW)
    assert got.flags == "R" and got.seq == flow.asked % 2**32
    guarded(isn=0x30000000).handshake().up("PA", b"hello")


def test_reset_with_another_number(world, guarded):
    """Within the window it is asked for the right one (RFC 5961 3.2), beyond it is nothing."""
    flow = dialled(guarded())
    world.c.send(flow.from_client("R", seq=flow.next_c + 5000))
    is_challenged(world, flow)
    world.c.send(flow.from_client("R", seq=flow.next_c + 70000))
    world.quiet()
    flow.answer()


def test_late_synack(world, guarded):
    """A copy of the first, behind data: windows are shifted as before, nothing begins anew."""
    flow = guarded().handshake(server=mss(1460) + SACK_OK + wscale(10))
    flow.down("PA", b"answer", win=1000, arrives=dict(win=8000))
    late = world.s.send(flow.from_server("SA", seq=flow.server_isn, ack=flow.asked,
                                         opt=mss(1460) + SACK_OK + wscale(10)))
    world.c.expect(flow.at_client(late))
    flow.down("PA", b"more", win=1000, arrives=dict(win=8000))
    assert flow.state() == "ESTABLISHED"


def test_probe_of_a_shut_window(world, guarded):
    """The ACK of the handshake was lost: what asks for the window proves the cookie, too."""
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_thresh", 0)
    flow = guarded()
    assert flow.syn().win == 0
    flow.ack(seq=flow.next_c - 1)
    flow.early, flow.shift = [], flow.shift - 1
    flow.answer(win=1000)
    got = world.c.receive(2 * lab.SLOW)
    assert got.flags == "A" and got.seq == flow.next_s and got.win == 1000 >> 7
    flow.up("PA", b"now")


def test_who_must_speak_may(world, guarded):
    """synproxy_defer wants data: the window is open for it, whatever is kept."""
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_thresh", 0)
    sysctl("net.ipv4.vs.synproxy_defer", 1)
    flow = guarded()
    assert flow.syn().win > 1000
    world.c.send(flow.from_client("A"))
    lab.wait_until("it was counted", lambda: count("synproxy_null_ack") == 1)
    flow.ack(b"GET /", "PA")
    assert count("synproxy_ok_ack") == 1


def test_persistent_client_of_a_drained_service(world):
    """Weight 0 is no reason to refuse who has a server; others hear it at their ACK."""
    world.service(synproxy=1, persistent=300, mask="255.255.255.255" if world.plan.host == 32
                  else 128)
    flow = Guarded(world, TCP, 40000).handshake()
    world.edit("-e", flow.rs, "-w", 0)
    assert Guarded(world, TCP, 40001).handshake().rs == flow.rs
    other = Guarded(world, TCP, 40000, client=world.plan.neighbours[0])
    other.syn()
    world.c.send(other.from_client("A"))
    got = world.c.receive(2 * lab.SLOW)
    assert got and "R" in got.flags, f"not refused: {got}"
