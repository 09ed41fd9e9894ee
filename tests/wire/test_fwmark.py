# SPDX-License-Identifier: GPL-2.0
"""Services by firewall mark: many addresses and ports, both protocols, one service."""

import socket

import pytest

from abi import MASQ
from lib import lab
from lib.packet import ICMP, TCP, UDP, Frame, fragments, reassembled
from world import LIPS, SERVERS, VIP, ip, sysctl

A, B, C = SERVERS
MARK = 7


def nft(rules):
    lab.sh("nft", "-f", "-", stdin=rules)


def mark(what, n=MARK, priority="mangle"):
    """Packets that match WHAT get mark N."""
    nft(f"""table ip marks {{ chain pre {{
        type filter hook prerouting priority {priority};
        {what} meta mark set {n}
    }}
    }}""")


def service(world, servers=(A,), port=0, **more):
    """A service for MARK; PORT 0: servers keep the client's."""
    world.service(mark=MARK, servers=servers, rport=port, **more)


@pytest.fixture
def marked(world):
    """Everything to the VIP is marked, and there is a service for the mark."""
    mark(f"ip daddr {VIP}")
    service(world)
    return world


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_both_directions(marked, proto):
    """A flow of either protocol; the server is asked on the client's port."""
    flow = marked.flow(proto).open()
    assert flow.rs == A and flow.dport == (80 if proto == TCP else 53)
    flow.up(*(("PA",) if proto == TCP else ("",)), b"question")
    flow.down(*(("PA",) if proto == TCP else ("",)), b"answer")
    assert [c["vip"] for c in marked.conns()] == [(VIP, flow.dport)]


def test_port_of_the_server(world):
    """A server with a port of its own gets all on that."""
    mark(f"ip daddr {VIP} tcp dport 8000-8010")
    service(world, port=80)
    for i, port in enumerate((8000, 8007)):
        flow = world.tcp(sport=40000 + i, dport=port, rport=80).establish()
        flow.up("PA", b"x")
        flow.down("PA", b"y")


def test_what_is_not_marked_is_not_ours(marked):
    """It passes, whatever the service."""
    frame = marked.tcp().from_client("S").but(dst="198.51.100.9")
    marked.c.send(frame)
    got = marked.s.receive()
    assert got.dst == "198.51.100.9" and got.ttl == frame.ttl - 1


def test_another_mark_is_not_ours(world):
    """Nor is what has a mark that nobody waits for."""
    mark(f"ip daddr {VIP}", n=8)
    service(world)
    world.c.send(world.tcp().from_client("S"))
    assert world.s.receive().dst == VIP
    assert world.conns() == []


def test_service_by_address_comes_first(marked):
    """A VIP and port of a service of its own is that one's."""
    marked.service(servers=(B,), lips=LIPS[1:2])
    assert marked.tcp().establish().rs == B
    assert marked.tcp(sport=41000, dport=443).establish().rs == A


def test_server_on_the_director_is_asked_once(world):
    """What has been translated for it comes by, marked, and is not for the mark's service."""
    ip(f"address add {A}/32 dev lo")
    mark("meta l4proto tcp")
    service(world, servers=(B,))
    world.service()
    with world.counted(xmit_local=1):
        sent = world.c.send(world.tcp().from_client("S"))
        # Nobody listens on the port: the host's refusal comes back translated.
        got = world.c.receive()
    assert got and (got.src, got.flags, got.ack) == (VIP, "RA", sent.seq + 1)


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_who_speaks_to_himself(world, proto):
    """A server of Masq, by the mark: of both directions the addresses would be the same."""
    mark("iifname tapc")
    service(world, method=MASQ, lips=())
    own = world.flow(proto, sport=9, dport=9).from_client("S" if proto == TCP else "")
    with world.counted(drop_source=1):
        world.c.send(own.but(src=A, dst=A))
        world.quiet()


def test_host_that_speaks_to_itself(world):
    """The same, and it really does: nobody waits for what cannot be."""
    ip(f"address add {A}/32 dev lo")
    mark("iifname lo udp dport 9")
    service(world, method=MASQ, lips=())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((A, 9))
        own.sendto(b"x", (A, 9))
        lab.wait_until("it is refused", lambda: lab.counters(ns=None)["drop_masq_clash"] == 1)
    assert world.conns() == []


def test_stray_passes(marked):
    """A segment of no connection may be on its way elsewhere."""
    frame = marked.tcp().from_client("A")
    marked.c.send(frame)
    assert marked.s.receive().dst == VIP


