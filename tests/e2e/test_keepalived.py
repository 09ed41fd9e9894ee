# SPDX-License-Identifier: GPL-2.0
"""Debian's keepalived, unmodified, as the one who configures the director.

It knows no FULLNAT, so it says NAT and net.ipv4.vs.fullnat_masq lets that mean
FULLNAT; it deletes services and adds them anew, so LIPs are in the default pool.
"""

import contextlib
import pathlib
import signal
import subprocess

import pytest

from e2e.conftest import BIG_MB, RS1, RS2, VIP, page
from lib import lab

HOME = pathlib.Path("/tmp/keepalived")
HTTP, PLAIN = f"{VIP}:80", f"{VIP}:8080"        # checked by HTTP_GET, by TCP_CHECK
SORRY = f"{RS2}:8000"
POOL = ["10.99.0.1", "10.99.0.2"]               # always there
SPARE = ["10.99.0.3", "10.99.0.4"]              # while there is a quorum

GET_PAGE = "HTTP_GET { url { path / \n status_code 200 \n }"
CONNECT = "TCP_CHECK {"


def real_server(rs, weight, check, *lines):
    """A paragraph of keepalived's configuration; CHECK is the beginning of another."""
    return "\n".join([
        f"real_server {rs} 80 {{", f"weight {weight}", *lines,
        check, "connect_timeout 2", "retry 1", "delay_before_retry 1", "}", "}"])


def virtual_server(service, scheduler, *lines):
    """Another; LINES are what is in it."""
    return "\n".join([
        f"virtual_server {service.replace(':', ' ')} {{", "delay_loop 1",
        f"lvs_sched {scheduler}", "lvs_method NAT", "protocol TCP", *lines, "}"])


def configure(weight=3):
    """Writes keepalived's configuration; RS1 of the HTTP service has WEIGHT."""
    (HOME / "conf").write_text("\n".join([
        "global_defs {", "script_user root", "}",
        virtual_server(
            HTTP, "wrr", "quorum 1",
            f'quorum_up "{HOME}/lips -P"', f'quorum_down "{HOME}/lips -Q"',
            f"sorry_server {SORRY.replace(':', ' ')}",
            real_server(RS1, weight, GET_PAGE, "uthreshold 2000", "lthreshold 1000"),
            real_server(RS2, 1, GET_PAGE)),
        virtual_server(
            PLAIN, "lc",
            real_server(RS1, 5, CONNECT, "inhibit_on_failure"),
            real_server(RS2, 5, CONNECT, "inhibit_on_failure")), ""]))
    script = HOME / "lips"
    script.write_text(f'#!/bin/sh\nexec {lab.IPVSADM} "$1" -z {SPARE[0]}-{SPARE[-1]}\n')
    script.chmod(0o755)


SORRY_SERVER = """
import http.server
class Sorry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"sorry\\n")
http.server.HTTPServer(("", 8000), Sorry).serve_forever()
"""

# Asks on one connection until its standard input ends; says how often, and from
# how many ports.
KEEP_ALIVE = """
import http.client, select, sys
conn = http.client.HTTPConnection(sys.argv[1])
ports, pages = set(), 0
while not select.select([sys.stdin], [], [], 0.05)[0]:
    conn.request("GET", "/")
    ports.add(conn.sock.getsockname()[1])
    conn.getresponse().read()
    pages += 1
    print(pages, flush=True)
print(len(ports))
"""


@pytest.fixture
def keepalived(director):
    """keepalived, started and ended in time; its log is shown if the case fails."""
    HOME.mkdir(exist_ok=True)
    configure()
    lab.sh("sysctl", "-qw", "net.ipv4.vs.fullnat_masq=1", ns="director")
    for lip in POOL:
        lab.ipvsadm("-P", "-z", lip)
    sorry = lab.spawn("/usr/bin/python3", "-c", SORRY_SERVER, ns="rs2")
    with (HOME / "log").open("w") as log:
        run = lab.spawn("keepalived", "-C", "-n", "-l", "-D", "-f", HOME / "conf", "-p",
                        HOME / "pid", "-c", HOME / "checkers", ns="director",
                        stdout=log, stderr=log)
    try:
        yield run
    finally:
        run.terminate()
        run.wait(30)
        sorry.terminate()
        sorry.wait()
        print((HOME / "log").read_text())
        for rs in ("rs1", "rs2"):
            serve(rs)


def serve(rs):
    """nginx on RS runs (again)."""
    if not pathlib.Path(f"/tmp/{rs}/pid").exists():
        lab.sh("nginx", "-c", f"/tmp/{rs}/nginx.conf", ns=rs)


def fail(rs):
    """nginx on RS ends."""
    pid = pathlib.Path(f"/tmp/{rs}/pid")
    lab.sh("kill", pid.read_text().strip())
    lab.wait_until(f"nginx on {rs} has ended", lambda: not pid.exists())


