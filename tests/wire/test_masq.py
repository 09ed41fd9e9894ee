# SPDX-License-Identifier: GPL-2.0
"""Masq: servers see the client itself, and their answers find the way back all the same."""

import socket
import struct

import pytest

from abi import FULLNAT, MASQ, ONE_PACKET, ROUTE
from addresses import CLIENT_DEV, CLIENT_MAC, IP4, SERVER_DEV, SERVER_MACS
from lib import lab, tap
from lib.netlink import attrs, be16, ip, number
from lib.packet import ICMP, ICMPV6, TCP, UDP, Frame, fragments
from test_fragments import DATA, cross
from test_fwmark import nft
from test_gso import SEGMENT
from test_icmp_errors import ERRORS, LENGTHS, crosses, report
from world import ip as iproute
from world import sysctl

BOTH_FAMILIES = True

both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


def masq(world, proto=TCP, **more):
    """A service without a LIP whose servers are of Masq."""
    world.service(proto, **dict(dict(lips=(), method=MASQ), **more))


def foreign(world, **fields):
    """A datagram from the first server to the client, of no connection."""
    plan = world.plan
    return Frame(**dict(smac=SERVER_MACS[0], dmac=SERVER_DEV, src=plan.servers[0],
                        dst=plan.client, proto=UDP, sport=9, dport=9, payload=b"x") | fields)


def routed(world, sent):
    """SENT by a server, as it is if it is merely routed."""
    return sent.but(smac=CLIENT_DEV, dmac=CLIENT_MAC, ttl=sent.ttl - 1)


# --- translation ---------------------------------------------------------------------

def test_tcp(world):
    """Only the VIP and its port change; numbers, options and timestamps are the client's own."""
    masq(world)
    stamp = bytes([1, 1, 8, 10]) + struct.pack("!II", 0xdeadbeef, 0)
    flow = world.masq()
    flow.up("S", opt=stamp)
    assert flow.shift == 0
    flow.down("SA", opt=stamp)
    flow.up("A")
    flow.up("PA", b"GET /", opt=stamp)
    flow.down("PA", bytes(range(256)) * 5)
    flow.up("FA")
    flow.down("FA")
    flow.up("A")
    assert flow.state() == "CLOSE"
    world.quiet()


def test_udp(world):
    """The same for datagrams, with a checksum, with a wrong one and without."""
    masq(world, UDP)
    flow = world.masq(UDP)
    for off in (0, 77, None if world.plan is IP4 else 0):
        flow.up(payload=b"question", off=off)
        flow.down(payload=b"answer", off=off)
    world.quiet()


@both
def test_port_of_the_server(world, proto):
    """It may be another than the service's."""
    masq(world, proto, rport=8080)
    flow = world.masq(proto, rport=8080).open()
    flow.down("A", b"x")
    assert [c["rs"] for c in world.conns()] == [(world.plan.servers[0], 8080)]


def test_super_packets(world):
    """They stay whole, both ways."""
    masq(world)
    flow = world.masq().establish()
    world.c.offload(tap.F_CSUM | tap.F_TSO)
    world.s.offload(tap.F_CSUM | tap.F_TSO)
    flow.up("PA", DATA, partial=True, gso=SEGMENT)
    flow.down("PA", DATA, partial=True, gso=SEGMENT)
    world.quiet()


@both
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_fragments(world, proto, up):
    """Put together by where they go, or by whom they come from."""
    masq(world, proto)
    flow = world.masq(proto).open()
    sent = (flow.from_client if up else flow.from_server)("A", DATA)
    cross(flow, sent, fragments(sent, 1000), up)
    world.quiet()


def test_fragments_of_others(world):
    """What a server of Masq sends on its own account is routed; others' fragments as they are."""
    masq(world, UDP)
    sent = foreign(world, src=world.plan.servers[1], smac=SERVER_MACS[1], payload=DATA)
    with world.counted():
        for piece in fragments(sent, 1000):
            world.s.send(piece)
            world.c.expect(routed(world, piece).but(df=piece.v6))   # which IPv6 cannot say
    world.quiet()


