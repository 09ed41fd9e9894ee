# SPDX-License-Identifier: GPL-2.0
"""How TCP connections begin, end and begin again; what may not move them."""

import pytest

BOTH_FAMILIES = True


def open_flow(world):
    world.service()
    return world.tcp().establish()


# --- beginnings ------------------------------------------------------------------

def test_handshake(world):
    """SYN_RECV until the client acknowledges the server's SYN, and nothing else."""
    world.service()
    flow = world.tcp()
    flow.up("S")
    assert flow.state() == "SYN_RECV"
    flow.down("SA")
    assert flow.state() == "SYN_RECV"
    flow.up("A", ack=flow.next_s - 1)
    assert flow.state() == "SYN_RECV"
    flow.up("A")
    assert flow.state() == "ESTABLISHED"
    assert world.active() == {world.plan.servers[0]: (1, 0)}


def test_retransmitted_syn(world):
    """The same SYN again is the same connection: same port, same number, counted once."""
    world.service()
    flow = world.tcp()
    for _ in range(3):
        flow.up("S", seq=0x10000000)
    assert len(world.conns()) == 1
    assert world.stats()["conns"] == 1
    assert world.active() == {world.plan.servers[0]: (1, 0)}
    flow.next_c = 0x10000001
    flow.down("SA")
    flow.down("SA", seq=flow.next_s - 1)
    flow.up("A")
    assert flow.state() == "ESTABLISHED"


def test_syn_over_a_live_connection(world):
    """It is the server's to answer; our connection stays what it is."""
    flow = open_flow(world)
    with world.counted():
        flow.up("S", seq=0x70000000)
        flow.down("A")
    assert flow.state() == "ESTABLISHED"
    flow.up("PA", b"still here")


# --- ends ------------------------------------------------------------------------

def test_server_closes_first(world):
    """ESTABLISHED, FIN_WAIT, TIME_WAIT; inactive from the first FIN on."""
    flow = open_flow(world)
    flow.down("FA")
    assert flow.state() == "FIN_WAIT"
    assert world.active() == {world.plan.servers[0]: (0, 1)}
    flow.up("PA", b"the client may go on")
    assert flow.state() == "FIN_WAIT"
    flow.up("FA")
    assert flow.state() == "TIME_WAIT"
    flow.down("A")
    assert flow.state() == "TIME_WAIT"


def test_client_closes_first(world):
    """ESTABLISHED, CLOSE_WAIT, LAST_ACK, and CLOSE with the last ACK."""
    flow = open_flow(world)
    flow.up("FA")
    assert flow.state() == "CLOSE_WAIT"
    flow.down("PA", b"the server may go on")
    flow.up("A")
    assert flow.state() == "CLOSE_WAIT"
    flow.down("FPA", b"bye")
    assert flow.state() == "LAST_ACK"
    flow.up("A", ack=flow.next_s - 1)
    assert flow.state() == "LAST_ACK"
    flow.up("A")
    assert flow.state() == "CLOSE"
    assert world.active() == {world.plan.servers[0]: (0, 1)}


@pytest.mark.parametrize("sender", ["up", "down"])
def test_reset(world, sender):
    """A RST with the number that its receiver expects closes."""
    flow = open_flow(world)
    with world.counted():
        getattr(flow, sender)("RA")
    assert flow.state() == "CLOSE"


def test_server_refuses_syn(world):
    """RST and ACK of the SYN, as a closed port answers: number 0."""
    world.service()
    flow = world.tcp()
    flow.up("S")
    with world.counted():
        flow.down("RA", seq=0)
    assert flow.state() == "CLOSE"


def test_client_gives_up_its_syn(world):
    """A RST right behind the client's own SYN."""
    world.service()
    flow = world.tcp()
    flow.up("S")
    flow.up("R")
    assert flow.state() == "CLOSE"


@pytest.mark.parametrize("sender, other", [("up", "down"), ("down", "up")])
def test_reset_behind_unacknowledged_data(world, sender, other):
    """The ACK may be under way: it closes, until somebody speaks on."""
    flow = open_flow(world)
    getattr(flow, sender)("PA", b"never acknowledged")
    with world.counted():
        getattr(flow, sender)("R")
    assert flow.state() == "CLOSE"
    getattr(flow, other)("A")
    assert flow.state() == "ESTABLISHED"
    assert world.active() == {world.plan.servers[0]: (1, 0)}


def test_syn_after_doubtful_reset(world):
    """A client that gave up and comes back from its port: the server starts anew."""
    flow = open_flow(world)
    flow.up("PA", b"never acknowledged")
    flow.up("R")
    flow.next_c, flow.next_s = 0x55555555, 0x66666666
    flow.up("S")
    flow.down("SA")
    assert flow.state() == "SYN_RECV"
    flow.up("A")
    assert flow.state() == "ESTABLISHED"
    flow.up("PA", b"anew")
    flow.down("RA")
    assert flow.state() == "CLOSE"


