# SPDX-License-Identifier: GPL-2.0
"""Real stacks, whose handshakes the SYN proxy takes part in."""

import contextlib
import json
import os
import pathlib
import socket
import time

import pytest

from e2e.conftest import BIG_MB, LIPS, RS1, RS2, VIP, curl, page, service
from e2e.test_ipv6 import LIPS6, SERVERS6, VIP6
from e2e.test_pages import intact, some
from lib import lab

WAYS = {4: (VIP, f"{VIP}:{{}}", LIPS, "{}:{}", (RS1, RS2)),
        6: (f"[{VIP6}]", f"[{VIP6}]:{{}}", LIPS6, "[{}]:{}", SERVERS6)}
family = pytest.mark.parametrize("family", [4, 6], ids=["ip4", "ip6"])


def serve(version=4, port=80, synproxy="enable", servers=2):
    """A service on the VIP that the SYN proxy guards; its host as a URL has it."""
    host, vip, lips, rs, hosts = WAYS[version]
    service(f"-t {vip.format(port)}", *(rs.format(server, port) for server in hosts[:servers]),
            lips=lips, options=f"-s rr -j {synproxy}")
    return host


def counted(*names):
    """The named counters."""
    counters = lab.counters()
    return [counters[name] for name in names]


@family
def test_pages(director, family):
    """Round robin, each connection by a cookie; keep-alive stays on its server."""
    host = serve(family)
    found = [page(host) for _ in range(4)]
    assert sorted(set(found)) == ["this page comes from rs1", "this page comes from rs2"]
    assert len(set(curl(*[f"http://{host}/?{i}" for i in range(5)]).splitlines())) == 1
    assert counted("synproxy_syn_cnt", "synproxy_ok_ack", "synproxy_bad_ack") == [5, 5, 0]
    assert {row["synproxy"] for row in services()} == {"enable"}
    [row] = lab.ipvsadm("-Ln", "--synproxy-stats").stdout.splitlines()[2:]
    assert row.split()[-4:] == ["enable", "5", "5", "0"]


def services():
    """What -L says of services, SYN proxy included."""
    text = lab.ipvsadm("-Ln").stdout
    return [{"synproxy": "enable" if "synproxy" in line else "disable"}
            for line in text.splitlines() if line.startswith("TCP")]


def test_key_of_the_operator(director):
    """Taken from a file and from stdin, in use, told of but not told; two are enough."""
    def age():
        return json.loads(lab.ipvsadm("-L", "--json").stdout)["synproxy_key_age"]

    key = pathlib.Path("/tmp/synproxy.key")
    key.write_text(f"{'0f' * 16}\n")
    host = serve()
    assert age() is None
    lab.ipvsadm("--synproxy-key", key)
    assert age() < 60
    assert page(host).startswith("this page comes from")
    lab.ipvsadm("--synproxy-key", "-", stdin="a" * 32)
    assert page(host).startswith("this page comes from")
    with pytest.raises(lab.CommandFailed, match="The last change of keys is still under way"):
        lab.ipvsadm("--synproxy-key", "-", stdin="b" * 32)
    assert "synproxy-key" not in lab.ipvsadm("-Sn").stdout
    assert counted("synproxy_ok_ack", "synproxy_bad_ack") == [2, 0]


@family
@pytest.mark.parametrize("way", ["down", "up"])
def test_large_file(director, family, way):
    """Every byte right."""
    host = serve(family, servers=1)
    if way == "down":
        curl("-o", "/tmp/down", f"http://{host}/big")
        intact("/tmp/down")
    else:
        curl("-T", "/tmp/big", f"http://{host}/up/proxied")
        intact("/tmp/rs1/www/up/proxied")


BANNER = """
import socket
s = socket.create_server(("0.0.0.0", 2525))
while True:
    c, _ = s.accept()
    c.sendall(b"220 hello\\r\\n")
    got = b""
    while more := c.recv(100):
        got += more
    c.sendall(b"you said %d bytes" % len(got))
    c.close()
"""

TALK = """
import socket, sys
c = socket.create_connection((sys.argv[1], 2525), 20)
assert c.recv(100) == b"220 hello\\r\\n"
c.sendall(b"x" * 50000)
c.shutdown(socket.SHUT_WR)
print(c.recv(100).decode())
"""


def test_server_speaks_first_and_client_half_closes(director):
    """A banner comes without a question; what is said after a FIN comes back, too."""
    serve(port=2525, servers=1)
    server = lab.spawn("/usr/bin/python3", "-c", BANNER, ns="rs1")
    lab.wait_until("the server listens", lambda: ":2525" in lab.out("ss", "-tlnH", ns="rs1"))
    try:
        said = lab.out("/usr/bin/python3", "-c", TALK, VIP, ns="client")
    finally:
        server.terminate()
        server.wait()
    assert said.strip() == "you said 50000 bytes"