def test_ttl_and_mtu(world):
    """Told to the server as if from its client."""
    masq(world)
    flow = world.masq().establish()
    for count, sent, told in (
            (dict(drop_ttl=1), flow.from_server("A", b"x", ttl=1), ERRORS["ttl"]),
            (dict(xmit_unexpected_mtu=1), flow.from_server("A", bytes(2000)), ERRORS["too big"])):
        with world.counted(sent_icmp=1, **count):
            world.s.send(sent)
            got = world.s.receive()
        assert got.type == told[world.plan is not IP4]["type"]
        assert (got.src, got.dst) == (flow.client, flow.rs)
    world.c.silent()


def test_expiry_tells_both_ends(world):
    """Each hears it from whom it has spoken to, with the number that it waits for."""
    masq(world)
    world.timeouts(tcp=1)
    flow = world.masq().establish()
    up, down = world.s.receive(10 * lab.SLOW), world.c.receive(10 * lab.SLOW)
    assert (up.src, up.sport, up.dst, up.flags, up.seq) == (
        flow.client, flow.sport, flow.rs, "RA", flow.next_c)
    assert (down.src, down.sport, down.dst, down.flags, down.seq) == (
        flow.vip, flow.dport, flow.client, "RA", flow.next_s)


# --- ICMP ----------------------------------------------------------------------------

@both
@pytest.mark.parametrize("what", ERRORS)
def test_error_from_the_client_side(world, proto, what):
    """It reaches the server, from its client, and speaks of what the server sent."""
    masq(world, proto)
    flow = world.masq(proto).open()
    for length in LENGTHS:
        sent = flow.from_server("A", bytes(100))
        told = report(world, world.c, flow.down("A", bytes(100)), length, what)
        crosses(world, told, sent, src=flow.client, dst=flow.rs)


@both
@pytest.mark.parametrize("what", ERRORS)
def test_error_from_the_server_side(world, proto, what):
    """From whatever router, though it is addressed to the client: it hears it from the VIP."""
    masq(world, proto)
    flow = world.masq(proto).open()
    for length in LENGTHS:
        sent = flow.from_client("A", bytes(100))
        told = report(world, world.s, flow.up("A", bytes(100)), length, what)
        assert told.dst == flow.client
        crosses(world, told, sent, src=flow.vip, dst=flow.client)


def test_errors_of_others(world):
    """About a packet that is none of ours, it is routed."""
    masq(world)
    got = world.masq().establish().up("A", b"x")
    told = report(world, world.s, got.but(sport=9), 100)
    with world.counted():
        world.s.send(told)
        world.c.expect(routed(world, told))
    v4 = world.plan is IP4
    ping = foreign(world, proto=ICMP if v4 else ICMPV6, sport=None, dport=None,
                   type=8 if v4 else 128)
    world.s.send(ping)
    world.c.expect(routed(world, ping))


# --- one port, two VIPs --------------------------------------------------------------

def second_vip(world, **more):
    """Another VIP with the same server; a flow to it from the same client port."""
    vip = world.plan.vip[:-1] + "7"
    masq(world, vip=vip, **more)
    return world.masq(vip=vip)


def test_same_port_to_two_vips(world):
    """The server could not tell the two apart: the second is refused, the first stays whole."""
    masq(world)
    first = world.masq().establish()
    second = second_vip(world)
    with world.counted(drop_masq_clash=1, masq_clash=4, refused_rst=1):
        world.c.send(second.from_client("S"))
        refused = world.c.receive()
        world.quiet()
    assert (refused.src, refused.flags) == (second.vip, "RA")
    first.up("PA", b"still")
    first.down("PA", b"here")
    assert len(world.conns()) == 1


