# SPDX-License-Identifier: GPL-2.0
"""Debian's prometheus-node-exporter, unmodified, on the director."""

import re
import subprocess

import pytest

from e2e.conftest import LIPS, RS1, RS2, VIP
from lib import lab

# In the order of the columns of /proc/net/ip_vs_stats.
TOTALS = ("connections", "incoming_packets", "outgoing_packets", "incoming_bytes",
          "outgoing_bytes")

# A client that fetches as many pages as it was told, lets the server close first
# (so that TIME_WAIT is here, for two minutes), and then keeps connections open
# until its input ends.
CLIENT = """
import socket, sys
for _ in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 80)) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        while s.recv(4096):
            pass
held = [socket.create_connection((sys.argv[1], 80)) for _ in range(int(sys.argv[3]))]
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def exporter(director):
    """The exporter, answering, with its IPVS collector only; not root, as Debian runs it."""
    run = lab.spawn("prometheus-node-exporter", "--collector.disable-defaults",
                    "--collector.ipvs", "--path.procfs=/proc",
                    "--web.listen-address=127.0.0.1:9100", ns="director",
                    user="nobody", group="nogroup", extra_groups=())
    try:
        lab.wait_until("the exporter answers", lambda: lab.sh(
            "curl", "-sf", "http://127.0.0.1:9100/", ns="director", check=False).stdout, 30)
        yield
    finally:
        run.terminate()
        run.wait()


def metrics():
    """{(name, labels): value} of all that begins with node_ipvs_."""
    text = lab.out("curl", "-sSf", "http://127.0.0.1:9100/metrics", ns="director")
    assert 'node_scrape_collector_success{collector="ipvs"} 1' in text, text
    found = re.findall(r"^node_ipvs_(\w+)(?:\{(.*)\})? (\S+)$", text, re.M)
    return {(name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))): float(value)
            for name, labels, value in found}


def backend(kind, rs):
    """The key of a metric of RS behind VIP:80."""
    return f"backend_{kind}", frozenset({
        ("local_address", VIP), ("local_mark", ""), ("local_port", "80"), ("proto", "TCP"),
        ("remote_address", rs), ("remote_port", "80")})


def proc_totals():
    """The third line of /proc/net/ip_vs_stats."""
    row = lab.read("/proc/net/ip_vs_stats", "director").splitlines()[2]
    return [int(word, 16) for word in row.split()]


def test_exporter_shows_service_and_totals(exporter):
    """Weights, connections of each kind, and totals as the kernel has them."""
    lab.ipvsadm("-R", stdin=f"-A -t {VIP}:80 -s wrr\n-P -t {VIP}:80 -z {LIPS}\n"
                f"-a -t {VIP}:80 -r {RS1}:80 -b -w 3\n-a -t {VIP}:80 -r {RS2}:80 -b -w 1\n")
    lab.ipvsadm("-Z")
    hold = lab.spawn("/usr/bin/python3", "-c", CLIENT, VIP, 8, 4, ns="client", text=True,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert hold.stdout.readline() == "held\n"
        expected = {(f"{VIP}:80", f"{RS1}:80"): (3, 3, 6), (f"{VIP}:80", f"{RS2}:80"): (1, 1, 2)}
        lab.wait_until("pages are over and four connections are up",
                       lambda: lab.dests() == expected)
        shown = metrics()
        for (_, rs), numbers in expected.items():
            for kind, number in zip(("weight", "connections_active", "connections_inactive"),
                                    numbers):
                assert shown[backend(kind, rs.split(":")[0])] == number, shown
        assert [shown[f"{name}_total", frozenset()] for name in TOTALS] == proc_totals()
        assert proc_totals()[0] == 12
    finally:
        hold.communicate()
