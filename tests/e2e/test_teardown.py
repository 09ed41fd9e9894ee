# SPDX-License-Identifier: GPL-2.0
"""Things that go away while packets are under way."""

import contextlib
import pathlib
import subprocess
import time

import pytest

from e2e.conftest import BIG_MB, LIPS, RS1, RS2, VIP, page, service
from lib import lab

SVC = f"{VIP}:80"
ROUNDS = 12 if lab.SLOW == 1 else 6


CLIENT = """
import contextlib, socket, sys, time
while True:
    with contextlib.suppress(OSError), socket.create_connection((sys.argv[1], 80), 0.5) as s:
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: vip\\r\\n\\r\\n")
        s.recv(4096)
    time.sleep(float(sys.argv[2]))
"""


@contextlib.contextmanager
def traffic():
    """A client on each CPU that fetches page after page, and does not mind failures."""
    runs = [lab.spawn("taskset", "-c", cpu, "/usr/bin/python3", "-c", CLIENT, VIP,
                      lab.SLOW / 100, ns="client") for cpu in (0, 1)]
    try:
        yield
    finally:
        for run in runs:
            run.terminate()
            run.wait()


def moving(dev="trunk"):
    """Waits until packets pass DEV of the director."""
    before = lab.nic(dev, "director")["tx_packets"]
    lab.wait_until("packets pass", lambda: lab.nic(dev, "director")["tx_packets"] > before + 50,
                   seconds=60)


def configure():
    service(f"-t {SVC}", f"{RS1}:80", f"{RS2}:80", lips=LIPS, options="-s wlc")


def download():
    """The big file at a rate that takes some seconds, in the background."""
    return lab.spawn("curl", "-sS", "--limit-rate", f"{BIG_MB // 5}M", "-o", "/tmp/slow",
                     f"http://{VIP}/big", ns="client", stderr=subprocess.PIPE)


def test_last_service_removed_while_a_download_runs(web):
    """It drains: not a byte is lost, and new clients are not served."""
    run = download()
    lab.wait_until("the download is up",
                   lambda: any(c["state"] == "ESTABLISHED" for c in lab.conns()))
    lab.ipvsadm("-D", "-t", SVC)
    assert lab.dests() == {}
    refused = lab.sh("curl", "-s", "--max-time", "1", f"http://{VIP}/", ns="client", check=False)
    assert refused.returncode
    assert run.wait(60 * lab.SLOW) == 0, run.stderr.read()
    lab.sh("cmp", "/tmp/slow", "/tmp/big")


def test_server_drained_by_weight_0(web):
    """What runs goes on; what is new goes elsewhere."""
    run = download()
    conn = lab.wait_until("the download is up", lambda: [
        c for c in lab.conns() if c["state"] == "ESTABLISHED"])[0]
    rs = "%s:%d" % conn["rs"]
    lab.ipvsadm("-e", "-t", SVC, "-r", rs, "-b", "-w", "0")
    pages = {page(VIP) for _ in range(4)}
    assert len(pages) == 1
    assert run.wait(60 * lab.SLOW) == 0, run.stderr.read()
    lab.sh("cmp", "/tmp/slow", "/tmp/big")