def test_server_forgot(world):
    """A server that restarted takes a SYN over our live connection: both begin anew."""
    flow = open_flow(world)
    flow.next_c, flow.next_s = 0x40404040, 0x00000001
    flow.up("S")
    assert flow.state() == "ESTABLISHED"
    flow.down("SA")
    assert flow.state() == "SYN_RECV"
    flow.up("A")
    flow.up("FA")
    flow.down("FA")
    flow.up("A")
    assert flow.state() == "CLOSE"


# --- forgeries -------------------------------------------------------------------

@pytest.mark.parametrize("by", [1, -2, 1000, 2**31], ids=["1", "-2", "1000", "2^31"])
@pytest.mark.parametrize("sender", ["up", "down"])
def test_forged_reset(world, sender, by):
    """Any other number is passed on for its receiver to refuse, and changes nothing."""
    flow = open_flow(world)
    at = flow.next_c if sender == "up" else flow.next_s
    with world.counted(tcp_bad_rst=1):
        getattr(flow, sender)("R", seq=at + by)
    assert flow.state() == "ESTABLISHED"
    flow.up("PA", b"still")
    flow.down("PA", b"here")
    assert world.active() == {world.plan.servers[0]: (1, 0)}


@pytest.mark.parametrize("ack", [-1, 1, 12345])
def test_forged_refusal(world, ack):
    """A RST that does not acknowledge the SYN we passed on."""
    world.service()
    flow = world.tcp()
    flow.up("S")
    with world.counted(tcp_bad_rst=1):
        flow.down("RA", seq=0, ack=flow.next_c + flow.shift + ack)
    assert flow.state() == "SYN_RECV"


@pytest.mark.parametrize("by", [0x8000, 2**31 - 1, -100_000], ids=["ahead", "far", "behind"])
@pytest.mark.parametrize("sender", ["up", "down"])
def test_forged_fin(world, sender, by):
    """A FIN outside its receiver's window (29,200 here)."""
    flow = open_flow(world)
    at = flow.next_c if sender == "up" else flow.next_s
    # What lies behind may be a FIN sent again, so it is not held against anyone.
    with world.counted(**({"tcp_bad_fin": 1} if by > 0 else {})):
        getattr(flow, sender)("FA", seq=at + by)
    assert flow.state() == "ESTABLISHED"
    flow.up("PA", b"still")
    flow.down("PA", b"here")


def test_forged_ack_does_not_help_a_forged_reset(world):
    """An ACK of what was never sent does not move what counts as acknowledged."""
    flow = open_flow(world)
    flow.down("A", ack=flow.next_c + flow.shift + 5000)
    with world.counted(tcp_bad_rst=1):
        flow.up("R", seq=flow.next_c + 5000)
    assert flow.state() == "ESTABLISHED"


def test_window_scale_widens_the_fins_window(world):
    """With scaling a FIN at 40,000 lies within the 29,200 * 2 announced."""
    scale = b"\1\3\3\1"
    world.service()
    flow = world.tcp()
    flow.up("S", opt=scale)
    flow.down("SA", opt=scale)
    flow.up("A")
    with world.counted():
        flow.up("FA", seq=flow.next_c + 40000)
    assert flow.state() == "CLOSE_WAIT"


def test_window_scale_needs_both(world):
    """One side's offer alone scales nothing (RFC 7323 2.2)."""
    world.service()
    flow = world.tcp()
    flow.up("S", opt=b"\1\3\3\7")
    flow.down("SA")
    flow.up("A")
    with world.counted(tcp_bad_fin=1):
        flow.down("FA", seq=flow.next_s + 40000)
    assert flow.state() == "ESTABLISHED"


# --- beginning again -------------------------------------------------------------

def to_close(flow):
    flow.up("RA")


def to_time_wait(flow):
    flow.down("FA")
    flow.up("FA")


def to_last_ack(flow):
    flow.up("FA")
    flow.down("FA")


@pytest.mark.parametrize("end", [to_close, to_time_wait, to_last_ack])
def test_syn_over_a_closed_connection(world, end):
    """The client's port is free for it to use again: a new connection begins at once."""
    flow = open_flow(world)
    end(flow)
    again = world.tcp(isn=0x90000000)
    with world.counted(fullnat_conn_reused=1):
        again.up("S")
    assert again.state() == "SYN_RECV"
    again.down("SA")
    again.up("A")
    assert again.state() == "ESTABLISHED" and len(world.conns()) == 1
    assert world.stats()["conns"] == 2
    assert world.active() == {world.plan.servers[0]: (1, 0)}


def test_corrupt_syn_over_a_closed_connection(world):
    """It does not end what is left."""
    flow = open_flow(world)
    to_time_wait(flow)
    with world.counted():
        flow.up("S", off=1, seq=0x90000000)
    assert flow.state() == "TIME_WAIT"
