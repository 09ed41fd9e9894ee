# SPDX-License-Identifier: GPL-2.0
"""Local ports that are used again while the real server still remembers them.

Two clients with clocks of their own knock in turn, from 16 ports each, as fast as they can,
and find all local ports of one LIP in the server's TIME_WAIT, which takes a minute.
"""

import pytest

from e2e.conftest import RS1, VIP, service
from e2e.test_ipv6 import SERVERS6, VIP6
from lib import lab

SECONDS = 5 if lab.SLOW == 1 else 15
PORTS = 40                                      # of the LIP
AGAIN = "/tmp/again"


@pytest.fixture(scope="module")
def again():
    """The client and server of these cases."""
    lab.sh("gcc", "-O2", "-o", AGAIN, lab.TOP / "tests" / "e2e" / "again.c")


def tcp_counter(name, ns):
    """NAME of namespace NS's /proc/net/netstat."""
    rows = [row.split() for row in lab.read("/proc/net/netstat", ns).splitlines()
            if row.startswith("TcpExt:")]
    return int(dict(zip(*rows))[name])


FAMILIES = {
    4: dict(vip=VIP, lip="10.99.0.1", rs=RS1, sources=("192.0.2.10", "192.0.2.11"), prefix=24),
    6: dict(vip=VIP6, lip="2001:db8:99::1", rs=SERVERS6[0],
            sources=("2001:db8:c::10", "2001:db8:c::11"), prefix=64),
}


def knock(family, mode, turn=0):
    """(connections in SECONDS, SYNs sent twice) under fullnat_timestamp=MODE."""
    plan = FAMILIES[family]
    # Each case has a port of its own: what the server remembers of the last one was
    # numbered by another key.
    port = 4000 + 100 * turn + 10 * family + mode
    vip, rs = (f"{a}:{port}" if family == 4 else f"[{a}]:{port}" for a in (plan["vip"], plan["rs"]))
    lab.sh("sysctl", "-qw", f"net.ipv4.vs.fullnat_timestamp={mode}",
           f"net.ipv4.vs.fullnat_lport_max={1025 + PORTS - 1}", ns="director")
    service(f"-t {vip}", rs, lips=plan["lip"])
    lab.sh("ip", "addr", "replace", f"{plan['sources'][1]}/{plan['prefix']}", "dev", "eth0",
           *(["nodad"] if family == 6 else []), ns="client")
    server = lab.spawn(AGAIN, "serve", plan["rs"], port, ns="rs1")
    lab.wait_until("it listens", lambda: f":{port}" in lab.out("ss", "-tlnH", ns="rs1"))
    before = tcp_counter("TCPSynRetrans", "client")
    try:
        said = lab.out(AGAIN, "knock", plan["vip"], port, SECONDS, *plan["sources"], ns="client")
    finally:
        server.terminate()
        server.wait()
        lab.sh("ip", "addr", "del", f"{plan['sources'][1]}/{plan['prefix']}", "dev", "eth0",
               ns="client")
    return int(said), tcp_counter("TCPSynRetrans", "client") - before


@pytest.mark.parametrize("mode", [1, 2], ids=["stripped", "translated"])
@pytest.mark.parametrize("family", [4, 6], ids=["ip4", "ip6"])
def test_no_syn_is_refused(director, again, family, mode):
    """Whoever had the port before, and however long ago."""
    for turn in range(2):
        done, twice = knock(family, mode, turn)
        # Or the machine stood still for a second, which does not come twice.
        if not twice:
            break
    lab.figure(f"local ports used again, IPv{family}, fullnat_timestamp={mode}: {done} connections"
               f" by {PORTS} ports in {SECONDS} s, {twice} SYNs sent twice")
    assert done > 2 * PORTS
    assert not twice


def test_some_are_if_timestamps_pass(director, again):
    """fullnat_timestamp=0: a clock behind the last one's is a segment of the past."""
    _, twice = knock(4, 0)
    assert twice
