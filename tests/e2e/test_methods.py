# SPDX-License-Identifier: GPL-2.0
"""Masq and Route with real stacks, over both families."""

import re

import pytest

from e2e.conftest import RS1, RS2, VIP, curl, datagrams, page, service
from e2e.test_ipv6 import SERVERS6, VIP6
from e2e.test_pages import log, moved_whole, packets, seen_by, some, uploaded
from lib import lab

CLIENT, CLIENT6 = "192.0.2.10", "2001:db8:c::10"
ROUTERS = {"rs1": ("10.10.0.1", "2001:db8:10::1"), "rs2": ("10.20.0.1", "2001:db8:20::1")}
FAMILIES = [(VIP, (RS1, RS2), CLIENT), (f"[{VIP6}]", tuple(f"[{rs}]" for rs in SERVERS6), CLIENT6)]

PART_MB = 20 if lab.SLOW == 1 else 10

families = pytest.mark.parametrize("vip, dests, client", FAMILIES, ids=["ip4", "ip6"])


def ips(ns, *lines):
    """Commands of ip(8) in NS."""
    lab.sh("ip", "-batch", "-", ns=ns, stdin="\n".join(lines) + "\n")


@pytest.fixture
def by_the_director(director):
    """Servers whose way to everyone leads by the director, as Masq needs it."""
    for rs, routers in ROUTERS.items():
        ips(rs, *(f"route add default via {router}" for router in routers))
    yield
    for rs, routers in ROUTERS.items():
        ips(rs, *(f"route del default via {router}" for router in routers))


@pytest.fixture
def by_themselves(director):
    """Servers that have the VIPs, tell nobody, and a cable of their own to the client."""
    for i, rs in enumerate(ROUTERS, 1):
        lab.sh("ip", "link", "add", f"direct{i}", "netns", "client", "type", "veth",
               "peer", "name", "direct", "netns", rs)
        lab.sh("ip", "link", "set", f"direct{i}", "up", ns="client")
        mac = re.search(
            r"link/ether (\S+)", lab.out("ip", "link", "show", f"direct{i}", ns="client"))[1]
        lab.sh("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", ns=rs)
        ips(rs, "link set direct up", f"addr add {VIP}/32 dev lo",
            f"addr add {VIP6}/128 dev lo nodad",
            *(f"neigh add {c} lladdr {mac} dev direct" for c in (CLIENT, CLIENT6)),
            f"route add {CLIENT}/32 dev direct", f"route add {CLIENT6}/128 dev direct")
    yield
    for rs in ROUTERS:
        ips(rs, "link del direct", f"addr del {VIP}/32 dev lo", f"addr del {VIP6}/128 dev lo")
        lab.sh("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=0", ns=rs)


def serve(vip, dests, *methods, kind="-t", port=80):
    """A service without a LIP, each of DESTS by one of METHODS."""
    service(f"{kind} {vip}:{port}", method="",
            *(f"{rs}:{port} {method}" for rs, method in zip(dests, methods * len(dests))))


def pages(vip, n=4):
    return [page(vip) for _ in range(n)]


def from_both(vip, client):
    """Pages come from both servers in turn, and both see CLIENT itself."""
    before = {rs: len(log(rs)) for rs in ROUTERS}
    assert len(set(pages(vip))) == 2
    lab.wait_until("all are logged", lambda: sum(len(log(rs)) - n for rs, n in before.items()) == 4)
    assert {rs: seen_by(rs, n) for rs, n in before.items()} == dict.fromkeys(ROUTERS, {client})
    dropped = {k: v for k, v in lab.counters().items() if v and "drop" in k}
    assert not dropped


def files(vip, name, whole=True):
    """A large file down and up again, every byte right."""
    before = packets()
    part = some(PART_MB << 20, f"http://{vip}/big")
    if whole:
        moved_whole(before, f"down, {name}", PART_MB)
    before = packets()
    curl("-T", part, f"http://{vip}/up/{name}")
    moved_whole(before, f"up, {name}", PART_MB)
    uploaded(name, part)


