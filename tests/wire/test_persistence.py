# SPDX-License-Identifier: GPL-2.0
"""Persistence: a client stays with its server, for as long as it should."""

import pytest

from abi import GET_DEST, PERSISTENT, SET_SERVICE, dest, key, service
from lib import lab
from lib.netlink import attrs, ip, number, u32
from lib.packet import TCP, UDP
from test_ports import refused
from world import LIPS, SERVERS, VIP, sysctl

A, B, C = SERVERS


def persistent(world, timeout=300, mask="255.255.255.255", servers=(A, B), proto=TCP):
    """A persistent service on VIP."""
    world.service(proto, servers=servers, persistent=timeout, mask=mask)


def serves(world, client, sport=40000, proto=TCP):
    """The server that a new flow of CLIENT's gets."""
    return world.flow(proto, sport, client=client).open().rs


def templates(world):
    """The templates, as /proc/net/ip_vs_conn lists them: {(client, VIP and port): seconds}."""
    return {(c["client"][0], *c["vip"]): c["left"] for c in world.conns()
            if c["client"][1] == 0}


def test_client_stays(world):
    """Round robin among clients, but none of them ever changes its server."""
    persistent(world)
    first = {c: serves(world, c) for c in ("192.0.2.2", "192.0.2.3")}
    assert set(first.values()) == {A, B}
    for sport in range(40001, 40005):
        for client, rs in first.items():
            assert serves(world, client, sport) == rs


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_both_protocols(world, proto):
    """UDP flows stay, too."""
    persistent(world, proto=proto)
    assert len({serves(world, "192.0.2.2", sport, proto) for sport in range(40000, 40004)}) == 1


def test_netmask_holds_a_network_together(world):
    """-M: all of a network goes to one server."""
    persistent(world, mask="255.255.255.0")
    assert len({serves(world, f"192.0.2.{i}") for i in range(2, 8)}) == 1
    assert list(templates(world)) == [("192.0.2.0", VIP, 80)]


def test_template_is_listed_and_counted(world):
    """As in-tree IPVS does: port 0, ASSURED once it was there, PersistConn; no InActConn."""
    persistent(world)

    def listed():
        return [c for c in world.conns() if c["client"] == ("192.0.2.2", 0)]
    flow = world.tcp()
    flow.up("S")
    assert [row["state"] for row in listed()] == ["NONE"]
    flow.down("SA")
    flow.up("A")
    rs = flow.rs
    [row] = listed()
    assert row["vip"] == (VIP, 80) and row["rs"] == (rs, 80) and row["state"] == "ASSURED"
    assert 200 <= row["left"] <= 300
    said = world.ipvsadm("-Ln", "--persistent-conn").stdout
    [line] = [w.split() for w in said.splitlines() if f"-> {rs}:80" in w]
    assert line[3:] == ["1", "1", "0"], said   # persistent, active, inactive


def test_template_expires_after_the_last_connection(world):
    """A template outlives its timeout while its connections are up, and then goes."""
    persistent(world, timeout=1)
    sysctl("net.ipv4.vs.timeout_close", 1)
    flow, other = world.tcp().establish(), world.tcp(client="192.0.2.3").establish()
    other.up("RA")
    lab.wait_until("the time of the client without connections is up",
                   lambda: [client for client, *_ in templates(world)] == ["192.0.2.2"], 10)
    flow.up("RA")
    world.wait_gone(10)
    [found] = [attrs(r[2]) for _, r in world.netlink().dump(GET_DEST, key())
               if attrs(r[2])[1] == ip(flow.rs)]
    assert [number(found[n]) for n in (7, 8, 9)] == [0, 0, 0]


def test_new_client_after_expiry_is_scheduled_afresh(world):
    """Without connections the template ends in time, and rr goes on."""
    # Time enough for the connection to end first: a template that has one when its
    # time is up stays for another minute.
    persistent(world, timeout=5 * lab.SLOW)
    sysctl("net.ipv4.vs.timeout_close", 1)
    flow = world.tcp()
    flow.up("S")
    flow.down("RA")
    world.wait_gone(10)
    assert serves(world, "192.0.2.2", 41000) != flow.rs