@contextlib.contextmanager
def settings(ns, **values):
    """Sysctls of net.ipv4 in NS for a while."""
    was = {k: lab.out("sysctl", "-n", f"net.ipv4.{k}", ns=ns).split() for k in values}
    lab.sh("sysctl", "-qw", *(f"net.ipv4.{k}={v}" for k, v in values.items()), ns=ns)
    try:
        yield
    finally:
        lab.sh("sysctl", "-qw", *(f"net.ipv4.{k}={' '.join(v)}" for k, v in was.items()), ns=ns)


@pytest.mark.parametrize("host", ["client", "rs1"])
@pytest.mark.parametrize("options", [
    dict(tcp_timestamps=0), dict(tcp_window_scaling=0), dict(tcp_sack=0),
    dict(tcp_timestamps=0, tcp_window_scaling=0, tcp_sack=0),
    dict(tcp_rmem="4096 131072 67108864"), dict(tcp_rmem="4096 8192 32768")],
    ids=["no timestamps", "no scale", "no SACK", "none", "large windows", "small windows"])
def test_options(director, host, options):
    """Whatever one side does not do, a file goes through whole, both ways.

    Down as presumed of a server that nobody has asked, up as learned.
    """
    lab.sh("sysctl", "-qw", "net.ipv4.vs.synproxy_probe=0", ns="director")
    with settings(host, **options):
        vip = serve(servers=1)
        part = some(1_000_000, f"http://{vip}/big")
        assert counted("synproxy_probed") == [0]
        curl("-T", part, f"http://{vip}/up/part")
        lab.sh("cmp", "/tmp/rs1/www/up/part", part)


TIMESTAMPS, ECN = 1, 8      # of TCP_INFO's options


def known(probes):
    """Waits until all servers of the SYN proxy, as many as PROBES, have said what they can do."""
    lab.wait_until("servers were probed", lambda: counted("synproxy_probed") == [probes])
    lab.wait_until("they have answered", lambda: "SYN_SENT" not in [
        c["state"] for c in lab.conns()])


@contextlib.contextmanager
def both_ends():
    """The client's socket and the server's of a connection by the VIP; the server is known."""
    with lab.inside("rs1"):
        listener = socket.create_server(("0.0.0.0", 2525))
    with listener:
        listener.settimeout(20)
        serve(port=2525, servers=1)
        known(1)
        with lab.inside("client"):
            client = socket.create_connection((VIP, 2525), 20)
        server, _ = listener.accept()
        with client, server:
            yield client, server


def agreed():
    """What both ends of a connection by the VIP say of these two."""
    with both_ends() as ends:
        return [end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & (TIMESTAMPS | ECN)
                for end in ends]


@pytest.mark.parametrize("timestamp", [0, 1, 2], ids=["passed", "taken out", "translated"])
def test_timestamps_and_ecn(director, timestamp):
    """Both ends have them, once the server is known; a file each way is still right."""
    lab.sh("sysctl", "-qw", f"net.ipv4.vs.fullnat_timestamp={timestamp}", ns="director")
    with settings("client", tcp_ecn=1):
        assert agreed() == [0 if timestamp == 1 else TIMESTAMPS | ECN] * 2
        vip = serve(servers=1)
        known(2)
        part = some(BIG_MB << 18, f"http://{vip}/big")
        curl("-T", part, f"http://{vip}/up/stamped")
        lab.sh("cmp", "/tmp/rs1/www/up/stamped", part)


@pytest.mark.parametrize("mss", [536, 1000, 1220, 1460, 8960])
def test_mss(director, mss):
    """The server sends no more than the client said, or less, rounded down."""
    lab.sh("ip", "route", "replace", "198.51.100.0/24", "via", "192.0.2.1", "advmss", mss,
           ns="client")
    try:
        with both_ends() as (_, server):
            most = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            assert min(mss, 1460) // 2 < most <= mss
        some(100_000, f"http://{serve(servers=1)}/big")
    finally:
        lab.sh("ip", "route", "replace", "198.51.100.0/24", "via", "192.0.2.1", ns="client")


LOSSY = int(os.environ.get("FNAT_LOSSY", 8_000_000))     # octets; up to 100,000,000


@contextlib.contextmanager
def netem(ns, dev, *how):
    """What DEV in NS sends suffers HOW."""
    lab.sh("tc", "qdisc", "add", "dev", dev, "root", "netem", *how, ns=ns)
    try:
        yield
    finally:
        lab.sh("tc", "qdisc", "del", "dev", dev, "root", ns=ns)


# A client whose last ACK was lost goes on with its FIN when nobody knows it any more; so
# does one of the case before.
after_losses = pytest.mark.drops("synproxy_bad_ack", "drop_dialling")


@pytest.mark.parametrize("where", [("client", "eth0"), ("rs1", "eth0"), ("director", "client"),
                                   ("director", "trunk")], ids="-".join)
