# SPDX-License-Identifier: GPL-2.0
"""Configuration goes, connections stay until they end."""

import pytest

from lib.packet import TCP, UDP
from test_ports import notice, refused

BOTH_FAMILIES = True

both = pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])


@pytest.fixture
def flow(world, proto):
    world.service(proto)
    return (world.tcp() if proto == TCP else world.udp()).open()


def works(flow):
    flow.up("PA", b"still")
    flow.down("PA", b"here")


def new(world, proto, sport=41000):
    return world.tcp(sport=sport) if proto == TCP else world.udp(sport=sport)


@both
def test_service_deleted(world, flow, proto):
    """Its flow drains; what is new is not ours; added again, it serves at once."""
    world.delete_service(proto)
    works(flow)
    stranger = new(world, proto)
    sent = world.c.send(stranger.from_client("S"))
    world.s.expect(stranger.passed_on(sent))
    world.service(proto)
    new(world, proto).open()
    works(flow)


@both
def test_everything_flushed(world, flow, proto):
    """The same, all at once."""
    world.flush()
    works(flow)
    stranger = new(world, proto)
    sent = world.c.send(stranger.from_client("S"))
    world.s.expect(stranger.passed_on(sent))


@both
def test_server_deleted(world, flow, proto):
    """Its flow drains, new ones go elsewhere or are refused."""
    world.edit("-d", world.plan.servers[0], proto=proto)
    works(flow)
    with world.counted(conn_sched_unreach=1, **notice(proto)):
        refused(world, proto)
    world.edit("-a", world.plan.servers[1], proto=proto)
    assert new(world, proto).open().rs == world.plan.servers[1]
    world.edit("-a", world.plan.servers[0], proto=proto)
    works(flow)
    # Port numbers towards it are still told apart from the old flow's.
    others = [new(world, proto, 42000 + i).open() for i in range(4)]
    assert (flow.rs, flow.lport) not in {(f.rs, f.lport) for f in others}
    works(flow)


@both
def test_lip_deleted(world, flow, proto):
    """Its flow drains; without a LIP new ones are refused; another one serves."""
    world.delete_lip(world.plan.lips[0], proto)
    works(flow)
    with world.counted(drop_no_laddr=1, **notice(proto)):
        refused(world, proto)
    world.add_lip(world.plan.lips[1], proto)
    assert new(world, proto).open().lip == world.plan.lips[1]
    works(flow)


def test_last_flow_ends_after_its_service(world):
    """When the last connection of a deleted service expires, nothing of it is left."""
    world.service(UDP)
    world.timeouts(udp=1)
    flow = world.udp().open()
    world.delete_service(UDP)
    flow.gone()
    sent = world.c.send(flow.from_client(payload=b"late"))
    world.s.expect(flow.passed_on(sent))
    # And the LIP is nobody's: it may be added and deleted as if it were new.
    world.service(UDP)
    again = world.udp().open()
    assert world.lips() == {world.plan.lips[0]: (0, 1)} and again.lip == world.plan.lips[0]


def test_client_retries_after_flush(world):
    """A SYN of a flow that drains still belongs to it; it does not become two."""
    world.service()
    flow = world.tcp()
    flow.up("S")
    world.delete_service()
    flow.up("S", seq=flow.next_c - 1)
    world.service()
    flow.up("S", seq=flow.next_c - 1)
    assert len(world.conns()) == 1