def test_module_removed_under_traffic(director):
    """Some times over; it comes back and works."""
    with traffic():
        for _ in range(ROUNDS // 3):
            configure()
            moving()
            lab.unload()
            lab.load()
    configure()
    assert "this page" in page(VIP)


@pytest.mark.drops("conn_sched_unreach", "drop_no_laddr", "refused_ratelimit")
def test_services_changed_under_traffic(web):
    """Dests, LIPs and services come and go while clients hammer on them."""
    with traffic():
        moving()
        for i in range(ROUNDS):
            lab.ipvsadm("-e", "-t", SVC, "-r", f"{RS1}:80", "-b", "-w", i % 3)
            lab.ipvsadm("-Q", "-t", SVC, "-z", "10.99.0.1-10.99.0.3")
            lab.ipvsadm("-d", "-t", SVC, "-r", f"{RS2}:80")
            lab.ipvsadm("-P", "-t", SVC, "-z", "10.99.0.1-10.99.0.3")
            lab.ipvsadm("-a", "-t", SVC, "-r", f"{RS2}:80", "-b")
            if i % 3 == 2:
                lab.ipvsadm("-C")
                configure()
        moving()
    assert lab.wait_until("a page", lambda: lab.sh(
        "curl", "-s", "--max-time", "2", f"http://{VIP}/", ns="client", check=False).stdout)


# On the debug kernel the module does for both: what it ends, namespaces are of.
MANY = {"namespace": 100_000 if lab.SLOW == 1 else 10_000, "module": 100_000}
MAC = "02:00:00:00:00:01"

# Datagrams of four clients, from 16,000 ports each, over and over.
FLOOD = """
import contextlib, socket, struct, sys
first, vip = int(sys.argv[1]), socket.inet_aton(sys.argv[2])
ether = bytes.fromhex(sys.argv[3].replace(":", "")) + bytes(6) + struct.pack("!H", 0x800)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0x800))
while True:
    for client in range(first, first + 4):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, 0, 0, 64, 17, 0,
                           bytes([192, 0, 2, client]), vip)
        total = 0xffff - sum(struct.unpack("!10H", head)) % 0xffff
        head = ether + head[:10] + struct.pack("!H", total) + head[12:]
        for port in range(1024, 17024):
            with contextlib.suppress(OSError):
                s.send(head + struct.pack("!HHHHB", port, 9, 9, 0, 0))
"""


@contextlib.contextmanager
def flooded(connections):
    """A director of its own, "doomed", with so many connections, and packets from two CPUs.

    What it sends to its server goes nowhere.
    """
    floods = []
    for ns in ("doomed", "sender"):
        lab.sh("ip", "netns", "add", ns)
    try:
        lab.sh("ip", "link", "add", "eth0", "netns", "sender", "type", "veth",
               "peer", "name", "eth0", "address", MAC, "netns", "doomed")
        lab.sh("ip", "-n", "doomed", "link", "add", "sink", "type", "dummy")
        lab.sh("ip", "-n", "doomed", "addr", "add", "192.0.2.1/24", "dev", "eth0")
        # To an address that is nobody's the kernel makes a route for each packet.
        lab.sh("ip", "-n", "doomed", "addr", "add", f"{VIP}/32", "dev", "lo")
        for ns, dev in (("doomed", "sink"), ("doomed", "eth0"), ("sender", "eth0")):
            lab.sh("ip", "-n", ns, "link", "set", dev, "up")
        lab.sh("ip", "-n", "doomed", "route", "add", RS1, "dev", "sink")
        service(f"-u {VIP}:9", f"{RS1}:9", lips=LIPS, ns="doomed")
        # None is to end before the last has come.
        with lab.inside("doomed"):
            lab.write("/proc/sys/net/ipv4/vs/timeout_udp", 1200)
        # They take what CPU is left: on the debug kernel each packet leaves work for after a
        # grace period, and who waits for RCU waits for all of that.
        floods = [lab.spawn("nice", "-n", "19", "taskset", "-c", cpu, "/usr/bin/python3", "-c",
                            FLOOD, 20 + 4 * cpu, VIP, MAC, ns="sender") for cpu in (0, 1)]
        lab.wait_until("connections are there", lambda: sum(
            active for _, active, _ in lab.dests("doomed").values()) >= connections, 300, 0.5)
        yield
    finally:
        for flood in floods:
            flood.terminate()
            flood.wait()
        for ns in ("sender", "doomed"):
            lab.sh("ip", "netns", "del", ns, check=False)


def is_gone():
    """Whether it is, and with it the device whose peer the sender has."""
    return lab.sh("ip", "link", "show", "eth0", ns="sender", check=False).returncode


def remove_namespace():
    """Waits until nothing is left of it."""
    lab.sh("ip", "netns", "del", "doomed")
    lab.wait_until("the namespace is gone", is_gone, 60)


def test_namespace_removed_under_traffic(module):
    """A director of its own, deleted as a whole while packets pass."""
    with flooded(500):
        remove_namespace()


def test_namespace_removed_while_it_is_listed(module):
    """A listing that is being read holds it, connections and all, until it is closed."""
    with flooded(500):
        with lab.inside("doomed"):
            listing = open("/proc/net/ip_vs_conn")
        with listing:
            listing.readline()
            lab.sh("ip", "netns", "del", "doomed")
            assert listing.read() and not is_gone()
        lab.wait_until("the namespace is gone", is_gone, 60)


def test_lookahead_switched_under_traffic(module):
    """What it patches into the code of the kernel and the module runs meanwhile."""
    with flooded(500), lab.inside("doomed"):
        for turn in range(200):
            lab.write("/proc/sys/net/ipv4/vs/fullnat_lookahead", turn % 2)


def held():
    """Connections that are in memory, whoever holds them; None: there is no place for any."""
    slab = pathlib.Path("/sys/kernel/slab/fnat_conn")
    if not slab.exists():
        return None
    (slab / "shrink").write_text("1")           # those that are free on some CPU are none
    return int((slab / "objects").read_text().split()[0])


@pytest.mark.parametrize("which, remove", [("namespace", remove_namespace),
                                           ("module", lab.unload)], ids=["namespace", "module"])
def test_many_connections_end_under_traffic(module, which, remove):
    """It takes no time to speak of, and their memory is given back."""
    with flooded(MANY[which]):
        before = held()
        assert before >= MANY[which]
        began = time.monotonic()
        remove()
        took = time.monotonic() - began
        lab.wait_until("their memory is free", lambda: not held(), 60)
        lab.figure(f"teardown: {before} connections under traffic, by {remove.__name__}:"
                   f" {took:.1f} s")
    lab.load()
    with flooded(500):
        pass