def weights(service):
    """{real server: weight} of SERVICE."""
    return {rs: row[0] for (svc, rs), row in lab.dests().items() if svc == service}


def becomes(service, **wanted):
    """Waits until SERVICE has these servers: rs1=weight, rs2=weight, sorry=weight."""
    names = dict(rs1=f"{RS1}:80", rs2=f"{RS2}:80", sorry=SORRY)
    want = {names[k]: w for k, w in wanted.items()}
    lab.wait_until(f"{service} is {want}", lambda: weights(service) == want, 20)


def pool():
    """The LIPs of the default pool."""
    return sorted(lip for lips in lab.laddrs().values() for lip in lips)


def configured():
    """Waits until keepalived has done what its configuration says."""
    becomes(HTTP, rs1=3, rs2=1)
    becomes(PLAIN, rs1=5, rs2=5)
    lab.wait_until("the quorum's LIPs are there", lambda: pool() == POOL + SPARE)


def test_services_are_as_configured(keepalived):
    """Scheduler, method, weights and thresholds, and a page through either service."""
    configured()
    saved = lab.ipvsadm("-S", "-n").stdout.splitlines()
    assert sorted(saved) == sorted([
        f"-A -t {HTTP} -s wrr",
        f"-a -t {HTTP} -r {RS1}:80 -b -w 3 -x 2000 -y 1000",
        f"-a -t {HTTP} -r {RS2}:80 -b -w 1",
        f"-A -t {PLAIN} -s lc",
        f"-a -t {PLAIN} -r {RS1}:80 -b -w 5",
        f"-a -t {PLAIN} -r {RS2}:80 -b -w 5",
        f"-P -z {POOL[0]}-{SPARE[-1]}"]), saved
    assert lab.ipvsadm("-Ln").stdout.count(" FullNat ") == 4
    for port in (80, 8080):
        assert "this page comes from rs" in page(VIP, port)


def test_failing_servers_are_taken_out_and_come_back(keepalived):
    """Removed or inhibited, as configured; without any, the sorry server serves."""
    configured()

    fail("rs1")
    becomes(HTTP, rs2=1)
    becomes(PLAIN, rs1=0, rs2=5)
    for port in (80, 8080):
        assert {page(VIP, port) for _ in range(3)} == {"this page comes from rs2"}

    fail("rs2")
    becomes(HTTP, sorry=1)
    becomes(PLAIN, rs1=0, rs2=0)
    assert page(VIP) == "sorry"
    lab.wait_until("the quorum's LIPs are gone", lambda: pool() == POOL)

    serve("rs1")
    becomes(HTTP, rs1=3)
    becomes(PLAIN, rs1=5, rs2=0)
    assert page(VIP) == "this page comes from rs1"
    lab.wait_until("the quorum's LIPs are back", lambda: pool() == POOL + SPARE)
    serve("rs2")
    configured()


@contextlib.contextmanager
def keep_alive():
    """A client that asks and asks on one connection; afterwards it had no other."""
    run = lab.spawn("/usr/bin/python3", "-c", KEEP_ALIVE, VIP, ns="client", text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert run.stdout.readline() == "1\n", run.stderr.read()
        yield
        said, errors = run.communicate(timeout=30 * lab.SLOW)
        pages = said.split()
        assert run.returncode == 0, errors
        assert pages[-1] == "1" and len(pages) > 10, said
    finally:
        run.kill()
        run.wait()


def test_reload_loses_no_flow(keepalived):
    """A weight changed by SIGHUP, while a download and a keep-alive connection go on."""
    configured()
    with keep_alive():
        download = lab.spawn("curl", "-sS", "--limit-rate", f"{BIG_MB // 12}M", "-o", "/tmp/slow",
                             f"http://{VIP}/big", ns="client", stderr=subprocess.PIPE)
        lab.wait_until("the download is up", lambda: pathlib.Path("/tmp/slow").exists())
        configure(weight=7)
        keepalived.send_signal(signal.SIGHUP)
        becomes(HTTP, rs1=7, rs2=1)
        assert download.poll() is None, "too fast: it did not see the reload"
        assert download.wait(60 * lab.SLOW) == 0, download.stderr.read()
    lab.sh("cmp", "/tmp/slow", "/tmp/big")
    pathlib.Path("/tmp/slow").unlink()


def test_stop_takes_its_services_along(keepalived):
    """And nothing else: the pool stays, for whoever comes next."""
    configured()
    keepalived.terminate()
    assert keepalived.wait(30 * lab.SLOW) == 0
    assert lab.dests() == {}
    assert not [line for line in lab.ipvsadm("-S", "-n").stdout.splitlines() if "-t" in line]
    assert pool() == POOL + SPARE