@pytest.mark.parametrize("how, octets", [
    (("loss", "1%", "delay", "2ms", "reorder", "25%"), LOSSY), (("loss", "20%"), 256_000)],
    ids=["some", "many"])
@after_losses
def test_loss(director, where, how, octets):
    """Lost handshakes, lost and reordered data, either side: every byte right in the end."""
    vip = serve(servers=1)
    with netem(*where, *how):
        some(octets, f"http://{vip}/big", "--retry", "5", "--retry-connrefused",
             seconds=60 + octets // 200_000)


@after_losses
def test_first_byte_waits_for_nothing(director):
    """Early data costs no round trip more; with the window shut it costs one."""
    vip = serve(servers=1)
    took = {}
    with netem("client", "eth0", "delay", "300ms"):
        for thresh in (3, 0):
            lab.sh("sysctl", "-qw", f"net.ipv4.vs.synproxy_ack_skb_store_thresh={thresh}",
                   ns="director")
            took[thresh] = min(float(curl("-o", "/dev/null", "-w", "%{time_starttransfer}",
                                          f"http://{vip}/")) for _ in range(3))
    lab.figure(f"SYN proxy, client 300 ms away: first byte after {took[3]:.2f} s, with the"
               f" window shut at first after {took[0]:.2f} s")
    assert took[0] > took[3] + 0.2


def pages(n):
    """N clients at once: how many got their page."""
    said = curl("--parallel", "--parallel-immediate", "--parallel-max", n, "-H",
                "Connection: close", "-o", "/dev/null", "-w", "%{http_code}\n", "--retry", 5,
                f"http://{VIP}/?[1-{n}]", check=False)
    return said.split().count("200")


@contextlib.contextmanager
def flood():
    """Spoofed SYNs and ACKs, as many as go."""
    both = [lab.spawn("hping3", "--flood", "--rand-source", flag, "-p", 80, VIP, ns="client")
            for flag in ("-S", "-A")]
    try:
        yield
    finally:
        for one in both:
            one.terminate()
            one.wait()


# Nobody answers to most of the sources, and some nobody can have.
flooded = pytest.mark.drops("drop_source", "drop_no_route", "synproxy_bad_ack",
                            "refused_ratelimit")


@flooded
def test_flood(director):
    """Clients get their pages and the servers see nothing of it; for contrast, without."""
    clients = 200 // lab.SLOW
    for mode in ("enable", "disable"):
        serve(synproxy=mode)
        before, began = lab.counters(), time.monotonic()
        with flood():
            lab.wait_until("the flood has begun", lambda: (
                lab.counters()["synproxy_bad_ack" if mode == "enable" else "tcp_stray"] > 1000), 30)
            got = pages(clients)
        lasted = time.monotonic() - began
        after = lab.counters()
        syns = after["synproxy_syn_cnt"] - before["synproxy_syn_cnt"]
        acks = after["synproxy_bad_ack"] - before["synproxy_bad_ack"]
        held = sum(active + inactive for _, active, inactive in lab.dests().values())
        lab.figure(f"flood, SYN proxy {mode}d: {got} of {clients} pages in {lasted:.0f} s;"
                   f" {syns} SYNs answered, {acks} ACKs dropped; {held} connections")
        if mode == "enable":
            assert got == clients
            opened = after["synproxy_ok_ack"] - before["synproxy_ok_ack"]
            assert syns > 2 * clients and acks > 2 * clients
            assert held <= opened <= 2 * clients, "a spoofed packet opened a connection"
        else:
            assert held > 2 * clients, "there was no flood"
        lab.ipvsadm("-C")


@flooded
def test_flood_of_an_automatic_one(director):
    """It lets through what is half-open at once, no more, and is at rest again when all is over."""
    def is_active():
        return "synproxy auto active" in lab.ipvsadm("-Ln").stdout

    clients, thresh = 100 // lab.SLOW, 64
    lab.sh("sysctl", "-qw", f"net.ipv4.vs.synproxy_auto_thresh={thresh}",
           "net.ipv4.vs.synproxy_auto_calm=2", "net.ipv4.vs.timeout_synrecv=3", ns="director")
    serve(synproxy="auto")
    assert pages(clients // 4) == clients // 4 and counted("synproxy_syn_cnt") == [0]
    with flood():
        lab.wait_until("it is active", is_active, 30)
        assert pages(clients) == clients
        states = [conn["state"] for conn in lab.conns()]
        assert states.count("SYN_RECV") <= thresh + 4
    lab.wait_until("it is at rest", lambda: not is_active(), 60)
    on, off, syns = counted("synproxy_auto_on", "synproxy_auto_off", "synproxy_syn_cnt")
    assert on == off == 1, "it went to and fro"
    assert pages(clients // 4) == clients // 4
    assert counted("synproxy_syn_cnt") == [syns]
    log = lab.out("dmesg")
    assert "service TCP 198.51.100.1:80: too many half-open connections" in log
    assert "service TCP 198.51.100.1:80: it has been calm" in log