def test_weight_zero_keeps_its_clients(world):
    """Quiescent: those who know it still come, unless expire_quiescent_template."""
    persistent(world)
    rs = serves(world, "192.0.2.2")
    world.edit("-e", rs, "-w", 0)
    assert serves(world, "192.0.2.2", 40001) == rs
    sysctl("net.ipv4.vs.expire_quiescent_template", 1)
    assert serves(world, "192.0.2.2", 40002) != rs
    assert serves(world, "192.0.2.2", 40003) != rs


def test_removed_server_loses_its_clients(world):
    """They go to another, and stay there when it is back."""
    persistent(world)
    rs = serves(world, "192.0.2.2")
    world.edit("-d", rs)
    other = serves(world, "192.0.2.2", 40001)
    assert other != rs
    world.edit("-a", rs)
    assert serves(world, "192.0.2.2", 40002) == other


def test_full_server_goes_on_serving_those_it_knows(world):
    """Thresholds keep new clients away, not those with a template."""
    persistent(world, servers=())
    world.edit("-a", A, "-x", 1, "-y", 1)
    assert serves(world, "192.0.2.2") == A
    assert serves(world, "192.0.2.2", 40001) == A
    refused(world, TCP, src="192.0.2.3")


def test_all_ports_of_a_vip(world):
    """Port 0: every port without a service of its own, at one server; it keeps the port."""
    world.service()
    world.service(port=0, persistent=300, lips=LIPS[1:2], servers=(B, C), rport=0)
    assert world.tcp().establish().rs == A
    flows = [world.tcp(sport=41000 + i, dport=port).establish()
             for i, port in enumerate((21, 443, 8080))]
    assert len({f.rs for f in flows}) == 1 and flows[0].rs in (B, C)
    assert (VIP, 0) in {k[1:] for k in templates(world)}
    listed = world.ipvsadm("-Sn").stdout
    assert f"-A -t {VIP}:0 -s rr -p 300\n" in listed and f"-r {B}:0 -b" in listed


def test_port_zero_must_be_persistent(world):
    """Otherwise each port of a client's would go elsewhere."""
    nl = world.netlink()
    with pytest.raises(Exception) as answer:
        nl.request(1, service(port=bytes(2)))
    assert "persistent" in str(answer.value)


def test_persistence_is_switched_off(world):
    """-E without -p: the next flow is scheduled like any other."""
    persistent(world)
    serves(world, "192.0.2.2")
    nl = world.netlink()
    nl.request(SET_SERVICE, service(flags=u32(0) + u32(PERSISTENT)))
    assert {serves(world, "192.0.2.2", s) for s in (40001, 40002)} == {A, B}


def test_nothing_is_left_of_a_deleted_service(world):
    """Templates of a service that is gone send nobody anywhere."""
    persistent(world)
    rs = serves(world, "192.0.2.2")
    world.delete_service()
    persistent(world, servers=(C,))
    assert serves(world, "192.0.2.2", 40001) == C != rs


def test_templates_of_a_deleted_service_go_soon(world):
    """They hold it, and its VIP, for a minute and no longer."""
    persistent(world, timeout=3000)
    flow = world.tcp().establish()
    flow.up("RA")
    world.delete_service()
    world.wait_gone(70)


def test_mask_bits_are_kept_by_edits_of_servers(world):
    """keepalived repeats flags 0 and timeout 0 with each dest: only the key counts."""
    persistent(world)
    nl = world.netlink()
    nl.request(5, service(flags=u32(0) + u32(-1), timeout=u32(0)) + dest(addr=ip(C)))
    [found] = world.services()
    assert number(found[7][:4]) & PERSISTENT and number(found[8]) == 300
