# SPDX-License-Identifier: GPL-2.0
"""Real stacks over IPv6, and both families side by side."""

import json
import re

import pytest

from e2e.conftest import LIPS, RS1, VIP, curl, datagrams, page, service
from e2e.test_pages import intact, log, moved_whole, packets, seen_by, uploaded
from lib import lab

VIP6 = "2001:db8:f::1"
LIPS6 = "2001:db8:99::1-2001:db8:99::4"
SERVERS6 = ("2001:db8:10::2", "2001:db8:20::2")


def serve(kind="-t", port=80, servers=SERVERS6, **kw):
    """A service on VIP6 with four LIPs and SERVERS."""
    service(f"{kind} [{VIP6}]:{port}", *(f"[{rs}]:{port}" for rs in servers), lips=LIPS6, **kw)


@pytest.fixture
def web6(director):
    serve()


def test_pages(web6):
    """Round robin; the servers see LIPs, never the client."""
    before = {rs: len(log(rs)) for rs in ("rs1", "rs2")}
    pages = [curl(f"http://[{VIP6}]/").strip() for _ in range(4)]
    assert sorted(set(pages)) == ["this page comes from rs1", "this page comes from rs2"]
    for rs, lines in before.items():
        peers = seen_by(rs, lines)
        assert peers and all(re.fullmatch(r"2001:db8:99::[1-4]", p) for p in peers), peers


def test_large_file_down(web6):
    """Every byte right, and no super-packet split on the way."""
    before = packets()
    curl("-o", "/tmp/down6", f"http://[{VIP6}]/big")
    intact("/tmp/down6")
    moved_whole(before, "down, IPv6")


def test_large_file_up(web6):
    """The other way."""
    before = packets()
    curl("-T", "/tmp/big", f"http://[{VIP6}]/up/file6")
    moved_whole(before, "up, IPv6")
    uploaded("file6")


def test_udp(director):
    """Datagrams there and back by real sockets."""
    for kind in ("-u", "-t"):
        serve(kind, 5201, SERVERS6[:1])
    datagrams(VIP6, "-b", "2M", "-n", "250K", "-l", "1000")


def test_families_side_by_side(web6):
    """Each service finds its own; listings and saves show both."""
    # However the connections end, and however slow the machine is, they are listed.
    lab.sh("sysctl", "-qw", *(f"net.ipv4.vs.timeout_{state}=300" for state in
                              ("close", "closewait", "finwait", "lastack", "timewait")),
           ns="director")
    service(f"-t {VIP}:80", f"{RS1}:80", lips=LIPS)
    assert "rs1" in page(VIP) and "rs" in page(VIP6)
    listed = lab.ipvsadm("-Lcn").stdout
    assert VIP in listed and VIP6 in listed, listed
    proc = lab.read("/proc/net/ip_vs_conn", "director")
    assert "2001:0db8:000c:0000:0000:0000:0000:0010 " in proc, proc
    only = lab.ipvsadm("-Lcn", "--client", "2001:db8:c::10").stdout
    assert VIP6 in only and f"{VIP}:" not in only, only
    saved = lab.ipvsadm("-Sn").stdout
    lab.ipvsadm("-C")
    lab.ipvsadm("-R", stdin=saved)
    assert lab.ipvsadm("-Sn").stdout == saved and VIP6 in saved
    stock = lab.ipvsadm("-Sn", stock=True).stdout
    assert f"[{VIP6}]:80" in stock, stock
    told = json.loads(lab.ipvsadm("-Ln", "--json").stdout)
    assert VIP6 in json.dumps(told)


@pytest.mark.drops("drop_no_laddr")
def test_default_pool(director):
    """Each family has its own; a service takes LIPs of its own family only."""
    serve()
    lab.ipvsadm("-Q", "-t", f"[{VIP6}]:80", "-z", LIPS6)
    lab.ipvsadm("-P", "-z", "10.99.0.1")
    refused = lab.sh("curl", "-sS", "--max-time", "5", f"http://[{VIP6}]/", ns="client",
                     check=False)
    assert refused.returncode == 7, refused.stderr
    lab.ipvsadm("-P", "-z", "2001:db8:99::2")
    assert "rs" in page(VIP6)
    pool = lab.ipvsadm("-G").stdout
    assert "10.99.0.1" in pool and "2001:db8:99::2" in pool, pool


def test_persistence_by_network(director):
    """A prefix of clients stays with one server."""
    serve(options="-s rr -p 60 -M 64")
    pages = set()
    for host in range(2, 6):
        address = f"2001:db8:c::{host}"
        lab.sh("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad", ns="client")
        try:
            pages.add(page(VIP6, source=address))
        finally:        # or others would come from it as well
            lab.sh("ip", "addr", "del", f"{address}/64", "dev", "eth0", ns="client")
    assert len(pages) == 1, pages


REFUSED = [
    (("-A", "-t", "[fe80::1]:80"), "not link-local"),
    (("-A", "-t", "[ff02::1]:80"), "unicast"),
    (("-P", "-t", f"[{VIP6}]:80", "-z", "10.99.0.1"), "IPv6"),
    (("-P", "-t", f"[{VIP6}]:80", "-z", "fe80::1"), "link-local"),
    (("-P", "-t", f"[{VIP6}]:80", "-z", VIP6), "VIP"),
    (("-a", "-t", f"[{VIP6}]:80", "-r", "[fe80::2]:80", "-b"), "link-local"),
    (("-a", "-t", f"[{VIP6}]:80", "-r", f"[{VIP6}]:80", "-b"), "not a real server"),
    (("-a", "-t", f"[{VIP6}]:80", "-r", "[2001:db8:99::1]:80", "-b"), "not a real server"),
    (("-P", "-t", f"[{VIP6}]:80", "-z", "2001:db8:99::/50"), "4096"),
]


def test_refusals_are_sentences(web6):
    for words, sentence in REFUSED:
        refused = lab.ipvsadm(*words, check=False)
        assert refused.returncode and sentence in refused.stderr, (words, refused.stderr)