def test_replies_need_no_mark(marked):
    """The second hook takes marked packets only; replies come in by the first."""
    flow = marked.tcp().establish()
    nft("flush table ip marks")
    flow.down("PA", b"still")


def test_conntrack_forgets_what_we_take(marked):
    """The mark is set behind conntrack, which has seen the packet by then."""
    lab.sh("modprobe", "nf_conntrack")
    nft("""table ip track { chain pre {
        type filter hook prerouting priority -150
        ct state new counter
    }
    }""")
    flow = marked.tcp().establish()
    flow.up("PA", b"x")
    assert "0" == lab.read("/proc/sys/net/netfilter/nf_conntrack_count").strip()


def test_persistence_over_ports(world):
    """A mark's persistence spans its ports and protocols."""
    mark(f"ip daddr {VIP}")
    service(world, servers=(A, B, C), persistent=300)
    flows = [world.flow(proto, sport=40000 + i, dport=port).open() for i, (proto, port) in
             enumerate(((TCP, 80), (TCP, 443), (UDP, 53)))]
    assert len({f.rs for f in flows}) == 1


def test_hook_goes_with_the_last_mark(marked):
    """The service deleted, marked packets pass; a service by address stays."""
    marked.service(servers=(B,), lips=LIPS[1:2])
    marked.delete_service(mark=MARK)
    marked.c.send(marked.tcp(dport=443).from_client("S"))
    assert marked.s.receive().dst == VIP
    assert marked.tcp(sport=41000).establish().rs == B


def test_flows_drain(marked):
    """A deleted service's connections go on."""
    flow = marked.tcp().establish()
    marked.delete_service(mark=MARK)
    flow.up("PA", b"still")
    flow.down("PA", b"here")


def test_ports_that_two_maps_give_out(world):
    """A server of the mark without a port, and the same with one: no clash is seen."""
    sysctl("net.ipv4.vs.fullnat_lport_max", 2015)
    sysctl("net.ipv4.vs.fullnat_lport_min", 2000)
    mark(f"ip daddr {VIP} tcp dport != 80")
    service(world)
    world.service()                             # the same server and LIP
    direct = [world.tcp(sport=30000 + i).establish() for i in range(8)]
    by_mark = [world.tcp(sport=31000 + i, dport=81, rport=81).establish() for i in range(8)]
    for flow in direct + by_mark:
        flow.up("PA", b"x")
        flow.down("PA", b"y")


def test_save_and_restore(world):
    """All that a mark's service can be, round and round."""
    service(world, servers=(A, B), port=80, scheduler="wlc", persistent=100,
            mask="255.255.255.0")
    saved = world.ipvsadm("-Sn").stdout
    assert f"-A -f {MARK} -s wlc -p 100 -M 255.255.255.0" in saved
    world.ipvsadm("-C")
    world.ipvsadm("-R", stdin=saved)
    assert world.ipvsadm("-Sn").stdout == saved


def test_fragments(marked):
    """They have the mark, each of them, and make up one packet."""
    flow = marked.udp().open()
    sent = flow.from_client(payload=bytes(range(250)) * 8)
    with marked.counted(reassembled=1, fast_xmit_reject=1):
        for piece in fragments(sent, 1000):
            marked.c.send(piece)
        whole = reassembled([marked.s.receive() for _ in range(3)])
    assert whole == flow.at_server(sent, id=whole.id, df=False)


def test_fragments_of_another_mark(marked):
    """Nobody has asked for them."""
    nft("flush ruleset")
    mark(f"ip daddr {VIP}", n=MARK + 1)
    flow = marked.udp()
    for piece in fragments(flow.from_client(payload=bytes(1600)), 800):
        marked.s.expect(flow.passed_on(marked.c.send(piece)))


@pytest.mark.parametrize("has_mark", [True, False], ids=["marked", "not marked"])
def test_error_about_a_marked_flow(marked, has_mark):
    """A router beyond the client: its word reaches the server, whether it has the mark."""
    flow = marked.udp().open()
    sent = flow.from_server(payload=b"answer")
    got = flow.down(payload=b"answer")
    told = Frame(smac=got.dmac, dmac=got.smac, src=flow.client, dst=VIP, proto=ICMP, type=3,
                 code=3, payload=got.packet()[:28])
    if not has_mark:
        nft("flush ruleset")
        mark(f"ip daddr {VIP} udp dport 53")
    with marked.counted(icmp_translated=1):
        marked.c.send(told)
        heard = marked.s.receive()
    assert (heard.src, heard.dst) == (flow.lip, flow.rs)
    assert heard.payload == sent.but(ttl=sent.ttl - 1).packet()[:28]
