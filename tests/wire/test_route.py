# SPDX-License-Identifier: GPL-2.0
"""Route: packets reach the server as they are, and the director sees one direction."""

import pytest

from abi import MASQ, NEW_DEST, ONE_PACKET, ROUTE, SET_DEST, dest, key, named
from addresses import IP4, SERVER_DEV, SERVER_MACS
from lib import lab, tap
from lib.netlink import Refused, be16, ip, number, u32
from lib.packet import TCP, UDP, fragments
from test_fragments import DATA, cross
from test_fwmark import nft
from test_gso import SEGMENT
from test_icmp_errors import ERRORS, report
from world import ip as iproute
from world import sysctl

BOTH_FAMILIES = True

both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


def route(world, proto=TCP, **more):
    """A service without a LIP whose servers are of Route."""
    world.service(proto, **dict(dict(lips=(), method=ROUTE), **more))


# --- forwarding ----------------------------------------------------------------------

@both
def test_only_the_mac_changes(world, proto):
    """And the TTL. Checksums stay what they are, right or wrong."""
    route(world, proto)
    flow = world.routed(proto).open()
    for off in (0, 77, None if proto == UDP and world.plan is IP4 else 1):
        flow.up("A", b"question", off=off)
    if proto == TCP:
        flow.up("PA", b"x", opt=bytes([1, 1, 5, 10]) + bytes(8))
    world.quiet()


def test_syn_keeps_its_options(world):
    """Timestamps included: they are this client's."""
    route(world)
    world.routed().up("S", opt=bytes([1, 1, 8, 10]) + bytes(8))


def test_each_server_in_turn(world):
    """Each has its own MAC, and nothing else tells."""
    route(world, servers=world.plan.servers)
    flows = [world.routed(sport=40000 + i).establish() for i in range(6)]
    assert {f.rs for f in flows} == set(world.plan.servers)
    for flow in flows:
        flow.up("PA", b"on")


def test_super_packets(world):
    """They stay whole."""
    route(world)
    flow = world.routed().establish()
    world.s.offload(tap.F_CSUM | tap.F_TSO)
    flow.up("PA", DATA, partial=True, gso=SEGMENT)
    world.quiet()


@both
def test_fragments(world, proto):
    """All to one server."""
    route(world, proto, servers=world.plan.servers[:2])
    flow = world.routed(proto).open()
    for _ in range(3):
        sent = flow.from_client("A", DATA)
        out = cross(flow, sent, fragments(sent, 1000))
        assert {f.dmac for f in out} == {world.plan.macs[flow.rs]}


def test_ttl_and_mtu(world):
    """The client hears from the VIP what does not fit the server's route."""
    route(world)
    flow = world.routed().establish()
    iproute(f"route add {flow.rs}/{world.plan.host} dev taps mtu 1400")
    for count, sent, what in (
            (dict(drop_ttl=1), flow.from_client("A", b"x", ttl=1), "ttl"),
            (dict(xmit_unexpected_mtu=1), flow.from_client("A", bytes(1390)), "too big")):
        with world.counted(sent_icmp=1, **count):
            world.c.send(sent)
            got = world.c.receive()
        right = ERRORS[what][world.plan is not IP4]
        assert (got.type, got.src, got.dst) == (right["type"], flow.vip, flow.client)
        if "info" in right:
            assert got.info == 1400
    world.quiet()


@both
@pytest.mark.parametrize("what", ERRORS)
def test_error_about_what_the_server_sent(world, proto, what):
    """It comes to the VIP, and goes on to that server as it is."""
    route(world, proto, servers=world.plan.servers)
    flow = world.routed(proto).open()
    reply = flow.from_client("A", bytes(100)).but(
        src=flow.vip, dst=flow.client, sport=flow.dport, dport=flow.sport, ttl=60)
    told = report(world, world.c, reply, 100, what)
    with world.counted(icmp_translated=1):
        world.c.send(told)
        world.s.expect(told.but(smac=SERVER_DEV, dmac=world.plan.macs[flow.rs],
                                ttl=told.ttl - 1))
    world.quiet()


def test_server_moves(world):
    """Its neighbour entry and its route are looked at with each packet."""
    route(world)
    flow = world.routed().establish()
    iproute(f"neigh replace {flow.rs} lladdr {SERVER_MACS[2]} dev taps")
    flow.up("PA", b"x", arrives=dict(dmac=SERVER_MACS[2]))


# --- life ----------------------------------------------------------------------------

def test_life(world):
    """Seen from one side, as in-tree IPVS counts it."""
    route(world)
    sysctl("net.ipv4.vs.timeout_finwait", 2 + 2 * lab.SLOW)
    flow = world.routed()
    flow.up("S")
    assert flow.state() == "SYN_RECV"
    flow.aside("SA")
    flow.up("A")
    assert flow.state() == "ESTABLISHED"
    assert world.active() == {flow.rs: (1, 0)}
    flow.up("PA", b"GET /")
    flow.aside("PA", b"page")
    flow.up("A")
    flow.up("FA")
    assert flow.state() == "FIN_WAIT"
    assert world.active() == {flow.rs: (0, 1)}
    flow.aside("FA")
    flow.up("A")
    assert flow.state() == "FIN_WAIT"
    flow.gone()
    assert world.active() == {flow.rs: (0, 0)}