def test_same_port_to_two_vips_of_two_servers(world):
    """The second goes to a server that does not know the port yet."""
    masq(world, servers=world.plan.servers[:1])
    first = world.masq().establish()
    second = second_vip(world, servers=world.plan.servers[:2])
    with world.counted(masq_clash=1):
        second.establish()
    assert second.rs != first.rs
    for flow in (first, second):
        flow.up("PA", b"mine")
        flow.down("PA", b"yours")


def test_same_port_once_the_first_has_closed(world):
    """It makes room, as it would for a SYN to the same VIP."""
    masq(world)
    first = world.masq().establish()
    first.down("FA")
    first.up("FA")
    first.down("A")
    assert first.state() == "TIME_WAIT"
    second = second_vip(world)
    second.establish()
    assert [c["vip"][0] for c in world.conns()] == [second.vip]
    second.down("PA", b"answer")


@both
def test_another_port_is_no_clash(world, proto):
    """Two flows, each its own."""
    masq(world, proto)
    flows = [world.masq(proto, sport=p).open() for p in (40000, 40001)]
    for flow in flows:
        flow.down("A", flow.sport.to_bytes(2, "big"))


# --- services ------------------------------------------------------------------------

def test_one_packet(world):
    """Each datagram is scheduled anew; one that meets the same server again goes with the last."""
    masq(world, UDP, servers=world.plan.servers[:2])
    world.edit_service(UDP, flags=ONE_PACKET)
    asked = []
    for _ in range(4):
        asked.append(world.masq(UDP))
        asked[-1].up(payload=b"question")
    assert len({f.rs for f in asked}) == 2 and len(world.conns()) == 2
    for flow in asked:
        flow.down(payload=b"answer")
    with world.counted():
        again = world.masq(UDP)
        again.up(payload=b"again")
        again.down(payload=b"of course")
    world.wait_gone()
    assert world.active() == dict.fromkeys(world.plan.servers[:2], (0, 0))


def test_persistence(world):
    """A client stays with its server."""
    masq(world, servers=world.plan.servers, persistent=100)
    assert len({world.masq(sport=p).establish().rs for p in range(40000, 40004)}) == 1


@both
@pytest.mark.parametrize("port", [0, 8080], ids=["the client's", "its own"])
def test_firewall_mark(world, proto, port):
    """Servers without a port of their own keep the client's; replies need no mark."""
    family = "ip" if world.plan is IP4 else "ip6"
    nft(f"""table inet marks {{ chain pre {{
        type filter hook prerouting priority mangle;
        {family} daddr {world.plan.vip} meta mark set 7
    }}
    }}""")
    masq(world, mark=7, rport=port)
    for sport, dport in ((40000, 81), (40001, 82)):
        flow = world.masq(proto, sport=sport, dport=dport, rport=port or dport).open()
        flow.down("A", b"answer")


def test_all_methods_in_one_service(world):
    """Each server by its own method, each connection by that which it began with."""
    a, b, c = world.plan.servers
    world.service(servers=())
    for server, method in ((a, FULLNAT), (b, MASQ), (c, ROUTE)):
        world.edit("-a", server, method=method)
    first, second, third = (world.tcp(40000), world.masq(sport=40001), world.routed(sport=40002))
    for flow, server in ((first, a), (second, b), (third, c)):
        flow.establish()
        assert flow.rs == server
    world.edit("-e", b, method=ROUTE)
    world.edit("-e", a, method=MASQ)        # stock tools' word for what it is
    for flow in (first, second):
        flow.up("PA", b"question")
        flow.down("PA", b"answer")
    third.up("PA", b"question")
    [service] = world.services()
    assert {d[1]: number(d[64]) for d in world.dests(service)} == {
        ip(a): FULLNAT, ip(b): ROUTE, ip(c): ROUTE}


# --- what it costs those who have none -----------------------------------------------

