# SPDX-License-Identifier: GPL-2.0
"""Tracepoints: why a packet was dropped, and the life of a connection."""

import pathlib

import pytest

from test_ports import refused
from lib import lab
from lib.packet import TCP
from world import CLIENT, VIP, sysctl

TRACING = pathlib.Path("/sys/kernel/tracing")


@pytest.fixture
def trace(world):
    """Tracing of our events; call it for what has come since: [(event, text)]."""
    lab.sh("mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true")
    enable = TRACING / "events" / "ip_vs_fullnat" / "enable"
    (TRACING / "trace").write_text("")
    enable.write_text("1")

    def lines():
        return [line.split(": ", 2)[1:] for line in (TRACING / "trace").read_text().splitlines()
                if line and line[0] != "#"]
    yield lines
    enable.write_text("0")


def test_drop(world, trace):
    """The packet as it came, and the name of the counter."""
    world.service(servers=())
    refused(world, TCP)
    [text] = [text for event, text in trace() if event == "fnat_drop"]
    assert text.startswith(f"reason=conn_sched_unreach proto=6 {CLIENT}:50000 > {VIP}:80 "
                           "tcp_flags=0x02 mark=0")


def test_connection(world, trace):
    """New, each state, gone."""
    world.service()
    sysctl("net.ipv4.vs.timeout_close", 1)
    flow = world.tcp().establish()
    flow.up("RA")
    lab.wait_until("it is freed", lambda: "fnat_conn_free" in dict(trace()), 30)
    ends = (f"proto=6 {CLIENT}:40000 > {VIP}:80, {flow.lip}:{flow.lport} > {flow.rs}:80")
    got = [(event, text.split("proto", 1)[1].split(" ", 7)) for event, text in trace()]
    assert all(("proto" + " ".join(words[:7])) == ends for _, words in got)
    assert [(event, words[7]) for event, words in got] == [
        ("fnat_conn_new", "SYN_RECV > SYN_RECV"),
        ("fnat_conn_state", "SYN_RECV > ESTABLISHED"),
        ("fnat_conn_state", "ESTABLISHED > CLOSE"), ("fnat_conn_free", "CLOSE > CLOSE")]