def test_reset(world):
    """By the number that the client has come to; others are forwarded, and change nothing."""
    route(world)
    flow = world.routed().establish()
    with world.counted(tcp_bad_rst=2):
        flow.up("R", seq=flow.next_c + 1)
        flow.up("R", seq=flow.next_c - 1)
    with world.counted(tcp_bad_fin=1):
        flow.up("FA", seq=flow.next_c - 5000)
    assert flow.state() == "ESTABLISHED"
    flow.up("R")
    assert flow.state() == "CLOSE"


def test_fin_far_ahead(world):
    """Nobody sends what no window allows."""
    route(world)
    flow = world.routed().establish()
    with world.counted(tcp_bad_fin=1):
        flow.up("FA", seq=flow.next_c + (2 << 20))
    assert flow.state() == "ESTABLISHED"


def test_fin_behind_a_loss(world):
    """What was lost on the way to us does not keep the FIN from counting."""
    route(world)
    flow = world.routed().establish()
    flow.up("FA", seq=flow.next_c + 14480)
    assert flow.state() == "FIN_WAIT"


@pytest.mark.parametrize("flags, state", [("FA", "FIN_WAIT"), ("R", "CLOSE")])
def test_port_used_again(world, flags, state):
    """A SYN over what has closed is a new connection, maybe to another server."""
    route(world, servers=world.plan.servers[:2])
    first = world.routed().establish()
    first.up(flags)
    assert first.state() == state
    with world.counted(fullnat_conn_reused=1):
        second = world.routed(isn=0x55550000).establish()
    assert second.rs != first.rs and second.state() == "ESTABLISHED"


def test_expiry_tells_the_client(world):
    """Of the server there is nothing that we know."""
    route(world)
    world.timeouts(tcp=1)
    flow = world.routed().establish()
    with world.counted(conn_expire_rst=1):
        told = world.c.receive(10 * lab.SLOW)
        assert (told.src, told.flags, told.seq) == (flow.vip, "RA", flow.next_s)
        world.s.silent()


# --- services ------------------------------------------------------------------------

def test_one_packet(world):
    """Each datagram by itself; nobody waits for an answer that will not come here."""
    a, b = world.plan.servers[:2]
    route(world, UDP, servers=(a, b))
    world.edit_service(UDP, flags=ONE_PACKET)
    asked = []
    for _ in range(4):
        asked.append(world.routed(UDP))
        asked[-1].up(payload=b"question")
    assert [f.rs for f in asked[:2]] == [f.rs for f in asked[2:]] and asked[0].rs != asked[1].rs
    assert world.conns() == []
    lab.wait_until("they have gone", lambda: world.active() == {a: (0, 0), b: (0, 0)}, 20)


def test_persistence(world):
    """A client stays with its server."""
    route(world, servers=world.plan.servers, persistent=100)
    assert len({world.routed(sport=p).establish().rs for p in range(40000, 40004)}) == 1


@both
def test_firewall_mark(world, proto):
    """Whatever port the server has, packets keep theirs."""
    family = "ip" if world.plan is IP4 else "ip6"
    nft(f"""table inet marks {{ chain pre {{
        type filter hook prerouting priority mangle;
        {family} daddr {world.plan.vip} meta mark set 7
    }}
    }}""")
    route(world, mark=7, rport=8080)
    flow = world.routed(proto, dport=81).open()
    flow.up("A", b"x")


# --- commands ------------------------------------------------------------------------

@pytest.mark.parametrize("command", [NEW_DEST, SET_DEST], ids=["new", "set"])
def test_port_must_be_the_services(world, command):
    """Packets are not changed, so no other could be asked."""
    world.service(rport=8080)
    with pytest.raises(Refused) as refused:
        world.nl.request(command, key(**named(vip=world.plan.vip)) + dest(
            addr=ip(world.plan.servers[0]), port=be16(8080 if command == SET_DEST else 81),
            method=u32(ROUTE), af=named(vip=world.plan.vip)["af"]))
    assert "own port" in refused.value.sentence


def test_listings(world):
    """Route for everyone; the server is listed though no packet carries its address."""
    route(world)
    flow = world.routed().establish()
    [service] = world.services()
    assert [(number(d[3]), number(d[64])) for d in world.dests(service)] == [(ROUTE, ROUTE)]
    assert [c["rs"] for c in world.conns()] == [(flow.rs, 80)]
    assert " Route " in lab.read("/proc/net/ip_vs")
    listed = world.ipvsadm("-Lnc").stdout
    assert flow.rs in listed and " - " in listed
    assert " Route " in world.ipvsadm("-Ln", stock=True).stdout


def test_becomes_masq(world):
    """By -e, for connections to come."""
    route(world)
    first = world.routed().establish()
    world.edit("-e", method=MASQ)
    second = world.masq(sport=40001).establish()
    second.down("PA", b"answer")
    first.up("PA", b"as ever")