@families
def test_masq(by_the_director, vip, dests, client):
    """Pages and large files; the director does not forward anything else."""
    serve(vip, dests, "-m")
    from_both(vip, client)
    files(vip, f"masq{len(client)}")


@families
def test_route(by_themselves, vip, dests, client):
    """The same, answered past the director."""
    serve(vip, dests, "-g")
    from_both(vip, client)
    files(vip, f"route{len(client)}", whole=False)
    lab.wait_until("it sees the client close",
                   lambda: (states := {c["state"] for c in lab.conns()}) and
                   states <= {"FIN_WAIT", "TIME_WAIT", "CLOSE"})


@families
def test_masq_of_datagrams(by_the_director, vip, dests, client):
    """There and back, large ones in fragments."""
    for kind in ("-u", "-t"):
        serve(vip, dests[:1], "-m", kind=kind, port=5201)
    for size in (1000, 9000):
        datagrams(vip.strip("[]"), "-R", "-b", "2M", "-n", "200K", "-l", str(size))
    assert lab.counters()["reassembled"]


@families
def test_both_and_fullnat(by_the_director, by_themselves, vip, dests, client):
    """One service, a server of each kind."""
    ips("rs1", f"route del {CLIENT}/32 dev direct", f"route del {CLIENT6}/128 dev direct")
    serve(vip, dests, "-m", "-g")
    lab.ipvsadm("-a", "-t", f"{vip}:80", "-r", f"{dests[0]}:81", "-b")
    lab.ipvsadm("-e", "-t", f"{vip}:80", "-r", f"{dests[0]}:81", "-b", "-w", "0")
    assert len(set(pages(vip))) == 2
    listed = lab.ipvsadm("-Ln").stdout
    for word in ("Masq", "Route", "FullNat"):
        assert f" {word} " in listed, listed
    saved = lab.ipvsadm("-Sn").stdout
    lab.ipvsadm("-C")
    lab.ipvsadm("-R", stdin=saved)
    assert lab.ipvsadm("-Sn").stdout == saved
    assert {line.split()[5] for line in saved.splitlines() if line.startswith("-a")} == {
        "-m", "-g", "-b"}


@pytest.mark.parametrize("method", ["-m", "-g"], ids=["masq", "route"])
@pytest.mark.parametrize("vip, own", [(VIP, "192.0.2.1"), (f"[{VIP6}]", "[2001:db8:c::1]")],
                         ids=["ip4", "ip6"])
def test_server_on_the_director_itself(director, method, vip, own):
    """Handed up; what it answers is the VIP's."""
    bare = vip.strip("[]")
    ips("director", f"addr add {bare}/{128 if ':' in bare else 32} dev lo")
    server = lab.spawn("busybox", "httpd", "-f", "-p", "[::]:80", "-h", "/tmp/rs1/www",
                       ns="director")
    serve(vip, (own,), method)
    lab.wait_until("httpd listens", lambda: ":80 " in lab.out("ss", "-tlnH", ns="director"))
    try:
        assert curl(f"http://{vip}/index.html").strip() == "this page comes from rs1"
        assert lab.counters()["xmit_local"] > 0
        if method == "-m":
            assert lab.counters()["tcp_stray"] == 0
    finally:
        server.terminate()
        server.wait()
        ips("director", f"addr del {bare}/{128 if ':' in bare else 32} dev lo")


def test_keepalived_says_nat_and_dr(director, tmp_path):
    """Its words for Masq and Route; fullnat_masq is off."""
    conf = tmp_path / "conf"
    conf.write_text("".join(
        f"virtual_server {VIP} {port} {{\n lvs_sched rr\n lvs_method {method}\n protocol TCP\n"
        f" real_server {RS1} {port} {{\n weight 2\n }}\n}}\n"
        for port, method in ((80, "NAT"), (81, "DR"))))
    run = lab.spawn("keepalived", "-C", "-n", "-l", "-f", conf, "-p", tmp_path / "pid",
                    "-c", tmp_path / "checkers", ns="director")
    try:
        for word in ("80 +Masq +2 ", "81 +Route +2 "):
            lab.wait_until(word, lambda: re.search(word, lab.ipvsadm("-Ln").stdout), 20)
    finally:
        run.terminate()
        run.wait(30)
