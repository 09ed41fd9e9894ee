# SPDX-License-Identifier: GPL-2.0
"""net.ipv4.vs: every name, its default and range, in each namespace by itself."""

import pathlib

import pytest

from lib import lab
from world import SERVERS, World, sysctl

INT_MAX = 2**31 - 1
LONG = 2147483
A, B, C = SERVERS

# name: (default, lowest, highest); None: depends on the machine.
KNOBS = {
    "fullnat_masq": (0, 0, 1),
    "fullnat_lport_min": (1025, 1025, 65535),
    "fullnat_lport_max": (65535, 1025, 65535),
    "fullnat_timestamp": (1, 0, 2),
    "fast_xmit": (1, 0, 1),
    "conntrack": (0, 0, 0),
    "run_estimation": (1, 0, 1),
    "conn_max": (None, 0, INT_MAX),
    "fullnat_vip_echo": (0, 0, 1),
    "fullnat_lookahead": (65536, 0, 2**31 - 1),
    "fullnat_stray": (0, 0, 3),
    "conn_expire_tcp_rst": (1, 0, 1),
    "expire_nodest_conn": (2, 0, 2),
    "expire_quiescent_template": (0, 0, 1),
    "lblc_expiration": (86400, 1, LONG),
    "lblcr_expiration": (86400, 1, LONG),
    "drop_entry": (0, 0, 3),
    "drop_packet": (0, 0, 3),
    "secure_tcp": (0, 0, 3),
    "amemthresh": (1024, 0, INT_MAX),
    "am_droprate": (10, 1, INT_MAX),
    "defence_tcp_drop": (0, 0, 1),
    "defence_udp_drop": (0, 0, 1),
    "defence_frag_drop": (0, 0, 1),
    "synproxy_init_mss": (1452, 216, 65535),
    "synproxy_wscale": (1, 0, 1),
    "synproxy_sack": (1, 0, 1),
    "synproxy_timestamp": (1, 0, 1),
    "synproxy_synack_ttl": (63, 1, 255),
    "synproxy_synack_route": (0, 0, 1),
    "synproxy_defer": (0, 0, 1),
    "synproxy_syn_retry": (3, 0, 6),
    "synproxy_ack_skb_store_thresh": (3, 0, 5),
    "synproxy_ack_skb_store_kib": (65536, 0, 1 << 20),
    "synproxy_bad_ack_rst": (0, 0, 1),
    "synproxy_probe": (1, 0, 1),
    "synproxy_ack_storm_thresh": (10, 0, 14),
    "synproxy_conn_reuse": (1, 0, 1),
    "synproxy_conn_reuse_close": (1, 0, 1),
    "synproxy_conn_reuse_time_wait": (1, 0, 1),
    "synproxy_conn_reuse_last_ack": (0, 0, 1),
    "synproxy_auto_thresh": (1024, 1, 1 << 24),
    "synproxy_auto_calm": (60, 1, 86400),
    "timeout_established": (900, 1, LONG),
    "timeout_synrecv": (60, 1, LONG),
    "timeout_finwait": (120, 1, LONG),
    "timeout_timewait": (120, 1, LONG),
    "timeout_close": (10, 1, LONG),
    "timeout_closewait": (60, 1, LONG),
    "timeout_lastack": (30, 1, LONG),
    "timeout_udp": (300, 1, LONG),
    "timeout_onepacket": (10, 1, LONG),
}


def knob(name):
    return pathlib.Path("/proc/sys/net/ipv4/vs", name)


def value(name):
    return int(knob(name).read_text())


def test_all_are_known(world):
    """No name without its line here and in the manual, and none that is faked."""
    assert {p.name for p in knob("").iterdir()} == set(KNOBS)
    manual = (lab.TOP / "dist" / "ip_vs_fullnat.4").read_text()
    assert [n for n in KNOBS if n not in manual] == []


@pytest.fixture(scope="module")
def quiet(loaded):
    """A namespace for all cases that only read and write."""
    made = World()
    yield made
    made.close()


@pytest.mark.parametrize("name", KNOBS)
def test_range(quiet, name):
    """The default; both ends of the range are taken; what is past them is refused and kept out."""
    default, low, high = KNOBS[name]
    assert default is None or value(name) == default
    before = value(name)
    for good in (high, low):
        knob(name).write_text(str(good))
        assert value(name) == good
    for bad in (low - 1, high + 1, "x", "", "1.5"):
        with pytest.raises(OSError):
            knob(name).write_text(f"{bad}\n")
        assert value(name) == low
    knob(name).write_text(str(before))


def test_lport_range_stays_one(world):
    """The lower end is never above the upper one."""
    sysctl("net.ipv4.vs.fullnat_lport_max", 3000)
    with pytest.raises(OSError):
        sysctl("net.ipv4.vs.fullnat_lport_min", 3001)
    sysctl("net.ipv4.vs.fullnat_lport_min", 3000)
    with pytest.raises(OSError):
        sysctl("net.ipv4.vs.fullnat_lport_max", 2999)


