# SPDX-License-Identifier: GPL-2.0
"""Connections by their four addresses: netlink, its filters, and /proc."""

import socket

import pytest

from abi import CONN, GET_CONN, conn
from lib import lab
from lib.netlink import Refused, attrs, number, u16
from lib.packet import TCP, UDP
from world import LIPS, SERVERS, VIP, World, sysctl

A, B, C = SERVERS


def address(data):
    """The IPv4 address in DATA, which fills 16 bytes."""
    assert len(data) == 16 and not any(data[4:])
    return socket.inet_ntoa(data[:4])


def listed(world, *request):
    """What the dump says: {(protocol, client, VIP, LIP, server)}, each (address, port)."""
    nl = world.netlink()
    replies = [attrs(reply[CONN]) for _, reply in nl.dump(GET_CONN, b"".join(request))]
    nl.close()
    found = [(number(r[2]), *((address(r[n]), int.from_bytes(r[n + 1], "big"))
                              for n in (3, 5, 7, 9))) for r in replies]
    assert len(found) == len(set(found)), "a connection twice"
    return set(found)


def ends(flow):
    return (flow.proto, (flow.client, flow.sport), (VIP, flow.dport), (flow.lip, flow.lport),
            (flow.rs, flow.rport))


def busy(world):
    """TCP and UDP, two servers, two LIPs, two clients: the flows."""
    world.service(servers=(A, B), lips=LIPS[:2])
    world.service(UDP, servers=(A, B), lips=LIPS[2:4])
    return [world.flow(proto, sport=40000 + i, client=client).open()
            for client in ("192.0.2.2", "192.0.2.3") for proto in (TCP, UDP) for i in range(4)]


@pytest.fixture
def flows(world):
    return busy(world)


@pytest.fixture(scope="module")
def still(loaded):
    """A world whose flows no case changes, and these."""
    made = World()
    yield made, busy(made)
    made.close()


def test_all(world, flows):
    """Every one, with its ends, state and time."""
    assert listed(world) == {ends(f) for f in flows}
    nl = world.netlink()
    replies = [attrs(reply[CONN]) for _, reply in nl.dump(GET_CONN)]
    assert {r[12] for r in replies} == {b"ESTABLISHED\0", b"UDP\0"}
    assert all(number(r[13]) in range(200, 901) and r[1] == u16(2) for r in replies)


@pytest.mark.parametrize("which", [
    dict(proto=TCP), dict(proto=UDP), dict(caddr="192.0.2.3"),
    dict(caddr="192.0.2.2", cport=40001), dict(cport=40001), dict(vaddr=VIP), dict(vport=53),
    dict(laddr=LIPS[0]), dict(daddr=A), dict(daddr=B, proto=UDP), dict(dport=80),
    dict(vaddr="192.0.2.77"), dict(daddr=C)], ids=str)
def test_filter(still, which):
    """The kernel sends what agrees with all that is asked for, and nothing else."""
    world, flows = still

    def agrees(flow):
        has = dict(proto=flow.proto, caddr=flow.client, cport=flow.sport, vaddr=VIP,
                   vport=flow.dport, laddr=flow.lip, lport=flow.lport, daddr=flow.rs,
                   dport=flow.rport)
        return all(has[k] == v for k, v in which.items())
    assert listed(world, conn(**which)) == {ends(f) for f in flows if agrees(f)}


def test_filter_by_lip_and_port(still):
    """What a server's log shows as the peer: that is whose connection?"""
    world, flows = still
    flow = flows[3]
    assert listed(world, conn(laddr=flow.lip, lport=flow.lport, daddr=flow.rs,
                              proto=flow.proto)) == {ends(flow)}


def test_filter_by_mark(still):
    """None of these has one."""
    assert listed(still[0], conn(fwmark=7)) == set()


@pytest.mark.parametrize("request_, word", [
    (conn(af=u16(77)), "IPv4"), (conn(caddr=b"\1\2"), "too short")], ids=["af", "address"])
def test_bad_filter(world, request_, word):
    """A sentence."""
    world.service()
    with pytest.raises(Refused) as answer:
        world.netlink().dump(GET_CONN, request_)
    assert word in answer.value.sentence


def test_nothing_to_list(world):
    """Neither before the first service nor without connections."""
    assert listed(world) == set()
    world.service()
    assert listed(world) == set()


def test_many_in_few_buckets(world):
    """A dump of several messages has each once, however long the chains."""
    world.service()
    n = 3000
    for i in range(n):
        world.c.send(world.tcp(sport=1024 + i).from_client("S"))
    world.s.drain()
    assert len(listed(world)) == n == len(world.conns())


def test_proc(world, flows):
    """/proc/net/ip_vs_fullnat_conn, for people."""
    rows = [r.split() for r in lab.read("/proc/net/ip_vs_fullnat_conn").splitlines()]
    assert rows[0][:2] == ["Pro", "FromIP"] and len(rows[0]) == 11
    flow = flows[0]
    assert ["TCP", flow.client, str(flow.sport), VIP, "80", flow.lip, str(flow.lport), flow.rs,
            "80", "ESTABLISHED"] in [r[:10] for r in rows]
    assert len(rows) == 1 + len(flows)


def test_templates_are_no_connections(world):
    """They are listed in ip_vs_conn, as in-tree IPVS does, and nowhere else."""
    world.service()
    world.edit_service(persistent=300)
    flow = world.tcp().open()
    assert len(world.conns()) == 2
    assert listed(world) == {ends(flow)}


def established(world):
    """Seconds left of the one TCP connection."""
    [row] = [c for c in world.conns() if c["client"][1]]
    return row["left"]


def test_established_timeout_of_a_service(world):
    """Its own, at once and for connections that are there; 0 means the namespace's."""
    world.service()
    flow = world.tcp().establish()
    for own, wanted in ((5000, 5000), (0, 900)):
        world.edit_service(est_timeout=own)
        flow.up("PA", b"x")
        assert wanted - 5 * lab.SLOW <= established(world) <= wanted
    world.edit_service(est_timeout=1)
    other = world.tcp(sport=40001).establish()
    other.gone()


def test_stock_edit_keeps_the_established_timeout(world):
    """A tool that does not know it takes nothing away."""
    world.service()
    world.edit_service(est_timeout=5000)
    world.ipvsadm("-E", "-t", f"{VIP}:80", "-s", "wlc", stock=True)
    world.tcp().establish()
    assert 4900 <= established(world) <= 5000


def test_ports_used_and_free(world):
    """Towards the real server where the fewest are left."""
    from abi import GET_LADDR, LADDR, key, strict
    sysctl("net.ipv4.vs.fullnat_lport_max", 2009)
    sysctl("net.ipv4.vs.fullnat_lport_min", 2000)

    def room(request):
        nl = world.netlink()
        return [tuple(number(attrs(r[LADDR])[n]) if n in attrs(r[LADDR]) else None
                      for n in (66, 67)) for _, r in nl.dump(GET_LADDR, request)]
    world.service(servers={A: 1, B: 3}, scheduler="wrr")
    assert room(strict(key())) == [(None, None)]
    for i in range(8):
        world.tcp(sport=40000 + i).establish()
    assert room(strict(key())) == [(6, 4)]
    world.add_lip(LIPS[0], None)
    assert room(b"") == [(6, 4)]