def test_prefilter_goes_with_the_last_connection(world):
    """Sources are looked at from the first server of Masq to the end of its last connection."""
    world.timeouts(udp=2 + lab.SLOW)
    world.service(UDP)
    stray = foreign(world, payload=DATA)

    def asked():
        """Whether a server's fragments are put together, which only Masq wants."""
        before = lab.counters(ns=None)["reassembled"]
        for piece in fragments(stray, 1000):
            world.s.send(piece)
        world.c.drain()
        return lab.counters(ns=None)["reassembled"] > before

    assert not asked()
    world.edit("-a", world.plan.servers[0], proto=UDP, method=MASQ, rport=5353)
    assert asked()
    flow = None
    for sport in (40000, 40001):
        flow = world.masq(UDP, sport=sport, rport=5353)
        world.c.send(flow.from_client(payload=b"x"))
        got = world.s.receive()
        if got.dport == 5353:
            break
    flow._met(got)
    world.edit("-d", world.plan.servers[0], proto=UDP, rport=5353)
    flow.down(payload=b"it drains")
    assert asked()
    lab.wait_until("nobody looks at sources", lambda: not asked(), 30)


# --- commands ------------------------------------------------------------------------

def test_masq_means_fullnat_if_told_so(world):
    """fullnat_masq is for new servers; those of Masq stay what they are."""
    masq(world)
    sysctl("net.ipv4.vs.fullnat_masq", 1)
    world.edit("-a", world.plan.servers[1], method=MASQ)
    world.edit("-e", world.plan.servers[0], "-w", 5, method=MASQ)
    [service] = world.services()
    assert [number(d[64]) for d in world.dests(service)] == [MASQ, FULLNAT]
    assert [number(d[3]) for d in world.dests(service)] == [MASQ, MASQ]


def test_listings(world):
    """A connection without a LIP has none in any of them."""
    from abi import CONN, GET_CONN, conn
    masq(world)
    flow = world.masq().establish()
    [found] = [attrs(reply[CONN]) for _, reply in world.nl.dump(GET_CONN)]
    assert 7 not in found and 8 not in found
    assert (found[9], found[10]) == (ip(flow.rs), be16(80))
    if world.plan is IP4:
        assert world.nl.dump(GET_CONN, conn(laddr=flow.client)) == []
    assert " - " in lab.read("/proc/net/ip_vs_fullnat_conn")
    assert [c["rs"] for c in world.conns()] == [(flow.rs, 80)]
    assert " Masq " in lab.read("/proc/net/ip_vs")
    assert " - " in world.ipvsadm("-Lnc").stdout
    assert " Masq " in world.ipvsadm("-Ln").stdout


# --- servers that are clients, and clients that look like servers --------------------

@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_server_is_a_client_of_another_service(world, proto):
    """The defences drop what is for no service; this is for one."""
    sysctl("net.ipv4.vs.defence_tcp_drop", 1)
    sysctl("net.ipv4.vs.defence_udp_drop", 1)
    a, b = world.plan.servers[:2]
    masq(world, proto, servers=(a,), port=81)
    world.service(proto, servers=(b,))
    flow = world.flow(proto, client=a)
    flow.up("S" if proto == TCP else "", b"" if proto == TCP else b"question")
    assert flow.rs == b


def test_own_client_writes_while_its_server_is_dialled(world):
    """It is an address of Masq, too, but what it sends comes by the loopback device."""
    plan = world.plan
    own = plan.lips[3]
    iproute(f"addr add {plan.vip}/{plan.host} dev lo")
    world.service(synproxy=1)
    masq(world, UDP, servers=(own,))
    family = socket.AF_INET if plan is IP4 else socket.AF_INET6
    with socket.socket(family) as client:
        client.settimeout(5 * lab.SLOW)
        client.bind((own, 0))
        client.connect((plan.vip, 80))
        got = world.s.receive(2 * lab.SLOW)
        assert got and got.flags == "S" and got.dst == plan.servers[0], got
        client.send(b"early")
        flow = world.tcp(client.getsockname()[1], client=own)
        flow._met(got)
        flow.next_c = got.seq + 1
        world.s.send(flow.from_server("SA"))
        lab.wait_until("the server has what was kept", lambda: (
            frame := world.s.receive(0.1)) and frame.payload == b"early")
