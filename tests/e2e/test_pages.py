# SPDX-License-Identifier: GPL-2.0
"""Real clients and real servers, through the director."""

import pathlib
import re

import pytest

from e2e.conftest import BIG_MB, RS1, VIP, curl, datagrams, page, service
from lib import lab


def log(rs):
    return pathlib.Path(f"/tmp/{rs}/access.log").read_text().splitlines()


def seen_by(rs, before):
    """Who fetched the two pages or more that RS logs after BEFORE lines, which it may do late."""
    lab.wait_until("both are logged", lambda: len(log(rs)) >= before + 2)
    return {line.split()[0].rsplit(":", 1)[0] for line in log(rs)[before:]}


def test_pages_come_from_both_servers_in_turn(web):
    """Round robin; the servers see LIPs, never the client."""
    before = {rs: len(log(rs)) for rs in ("rs1", "rs2")}
    pages = [curl(f"http://{VIP}/").strip() for _ in range(4)]
    assert sorted(set(pages)) == ["this page comes from rs1", "this page comes from rs2"]
    assert pages[0] != pages[1] and pages[:2] == pages[2:]
    for rs, lines in before.items():
        peers = seen_by(rs, lines)
        assert peers and all(re.fullmatch(r"10\.99\.0\.[1-4]", p) for p in peers), peers


def test_keepalive_connection_stays_on_its_server(web):
    """Requests of one connection all reach the same server, from one port."""
    urls = [f"http://{VIP}/?{i}" for i in range(5)]
    before = {rs: len(log(rs)) for rs in ("rs1", "rs2")}
    pages = curl(*urls).split("\n")
    assert len(set(pages[:5])) == 1
    requests = [line for rs, n in before.items() for line in log(rs)[n:]
                if re.search(r"/\?\d", line)]
    assert len({line.split()[0] for line in requests}) == 1, requests


def intact(path):
    """PATH is a copy of the big file, byte for byte."""
    lab.sh("cmp", path, "/tmp/big")


def uploaded(name, like="/tmp/big"):
    """NAME was put below /up/ of one server, as a copy of LIKE, which may go now."""
    paths = [pathlib.Path(f"/tmp/{rs}/www/up/{name}") for rs in ("rs1", "rs2")]
    [copy] = [path for path in paths if path.exists()]
    lab.sh("cmp", copy, like)
    copy.unlink()


def some(octets, url, *args, **kw):
    """So many OCTETS of the big file, by curl with ARGS from URL, every one right: its path."""
    part = pathlib.Path("/tmp/part")
    curl(*args, "-r", f"0-{octets - 1}", "-o", part, url, **kw)
    lab.sh("cmp", "-n", octets, part, "/tmp/big")
    assert part.stat().st_size == octets
    return part


def packets():
    """The counters of the director's two devices."""
    return [lab.nic(dev, "director") for dev in ("client", "trunk")]


def moved_whole(before, what, mb=BIG_MB):
    """MB were moved whole: far fewer packets than segments, as many out as in.

    Of what came in only the side counts that sent the file: how often the other
    acknowledges depends on how busy the machine is. Where round trips are slow, as on a
    debug kernel, a server paces itself and sends two segments at a time (tcp_tso_autosize).
    """
    moved = [{k: after[k] - b[k] for k in b} for after, b in zip(packets(), before)]
    data = max(moved, key=lambda m: m["rx_bytes"])
    octets, came = data["rx_bytes"], data["rx_packets"]
    got, sent = (sum(m[k] for m in moved) for k in ("rx_packets", "tx_packets"))
    lab.figure(f"large file {what}: {octets} bytes in {came} packets; {got} packets in all came"
               f" in, {sent} went out")
    assert octets > mb << 20
    assert came < octets / 1448 / 1.5, "no super-packets came in"
    assert abs(got - sent) < got * 0.05, "super-packets were split or lost"


def test_large_file_down_with_gro_and_tso(web):
    """Every byte right, and no super-packet split on the way."""
    before = packets()
    curl("-o", "/tmp/down", f"http://{VIP}/big")
    intact("/tmp/down")
    moved_whole(before, "down")
    pathlib.Path("/tmp/down").unlink()


def test_large_file_up_with_gro_and_tso(web):
    """The other way."""
    before = packets()
    curl("-T", "/tmp/big", f"http://{VIP}/up/file")
    moved_whole(before, "up")
    uploaded("file")


def test_udp_through_the_director(director):
    """Datagrams there and back by real sockets."""
    for kind in ("-u", "-t"):
        service(f"{kind} {VIP}:5201", f"{RS1}:5201", lips="10.99.0.1")
    datagrams(VIP, "-b", "2M", "-n", "250K", "-l", "1000")


def test_counters_explain_every_packet(web):
    """A run of pages leaves not one drop behind."""
    for _ in range(4):
        page(VIP)
    dropped = {k: v for k, v in lab.counters().items() if v and "drop" in k}
    assert not dropped


def test_server_on_the_director_itself(director):
    """A real server that is the director's own: handed up, and back out."""
    server = lab.spawn("busybox", "httpd", "-f", "-p", "192.0.2.1:8080", "-h", "/tmp/rs1/www",
                       ns="director")
    service(f"-t {VIP}:80", "192.0.2.1:8080", lips="10.99.0.1")
    lab.wait_until("httpd listens", lambda: ":8080" in lab.out("ss", "-tlnH", ns="director"))
    try:
        assert curl(f"http://{VIP}/index.html").strip() == "this page comes from rs1"
        assert lab.counters()["xmit_local"] > 0
    finally:
        server.terminate()
        server.wait()


@pytest.mark.drops("drop_no_laddr")
def test_default_pool_serves_who_has_no_lip(director):
    """A service without LIPs of its own borrows the namespace's; without any, it refuses."""
    service(f"-t {VIP}:80", f"{RS1}:80")
    refused = lab.sh("curl", "-sS", "--max-time", "5", f"http://{VIP}/", ns="client", check=False)
    assert refused.returncode == 7, refused.stderr  # told so at once, not timed out
    assert lab.counters()["drop_no_laddr"] > 0
    lab.ipvsadm("-P", "-z", "10.99.0.2")
    assert "rs1" in curl(f"http://{VIP}/")
    lab.wait_until("it is logged", lambda: log("rs1")[-1].startswith("10.99.0.2:"))
    lab.ipvsadm("-P", "-t", f"{VIP}:80", "-z", "10.99.0.3")
    assert "rs1" in curl(f"http://{VIP}/")
    lab.wait_until("it is logged", lambda: log("rs1")[-1].startswith("10.99.0.3:"))
