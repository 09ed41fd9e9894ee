# SPDX-License-Identifier: GPL-2.0
"""What monitoring reads, in the formats that it knows from in-tree IPVS."""

import re

from e2e.conftest import RS1, VIP, curl
from lib import lab

HEX = r" *[0-9A-F]+"
SUM = rf"{HEX} {HEX} {HEX} {HEX} {HEX}\n"


def read(name):
    return lab.read(f"/proc/net/{name}", "director")


def rates():
    """Connections, packets and bytes per second of the service, as ipvsadm has them."""
    row = lab.ipvsadm("-Ln", "--rate", "--exact").stdout.splitlines()[3]
    return list(map(int, row.split()[2:]))


def test_proc_ip_vs(web):
    """Services and servers, addresses in hex."""
    lines = read("ip_vs").splitlines()
    assert lines[0] == "IP Virtual Server version 1.2.1 (size=4194304)"
    assert lines[3] == "TCP  C6336401:0050 rr  "
    assert lines[4] == "  -> 0A0A0002:0050      FullNat 1      0          0         "
    assert len(lines) == 6


def test_proc_ip_vs_lists_many(director):
    """A listing longer than a page has every service once."""
    lab.ipvsadm("-R", stdin="".join(
        f"-A -t {VIP}:{port} -s rr\n-a -t {VIP}:{port} -r {RS1}:80 -b\n"
        for port in range(1000, 1400)))
    ports = [int(m, 16) for m in re.findall(r"^TCP  C6336401:(....)", read("ip_vs"), re.M)]
    assert ports == list(range(1000, 1400))
    lab.ipvsadm("-C")


def test_proc_ip_vs_stats(web):
    """Totals in hex, then rates; the same for each CPU and their sum."""
    lab.ipvsadm("-Z")
    for _ in range(3):
        curl(f"http://{VIP}/")
    assert re.fullmatch(
        "   Total Incoming Outgoing         Incoming         Outgoing\n"
        "   Conns  Packets  Packets            Bytes            Bytes\n" + SUM +
        "\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n" + SUM,
        read("ip_vs_stats"))
    conns, packets = (int(w, 16) for w in read("ip_vs_stats").splitlines()[2].split()[:2])
    assert conns == 3 and packets >= 3 * 5
    percpu = read("ip_vs_stats_percpu").splitlines()
    rows = [line.split() for line in percpu[2:] if line and "/s" not in line]
    total = next(r for r in rows if r[0] == "~")
    assert int(total[1], 16) == 3


def test_rates_rise_and_fall(web):
    """While pages are fetched there are rates; afterwards they go down again."""
    def busy():
        # Connections may come too slowly, on a slow kernel, to make one a second.
        curl(*[f"http://{VIP}/"] * 20)
        return all(rates()[1:])
    lab.wait_until("rates are above zero", busy, 30)
    conns, in_packets, _, in_bytes, _ = rates()
    assert conns <= in_packets <= in_bytes
    peak = rates()
    lab.wait_until("rates fall", lambda: rates()[3] < peak[3] * 0.8, 30)


def test_no_rates_without_a_service(web):
    """What was fetched before the last one went is not what is fetched for ever."""
    def total():
        return int(read("ip_vs_stats").splitlines()[5].split()[1], 16)
    lab.wait_until("there is a rate", lambda: (curl(f"http://{VIP}/"), total())[1], 30)
    lab.ipvsadm("-C")
    lab.wait_until("it is 0", lambda: not total(), 60)


def test_rates_can_be_turned_off(web):
    """run_estimation=0: no rates, whatever passes; and back on."""
    lab.sh("sysctl", "-qw", "net.ipv4.vs.run_estimation=0", ns="director")
    lab.ipvsadm("-Z")
    end = lab.time.monotonic() + 3          # rates are reckoned every other
    lab.wait_until("three seconds of pages", lambda: (
        curl(f"http://{VIP}/"), lab.time.monotonic() > end)[1], 20)
    assert rates() == [0] * 5
    lab.sh("sysctl", "-qw", "net.ipv4.vs.run_estimation=1", ns="director")
    lab.wait_until("rates are above zero", lambda: (curl(f"http://{VIP}/"), rates()[1])[1], 20)