def test_each_namespace_has_its_own(world):
    """What one sets, another does not see."""
    sysctl("net.ipv4.vs.timeout_udp", 7)
    other = lab.Namespace()
    other.enter()
    try:
        assert value("timeout_udp") == 300
    finally:
        other.leave()
    assert value("timeout_udp") == 7


def test_who_is_root_by_a_user_namespace(world):
    """May read, not write: what is set there costs the whole host."""
    if not pathlib.Path("/proc/self/ns/user").exists():
        pytest.skip("this kernel has no user namespaces")
    for what, may in (("cat", True), ("echo 1 >", False)):
        done = lab.sh("unshare", "-Urn", "sh", "-c",
                      f"{what} /proc/sys/net/ipv4/vs/fullnat_lookahead", check=False)
        assert (done.returncode == 0) == may, done.stderr


def test_timeouts_are_those_of_set(world):
    """ipvsadm --set and the sysctls speak of the same three."""
    world.ipvsadm("--set", 11, 12, 13)
    assert [value(f"timeout_{n}") for n in ("established", "finwait", "udp")] == [11, 12, 13]
    sysctl("net.ipv4.vs.timeout_udp", 14)
    assert "11 12 14" in world.ipvsadm("-L", "--timeout").stdout


def left(world):
    [conn] = world.conns()
    return conn["left"]


def test_timeout_of_each_state(world):
    """The state that a connection is in decides how long it waits."""
    for i, state in enumerate(("synrecv", "established", "closewait", "lastack", "close")):
        sysctl(f"net.ipv4.vs.timeout_{state}", 1000 * (i + 1))
    world.service()
    flow = world.tcp()
    for step, (way, flags) in enumerate((("up", "S"), ("down", "SA"), ("up", "A"), ("up", "FA"),
                                         ("down", "FA"), ("up", "A"))):
        getattr(flow, way)(flags)
        wanted = [1000, 1000, 2000, 3000, 4000, 5000][step]
        assert wanted - 5 * lab.SLOW <= left(world) <= wanted, (step, flow.state())


def test_fast_xmit_off(world):
    """Translated packets go through LOCAL_OUT, and look the same."""
    world.service()
    flow = world.tcp().establish()
    sysctl("net.ipv4.vs.fast_xmit", 0)
    with world.counted(fast_xmit_reject=2):
        flow.up("PA", b"slow")
        flow.down("PA", b"but sure")


TIMESTAMP = bytes((8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 1))


def test_timestamp_passed(world):
    """fullnat_timestamp=0: the server may use the client's timestamps."""
    world.service()
    sysctl("net.ipv4.vs.fullnat_timestamp", 0)
    world.tcp().up("S", opt=TIMESTAMP)


def test_timestamp_stripped(world):
    """1: the option is made NOPs in a SYN."""
    world.service()
    world.tcp().up("S", opt=TIMESTAMP, arrives=dict(opt=bytes([1] * 12)))


def remove_server(world, mode):
    """A flow whose server is then removed, under expire_nodest_conn=MODE."""
    world.service(servers=(A, B))
    flow = world.tcp().establish()
    sysctl("net.ipv4.vs.expire_nodest_conn", mode)
    world.edit("-d", flow.rs)
    return flow


def test_nodest_drain(world):
    """2: a connection whose server is removed goes on."""
    flow = remove_server(world, 2)
    flow.up("PA", b"x")
    flow.down("PA", b"y")


def test_nodest_drop(world):
    """0: its packets are dropped until the server is back; then it goes on."""
    flow = remove_server(world, 0)
    with world.counted(drop_dest_gone=2):
        world.c.send(flow.from_client("PA", b"lost"))
        world.s.send(flow.from_server("PA", b"lost"))
        world.quiet()
    world.edit("-a", flow.rs)
    flow.up("PA", b"back")
    flow.down("PA", b"again")
    assert world.active()[flow.rs] == (1, 0)


def test_nodest_expire(world):
    """1: the next packet ends it."""
    flow = remove_server(world, 1)
    with world.counted(drop_dest_gone=1):
        world.c.send(flow.from_client("PA", b"lost"))
        world.quiet()
    assert flow.state() is None


def test_server_that_comes_back_has_its_connections(world):
    """Removed and added again while it drains: its counts are right at once."""
    world.service(servers=(A,), scheduler="lc")
    flows = [world.tcp(sport=40000 + i).establish() for i in range(3)]
    world.edit("-d", A)
    world.edit("-a", B)
    world.edit("-a", A)
    assert world.active() == {A: (3, 0), B: (0, 0)}
    assert [world.tcp(sport=41000 + i).establish().rs for i in range(3)] == [B] * 3
    for flow in flows:
        flow.up("RA")
    assert world.active()[A] == (0, 3)
