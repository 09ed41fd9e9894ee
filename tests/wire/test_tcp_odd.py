# SPDX-License-Identifier: GPL-2.0
"""TCP as it is seldom seen: ports used again too early, closes that cross, sides that wait."""

import time

import pytest

from options import sack
from test_expiry import SHORT, next_second
from world import sysctl

BOTH_FAMILIES = True

STAMP = b"\1\1\x08\x0a" + bytes([0, 0, 0, 9]) + bytes(4)


@pytest.fixture
def flow(world):
    world.service()
    return world.tcp().establish()


def stay_established(flow):
    pass


def to_fin_wait(flow):
    flow.down("FA")
    flow.up("A")


def to_close_wait(flow):
    flow.up("FA")
    flow.down("A")


def to_time_wait(flow):
    to_fin_wait(flow)
    flow.up("FA")
    flow.down("A")


def to_last_ack(flow):
    to_close_wait(flow)
    flow.down("FA")


LIVE = {"ESTABLISHED": stay_established, "FIN_WAIT": to_fin_wait, "CLOSE_WAIT": to_close_wait}
OVER = {"TIME_WAIT": to_time_wait, "LAST_ACK": to_last_ack}


def challenged(flow):
    """The server answers a SYN as RFC 5961 4 says, and a client that knows nothing resets."""
    flow.down("A")
    with flow.world.counted():
        flow.up("R")
    assert flow.state() == "CLOSE"


def starts_afresh(world, isn, opt=b""):
    """A SYN from the same port makes a connection of its own at once."""
    again = world.tcp(isn=isn)
    with world.counted(fullnat_conn_reused=1):
        again.up("S", opt=opt, arrives=dict(opt=b"\1" * len(opt)))
    again.down("SA")
    again.up("A")
    assert again.state() == "ESTABLISHED" and len(world.conns()) == 1


def judged_by_the_server(world, flow, by):
    """A SYN with a number BY from the next goes on and changes nothing; challenged, it is new."""
    state, isn = flow.state(), flow.next_c + by
    with world.counted():
        flow.up("S", seq=isn)
    assert flow.state() == state
    challenged(flow)
    starts_afresh(world, isn)


# --- a port that is used again ---------------------------------------------------

@pytest.mark.parametrize("by", [1000, -1000, 2**31], ids=["within", "behind", "far"])
@pytest.mark.parametrize("state", LIVE)
def test_syn_over_what_lives(world, flow, state, by):
    """The server is asked, whatever the number; its challenge and the RST end the old one."""
    LIVE[state](flow)
    assert flow.state() == state
    judged_by_the_server(world, flow, by)


@pytest.mark.parametrize("state", OVER)
def test_newer_syn_over_what_is_over(world, flow, state):
    """A number behind the last one was never used before: RFC 9293 3.6.1."""
    OVER[state](flow)
    starts_afresh(world, flow.next_c + 1)


@pytest.mark.parametrize("by", [-1, -100_000, 2**31 + 5])
@pytest.mark.parametrize("state", OVER)
def test_older_syn_over_what_is_over(world, flow, state, by):
    """It may be of the past: the server, who knows more, is to say so."""
    OVER[state](flow)
    assert flow.state() == state
    judged_by_the_server(world, flow, by)


@pytest.mark.parametrize("state", OVER)
def test_older_syn_with_timestamps(world, flow, state):
    """What offers timestamps is new where there were none: RFC 6191."""
    OVER[state](flow)
    starts_afresh(world, flow.next_c - 1000, opt=STAMP)


@pytest.mark.parametrize("mode", [0, 2])
def test_server_finds_a_syn_newer(world, mode):
    """By a timestamp that we have not kept: the connection begins again on its old port."""
    world.service()
    sysctl("net.ipv4.vs.fullnat_timestamp", mode)
    flow = world.tcp()
    sent = world.c.send(flow.from_client("S", opt=STAMP))
    seen = flow._learn(sent).opt
    flow.next_c += 1
    flow.down("SA")
    flow.up("A")
    to_time_wait(flow)
    flow.next_c, flow.next_s = flow.next_c - 1000, 0x66666666
    with world.counted():
        flow.up("S", opt=STAMP, arrives=dict(opt=seen))
    assert flow.state() == "TIME_WAIT"
    flow.down("SA")
    assert flow.state() == "SYN_RECV"
    flow.up("A")
    flow.up("PA", b"anew")
    assert flow.state() == "ESTABLISHED" and world.active() == {flow.rs: (1, 0)}


# --- what changes nothing --------------------------------------------------------

@pytest.mark.parametrize("state", [*LIVE, *OVER])
@pytest.mark.parametrize("sender", ["up", "down"])
def test_forgeries_in_every_state(world, flow, state, sender):
    """RST, FIN and SYN outside the window are passed on for their receiver to refuse."""
    {**LIVE, **OVER}[state](flow)
    at = flow.next_c if sender == "up" else flow.next_s
    with world.counted(tcp_bad_rst=2, tcp_bad_fin=1):
        getattr(flow, sender)("R", seq=at + 40_000)
        getattr(flow, sender)("R", seq=at - 40_000)
        getattr(flow, sender)("FA", seq=at + 40_000)
        getattr(flow, sender)("FA", seq=at - 40_000)
    assert flow.state() == state
    with world.counted():
        getattr(flow, sender)("FS", seq=at + 40_000)
        getattr(flow, sender)("FSPU", seq=at)
    assert flow.state() == state


