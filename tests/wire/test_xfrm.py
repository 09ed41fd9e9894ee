# SPDX-License-Identifier: GPL-2.0
"""What the host's IPsec policies say of packets between LIP and server is obeyed."""

import pytest

from lib.packet import UDP
from world import ip as iproute
from world import sysctl

BOTH_FAMILIES = True


def policy(world, action, how=""):
    """ACTION for all that leaves for the first server, and HOW."""
    rs = world.plan.servers[0]
    iproute(f"xfrm policy add src {world.plan.lips[0]} dst {rs} dir out action {action} {how}")


def test_block(world):
    """No route, that is, and nothing in clear."""
    world.service(UDP)
    policy(world, "block")
    with world.counted(drop_no_route=1):
        world.c.send(world.udp().from_client(payload=b"secret"))
        world.quiet()


def test_block_what_is_up(world):
    """A policy that comes later counts from the next packet on."""
    world.service(UDP)
    flow = world.udp()
    flow.up(payload=b"public")
    policy(world, "block")
    with world.counted(drop_no_route=1):
        world.c.send(flow.from_client(payload=b"secret"))
        world.quiet()


@pytest.mark.parametrize("drop", [0, 1], ids=["larval", "dropped"])
def test_not_yet_agreed(world, drop):
    """A policy without a key, for which daemons negotiate: nothing in clear meanwhile."""
    sysctl("net.core.xfrm_larval_drop", drop)
    world.service(UDP)
    policy(world, "allow", "tmpl proto esp mode transport")
    with world.counted(drop_no_route=1):
        world.c.send(world.udp().from_client(payload=b"secret"))
        world.quiet()


def test_allow(world):
    """It changes nothing."""
    world.service(UDP)
    policy(world, "allow")
    flow = world.udp()
    flow.up(payload=b"public")
    flow.down(payload=b"public")
