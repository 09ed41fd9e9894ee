# SPDX-License-Identifier: GPL-2.0
"""Which server a new connection goes to, and when to none."""

import pytest

from lib.packet import TCP, UDP
from test_ports import notice, refused
from world import SERVERS

A, B, C = SERVERS
# Those that never refuse while a server is available.
WILLING = ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "twos"]


def picks(world, n, first=40000):
    """The servers of N new flows, in order."""
    flows = [world.tcp(sport=first + i) for i in range(n)]
    return [flow.establish().rs for flow in flows]


def test_rr(world):
    """One after the other, whatever their weights."""
    world.service(scheduler="rr", servers={A: 1, B: 5, C: 1})
    order = picks(world, 7)
    assert order[:3] == order[3:6] and set(order[:3]) == {A, B, C}
    assert order[6] == order[0]


def test_rr_passes_by_weight_zero(world):
    """A server that drains is left out of the round."""
    world.service(scheduler="rr", servers={A: 1, B: 0, C: 1})
    assert sorted(picks(world, 6)) == [A] * 3 + [C] * 3


def test_wrr(world):
    """By weight, and not all of one server's turns in a row."""
    world.service(scheduler="wrr", servers={A: 3, B: 1})
    order = picks(world, 8)
    assert order.count(A) == 6 and order.count(B) == 2
    assert order[:4].count(B) == 1


def test_wrr_common_divisor(world):
    """20:40 is 1:2."""
    world.service(scheduler="wrr", servers={A: 20, B: 40})
    assert sorted(picks(world, 3)) == [A, B, B]


def test_lc(world):
    """To whom has the fewest; one that is active weighs more than one that is not."""
    world.service(scheduler="lc", servers=(A, B))
    flow = world.tcp(sport=30000).establish()
    other = world.tcp(sport=30001).establish()
    assert {flow.rs, other.rs} == {A, B}
    flow.up("RA")
    assert flow.state() == "CLOSE"
    assert picks(world, 1) == [flow.rs]


def test_lc_ignores_weights(world):
    """Least connections is blind to weights above zero."""
    world.service(scheduler="lc", servers={A: 1, B: 100})
    assert sorted(picks(world, 4)) == [A, A, B, B]


def test_wlc(world):
    """Connections in proportion to weights."""
    world.service(scheduler="wlc", servers={A: 1, B: 3})
    order = picks(world, 8)
    assert order.count(A) == 2 and order.count(B) == 6


def test_wrr_leaves_no_gap(world):
    """While the heaviest is full the others share by their weights."""
    world.service(scheduler="wrr", servers=())
    world.edit("-a", A, "-w", 60000, "-x", 1, "-y", 1)
    world.edit("-a", B, "-w", 2)
    world.edit("-a", C, "-w", 1)
    assert A in picks(world, 2, first=30000)
    order = picks(world, 6)
    assert order.count(B) == 4 and order.count(C) == 2


def test_sed(world):
    """The fast one gets the first; the slow one comes in when its delay is no longer."""
    world.service(scheduler="sed", servers={A: 1, B: 3})
    assert picks(world, 4) == [B, B, A, B]


def test_nq(world):
    """Nobody waits while another is idle, whatever the weights."""
    world.service(scheduler="nq", servers={A: 1, B: 100})
    order = picks(world, 4)
    assert sorted(order[:2]) == [A, B] and order[2:] == [B, B]


def test_fo(world):
    """All to the heaviest; when that drains, to the next."""
    world.service(scheduler="fo", servers={A: 1, B: 3, C: 2})
    assert picks(world, 3) == [B] * 3
    world.edit("-e", B, "-w", 0)
    assert picks(world, 3, first=41000) == [C] * 3


def test_ovf(world):
    """The heaviest takes as many as its weight and one, then the next; then nobody."""
    world.service(scheduler="ovf", servers={A: 1, B: 2})
    assert picks(world, 5) == [B] * 3 + [A] * 2
    with world.counted(conn_sched_unreach=1, refused_rst=1):
        refused(world, TCP)


def test_twos(world):
    """Of two draws by weight the less loaded: near the weights' proportion."""
    world.service(scheduler="twos", servers={A: 1, B: 3})
    order = picks(world, 80)
    assert 12 <= order.count(A) <= 28, order.count(A)


@pytest.mark.parametrize("scheduler", WILLING)
def test_weight_zero_drains(world, scheduler):
    """No new connections, but those that are there go on, and weight brings it back."""
    world.service(scheduler=scheduler, servers=(A, B))
    flows = [world.tcp(sport=p).establish() for p in (30000, 30001)]
    world.edit("-e", A, "-w", 0)
    assert picks(world, 4) == [B] * 4
    for flow in flows:
        flow.up("PA", b"still")
        flow.down("PA", b"here")
    world.edit("-e", B, "-w", 0)
    with world.counted(conn_sched_unreach=1, refused_rst=1):
        refused(world, TCP)
    world.edit("-e", A, "-w", 1)
    assert picks(world, 2, first=41000) == [A] * 2


@pytest.mark.parametrize("scheduler", WILLING)
@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_no_server(world, proto, scheduler):
    """A service without a server refuses at once, and works once there is one."""
    world.service(proto, scheduler=scheduler, servers=())
    with world.counted(conn_sched_unreach=1, **notice(proto)):
        refused(world, proto)
    world.edit("-a", A, proto=proto)
    assert (world.tcp() if proto == TCP else world.udp()).open().rs == A


@pytest.mark.parametrize("scheduler", WILLING)
def test_upper_threshold(world, scheduler):
    """A server that has as many as it may is passed by; below the lower one it is back."""
    world.timeouts(fin=1)
    world.service(scheduler=scheduler, servers=())
    world.edit("-a", A, "-x", 2, "-y", 2)
    flows = [world.tcp(sport=p).establish() for p in (30000, 30001)]
    with world.counted(conn_sched_unreach=1, refused_rst=1):
        refused(world, TCP)
    world.edit("-a", B)
    assert picks(world, 2) == [B, B]
    flows[0].up("PA", b"still here")
    world.edit("-d", B)
    flows[0].down("FA")
    flows[0].gone()
    assert picks(world, 1, first=41000) == [A]


def test_upper_threshold_raised(world):
    """Raised, it takes effect at once."""
    world.service(servers=())
    world.edit("-a", A, "-x", 1, "-y", 1)
    world.tcp(sport=30000).establish()
    refused(world, TCP)
    world.edit("-e", A, "-x", 2, "-y", 1)
    assert picks(world, 1) == [A]


def test_scheduler_is_changed(world):
    """-E takes effect on the next connection and leaves those that are there."""
    world.service(scheduler="rr", servers={A: 1, B: 3})
    flow = world.tcp(sport=30000).establish()
    world.edit_service(scheduler="wrr")
    order = picks(world, 8)
    assert order.count(B) == 6
    flow.up("PA", b"still here")