def test_syn_of_a_server(world, flow):
    """Servers do not open connections."""
    with world.counted():
        flow.down("S", seq=flow.next_s + 5)
        flow.down("S", seq=flow.next_s - 70_000)
    assert flow.state() == "ESTABLISHED"
    flow.up("PA", b"still")
    flow.down("PA", b"here")


# --- ends ------------------------------------------------------------------------

def test_both_close_at_once_the_client_first(world, flow):
    """Neither FIN acknowledges the other."""
    flow.up("FA")
    flow.down("FA", ack=flow.next_c + flow.shift - 1)
    assert flow.state() == "LAST_ACK"
    flow.up("A")
    assert flow.state() == "CLOSE"
    flow.down("A")
    assert flow.state() == "CLOSE" and world.active() == {flow.rs: (0, 1)}


def test_both_close_at_once_the_server_first(world, flow):
    """The same, as they passed us in the other order."""
    flow.down("FA")
    flow.up("FA", ack=flow.next_s - 1)
    assert flow.state() == "TIME_WAIT"
    flow.down("A")
    flow.up("A")
    assert flow.state() == "TIME_WAIT" and world.active() == {flow.rs: (0, 1)}


def goes_on(flow, sender, other, state):
    """One side has closed; the other speaks on for longer than STATE may be silent."""
    until = time.monotonic() + 2 * SHORT + 1
    while time.monotonic() < until:
        next_second()
        getattr(flow, sender)("PA", b"on and on")
        getattr(flow, other)("A")
        assert flow.state() == state


def test_client_that_only_listens(world, flow):
    """It has closed its half and is sent to, for hours: the connection stays."""
    sysctl("net.ipv4.vs.timeout_closewait", SHORT)
    to_close_wait(flow)
    goes_on(flow, "down", "up", "CLOSE_WAIT")
    sysctl("net.ipv4.vs.timeout_closewait", 36000)
    flow.up("A")
    assert world.conns()[0]["left"] > 35900     # nobody need speak
    flow.down("FA")
    flow.up("A")
    assert flow.state() == "CLOSE"


def test_server_that_only_listens(world, flow):
    """The same the other way round."""
    sysctl("net.ipv4.vs.timeout_finwait", SHORT)
    to_fin_wait(flow)
    goes_on(flow, "up", "down", "FIN_WAIT")
    sysctl("net.ipv4.vs.timeout_finwait", 36000)
    flow.down("A")
    assert world.conns()[0]["left"] > 35900
    flow.up("FA")
    flow.down("A")
    assert flow.state() == "TIME_WAIT"


# --- numbers ---------------------------------------------------------------------

def test_zero_window(world, flow):
    """Probes pass, and so does the FIN of somebody who may send nothing else."""
    flow.up("A", win=0)
    for _ in range(2):
        flow.down("A", seq=flow.next_s - 1)
        flow.down("A", b"?", seq=flow.next_s)
        flow.up("A", win=0)
    flow.up("A", win=0x7000)
    flow.down("PA", b"at last")
    assert flow.state() == "ESTABLISHED"


def test_window_never_opened(world):
    """A FIN right where the receiver is, who has no room at all, counts."""
    world.service()
    flow = world.tcp()
    flow.up("S")
    flow.down("SA", win=0)
    flow.up("A")
    flow.down("A", win=0)
    with world.counted(tcp_bad_fin=1):
        flow.up("FA", seq=flow.next_c + 1)
    with world.counted():
        flow.up("FA")
    assert flow.state() == "CLOSE_WAIT"


@pytest.mark.parametrize("left", range(4))
def test_numbers_wrap(world, left):
    """The life of a connection with 2^32 at any of its steps, on either side."""
    world.service()
    flow = world.tcp(isn=2**32 - 1 - left, server_isn=2**32 - 3 + left).establish()
    flow.up("PA", b"a")
    flow.down("PA", b"b")
    flow.up("A")
    assert flow.state() == "ESTABLISHED"
    flow.up("FA")
    flow.down("A")
    assert flow.state() == "CLOSE_WAIT"
    flow.down("FA")
    flow.up("A")
    assert flow.state() == "CLOSE"


@pytest.mark.parametrize("isn", [0x10000000, 2**32 - 30], ids=["plain", "wraps"])
def test_sack_and_dsack(world, isn):
    """Edges of the server's are in its numbers; a block may lie below what it acknowledges."""
    world.service()
    flow = world.tcp(isn=isn).establish()
    flow.up("PA", bytes(100))
    for edges in ((10, 20), (-80, -70), (-80, -70, -90, -60), (-5, 0, 10, 20, 30, 40),
                  (10, 20, 30, 40, 50, 60),
                  (2**31, 2**31 + 5)):
        here = [flow.next_c + e for e in edges]
        flow.down("A", opt=sack(*(e + flow.shift for e in here)), arrives=dict(opt=sack(*here)))
        flow.up("A", opt=sack(*(flow.next_s + e for e in edges)))
