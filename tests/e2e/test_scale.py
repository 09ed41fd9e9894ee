# SPDX-License-Identifier: GPL-2.0
"""Many services with many servers: restored, listed, dumped, cleared.

FNAT_SCALE is how many services there are, with 50 servers each that no other
service has; 20,000 of them want tests/vm/run --mem 8192. Speed is told, not judged.
"""

import contextlib
import ipaddress
import os
import pathlib
import subprocess
import time

import pytest

from e2e.conftest import LIPS, RS1, VIP
from lib import lab

SERVICES = int(os.environ.get("FNAT_SCALE", 500 if lab.SLOW == 1 else 100))
SERVERS = 50
PATIENCE = 60 + SERVICES // 2           # seconds for any one step

FIRST_VIP, FIRST_SERVER = (int(ipaddress.ip_address(a)) for a in ("203.0.113.1", "10.32.0.0"))

ECHO_SERVER = """
import socket
listener = socket.create_server(("", 7))
while True:
    s, _ = listener.accept()
    while data := s.recv(100):
        s.sendall(data)
"""

# Sends a byte there and back until its standard input ends; then says how often,
# and the longest that it took.
PING_PONG = """
import select, socket, sys, time
s = socket.create_connection((sys.argv[1], 7))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print("up", flush=True)
rounds, longest, last = 0, 0.0, time.monotonic()
while not select.select([sys.stdin], [], [], 0)[0]:
    s.sendall(b"x")
    assert s.recv(1)
    now = time.monotonic()
    rounds, longest, last = rounds + 1, max(longest, now - last), now
print(rounds, longest)
"""

# Everything by netlink: how many services and servers, and how long it took.
DUMP = """
import sys, time
sys.path.insert(0, sys.argv[1])
from lib.netlink import Family, attr
family, start = Family(), time.monotonic()
services = family.dump(4)
servers = sum(len(family.dump(8, attr(1, found[1]))) for _, found in services)
print(len(services), servers, time.monotonic() - start)
"""


def address(number):
    return str(ipaddress.ip_address(number))


def rules(services, method):
    """Lines for as many services, METHOD (-b or -m) to each of their servers."""
    lines = []
    for i in range(services):
        # A hundred ports on each VIP.
        which = f"-t {address(FIRST_VIP + i // 100)}:{8000 + i % 100}"
        lines.append(f"-A {which} -s wrr")
        lines += [f"-a {which} -r {address(FIRST_SERVER + i * SERVERS + j)}:80 {method} -w {1 + j}"
                  for j in range(SERVERS)]
    return "\n".join(lines) + "\n"


def available():
    """Memory, in MB."""
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(text.split("MemAvailable:")[1].split()[0]) // 1024


def timed(*args, stock=False, **kw):
    """ipvsadm on the director: (seconds, what it printed)."""
    tool = lab.STOCK_IPVSADM if stock else lab.IPVSADM
    start = time.monotonic()
    said = lab.out(tool, *args, ns="director", timeout=PATIENCE, **kw)
    return time.monotonic() - start, said


@pytest.fixture
def echo(director):
    """A TCP service that gives back what it gets, on VIP:7."""
    server = lab.spawn("/usr/bin/python3", "-c", ECHO_SERVER, ns="rs1")
    which = f"-t {VIP}:7"
    lab.ipvsadm("-R", stdin=f"-A {which} -s rr\n-P {which} -z {LIPS}\n-a {which} -r {RS1}:7 -b\n")
    lab.wait_until("the server listens", lambda: ":7 " in lab.out("ss", "-ltn", ns="rs1"))
    yield
    server.kill()
    server.wait()


@contextlib.contextmanager
def ping_pong(what):
    """One byte to and fro all the while; notes the longest round trip."""
    run = lab.spawn("/usr/bin/python3", "-c", PING_PONG, VIP, ns="client", text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    start = time.monotonic()
    try:
        assert run.stdout.readline() == "up\n"
        yield
        seconds = time.monotonic() - start
        rounds, longest = run.communicate(timeout=60 * lab.SLOW)[0].split()
        lab.figure(f"scale: {what}: {int(rounds) / seconds:.0f} round trips per second,"
                   f" the longest took {float(longest) * 1000:.0f} ms")
        assert int(rounds) > 0
    finally:
        run.kill()
        run.wait()


def test_many_services(echo):
    """All of them, by one ipvsadm -R, while a connection of another service goes on."""
    text = rules(SERVICES, "-b")
    size = f"{SERVICES} services with {SERVERS} servers each"
    with ping_pong("while nothing else happens"):
        time.sleep(3)

    before = available()
    with ping_pong(f"while {size} are restored"):
        seconds, _ = timed("-R", stdin=text)
    commands = text.count("\n")
    lab.figure(f"scale: {size} restored in {seconds:.1f} s, {commands / seconds:.0f} commands per"
               f" second, {before - available()} MB")

    with ping_pong(f"while {size} are listed"):
        seconds, listed = timed("-L", "-n")
    lab.figure(f"scale: {size} listed in {seconds:.1f} s")
    assert listed.count("\nTCP ") == SERVICES + 1
    assert listed.count(" FullNat ") == SERVICES * SERVERS + 1

    seconds, saved = timed("-S", "-n")
    lab.figure(f"scale: {size} saved in {seconds:.1f} s")
    ours = [line for line in saved.splitlines() if VIP not in line]
    assert sorted(ours) == sorted(text.splitlines())

    counted = lab.out("/usr/bin/python3", "-c", DUMP, lab.TOP / "tests", ns="director",
                      timeout=PATIENCE).split()
    assert list(map(int, counted[:2])) == [SERVICES + 1, SERVICES * SERVERS + 1]
    lab.figure(f"scale: {size} dumped by netlink in {float(counted[2]):.1f} s")

    with ping_pong(f"while {size} are cleared"):
        seconds, _ = timed("-C")
    lab.figure(f"scale: {size} cleared in {seconds:.1f} s")
    assert lab.dests() == {}


def test_in_tree_for_comparison(director):
    """Debian's ipvsadm and a tenth of the rules, on our module and on in-tree IPVS."""
    services = SERVICES // 10
    text = rules(services, "-m")
    lab.sh("sysctl", "-qw", "net.ipv4.vs.fullnat_masq=1", ns="director")

    def told(whose):
        restored, _ = timed("-R", stock=True, stdin=text)
        listed, lines = timed("-L", "-n", stock=True)
        cleared, _ = timed("-C", stock=True)
        assert lines.count(" Masq ") == services * SERVERS
        lab.figure(f"scale: stock ipvsadm, {whose}, {services} services with {SERVERS} servers:"
                   f" {text.count(chr(10)) / restored:.0f} commands per second, listed in"
                   f" {listed:.1f} s, cleared in {cleared:.1f} s")

    told("our module")
    lab.unload()
    lab.sh("modprobe", "ip_vs_wrr")
    try:
        told("in-tree ip_vs")
    finally:
        lab.sh("rmmod", "ip_vs_wrr", "ip_vs")
