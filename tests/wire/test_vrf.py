# SPDX-License-Identifier: GPL-2.0
"""The same addresses in a VRF and outside of it are different people."""

import pytest

from lib import lab
from world import CLIENT, CLIENT_DEV, MACS, SERVER_DEV, SERVERS, ip


@pytest.fixture
def red(world):
    """A second pair of cables, in the VRF "red", addressed as the first."""
    if lab.sh("modprobe", "vrf", check=False).returncode:
        pytest.skip("this kernel has no VRF")
    world.red_c, world.red_s = world.tap("redc"), world.tap("reds")
    ip("link add red type vrf table 10", "link set red up",
       f"link set redc address {CLIENT_DEV} master red up",
       f"link set reds address {SERVER_DEV} master red up",
       "address add 192.0.2.1/24 dev redc", "address add 10.10.0.1/24 dev reds",
       f"neigh add {CLIENT} lladdr {MACS[CLIENT]} dev redc nud permanent",
       f"neigh add {SERVERS[0]} lladdr {MACS[SERVERS[0]]} dev reds nud permanent")
    return world


def swap(world):
    """What was the first pair of cables is the second from now on."""
    world.c, world.red_c = world.red_c, world.c
    world.s, world.red_s = world.red_s, world.s


def test_same_client_twice(red):
    """Two connections with one and the same four numbers, each in its own world."""
    red.service()
    plain = red.tcp().establish()
    swap(red)
    inside = red.tcp(isn=0x70000000).establish()
    assert len(red.conns()) == 2
    assert inside.lport != plain.lport
    inside.up("PA", b"in the VRF")
    inside.down("PA", b"in the VRF")
    swap(red)
    plain.up("PA", b"outside")
    plain.down("PA", b"outside")
    # What belongs to the one is nothing to the other.
    red.red_s.send(plain.from_server("PA", b"from the wrong side"))
    red.quiet()
    red.red_c.silent()


def test_refusal_stays_inside(red):
    """The client in the VRF hears it, the one outside does not."""
    red.service(servers=())
    swap(red)
    flow = red.tcp()
    red.c.send(flow.from_client("S"))
    got = red.c.receive()
    assert got.flags == "RA" and got.dmac == MACS[CLIENT]
    red.red_c.silent()
