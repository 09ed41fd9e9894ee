# SPDX-License-Identifier: GPL-2.0
"""Everything that can be configured changes, on and on, under traffic from two CPUs."""

import itertools
import subprocess
import time

import pytest

from e2e.conftest import LIPS, RS1, RS2, VIP, curl
from lib import lab

SECONDS = 20 if lab.SLOW == 1 else 40
WEB, ECHO, MARKED = f"-t {VIP}:80", f"-u {VIP}:7", "-f 7"
MARKED_VIP = "198.51.100.2"                     # nft marks what goes there
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "twos", "dh", "sh", "mh",
              "lblc", "lblcr")

RULES = f"""\
-A {WEB} -s wlc
-P {WEB} -z {LIPS}
-a {WEB} -r {RS1}:80 -b
-a {WEB} -r {RS2}:80 -b
-A {ECHO} -s rr
-a {ECHO} -r {RS1}:7 -b
-a {ECHO} -r {RS2}:7 -b
-A {MARKED} -s rr
-a {MARKED} -r {RS1}:80 -b
-a {MARKED} -r {RS2}:80 -b
-P -z 10.99.0.1-10.99.0.2
"""

# A round of changes; each line of a text goes to ipvsadm -R. {x} are values that
# differ from round to round.
EDIT = f"""\
-E {WEB} -s {{scheduler}}
-e {WEB} -r {RS1}:80 -b -w {{weight}} -x {{upper}} -y 1
-e {ECHO} -r {RS2}:7 -b -w {{weight}}
-E {ECHO} -s {{other}} {{ops}}
-E {MARKED} -s {{other}} {{persist}}
"""
SWAP = f"""\
-d {WEB} -r {RS2}:80
-Q {WEB} -z 10.99.0.1-10.99.0.3
-a {WEB} -r {RS2}:80 -b -w 2
-P {WEB} -z 10.99.0.1-10.99.0.3
-Q -z 10.99.0.2
-P -z 10.99.0.2
-d {ECHO} -r {RS1}:7
-a {ECHO} -r {RS1}:7 -b
-d {MARKED} -r {RS1}:80
-a {MARKED} -r {RS1}:80 -b
"""
RENEW = f"""\
-D {MARKED}
-D {ECHO}
-A {ECHO} -s {{other}}
-P {ECHO} -z 10.99.0.4
-a {ECHO} -r {RS1}:7 -b
-a {ECHO} -r {RS2}:7 -b
-A {MARKED} -s {{other}} {{persist}}
-a {MARKED} -r {RS1}:80 -b
-a {MARKED} -r {RS2}:80 -b
"""
SYSCTLS = (
    "fullnat_lport_min={low} fullnat_lport_max=60000 run_estimation={bit} fast_xmit={bit}"
    " expire_nodest_conn={three} expire_quiescent_template={bit} drop_entry={three}"
    " drop_packet={bit} secure_tcp={three} timeout_established={seconds}"
    " timeout_synrecv={seconds} timeout_close={seconds} conn_max={conn_max}")
DEFAULTS = (
    "fullnat_lport_min=1025 fullnat_lport_max=65535 run_estimation=1 fast_xmit=1"
    " expire_nodest_conn=2 expire_quiescent_template=0 drop_entry=0 drop_packet=0 secure_tcp=0"
    " timeout_established=900 timeout_synrecv=60 timeout_close=10 conn_max=1000000")

# A client that takes what it gets; says how many answers that were, when ended.
CLIENT = """
import signal, socket, sys
def stop(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
pages = echoes = 0
try:
    while True:
        for vip in sys.argv[1:]:
            try:
                with socket.create_connection((vip, 80), 0.5) as s:
                    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                    pages += b"this page" in s.recv(4096)
            except OSError:
                pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect((sys.argv[1], 7))
            for _ in range(5):
                try:
                    s.send(b"echo")
                    echoes += s.recv(100) == b"echo"
                except OSError:
                    pass
except KeyboardInterrupt:
    print(pages, echoes)
"""

ECHO_SERVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
while True:
    data, peer = s.recvfrom(2048)
    s.sendto(data, peer)
"""

LISTER = f"""
while :; do
    for view in -Ln '-Ln --stats' '-Ln --rate' '-Ln --thresholds' -Lnc -G '-L --timeout' -Sn; do
        {lab.IPVSADM} $view
    done
    cat /proc/net/ip_vs* /proc/sys/net/ipv4/vs/*
done
"""


@pytest.fixture
def traffic(director):
    """Clients on CPU 0 and CPU 1, servers for them, and somebody who lists all there is.

    Gives a function that ends the clients and returns their answers: [[pages, echoes]].
    """
    lab.sh("nft", "add table ip churn; add chain ip churn marks"
           " { type filter hook prerouting priority mangle; };"
           f" add rule ip churn marks ip daddr {MARKED_VIP} meta mark set 7", ns="director")
    others = [lab.spawn("/usr/bin/python3", "-c", ECHO_SERVER, ns=rs) for rs in ("rs1", "rs2")]
    others.append(lab.spawn("sh", "-c", LISTER, ns="director", start_new_session=True))
    clients = [lab.spawn("taskset", "-c", cpu, "/usr/bin/python3", "-c", CLIENT, VIP, MARKED_VIP,
                         ns="client", text=True, stdout=subprocess.PIPE) for cpu in (0, 1)]

    def end():
        for client in clients:
            client.terminate()
        return [list(map(int, client.communicate(timeout=30 * lab.SLOW)[0].split()))
                for client in clients]
    try:
        yield end
    finally:
        lab.sh("kill", "--", f"-{others[-1].pid}", check=False)
        for run in (*others, *clients):
            run.kill()
            run.wait()
        lab.sh("nft", "delete", "table", "ip", "churn", ns="director")


def sysctls(text):
    lab.sh("sysctl", "-qw", *(f"net.ipv4.vs.{word}" for word in text.split()), ns="director")


def change(i):
    """Round I of changes; the number of commands."""
    values = dict(
        scheduler=SCHEDULERS[i % len(SCHEDULERS)], other=SCHEDULERS[(i * 5 + 3) % len(SCHEDULERS)],
        weight=i % 4, upper=(1, 3, 1000)[i % 3], ops=("", "-o")[i % 2],
        persist=("", "-p 2", "-p 60 -M 255.255.255.0")[i % 3], low=1025 + i, bit=i % 2,
        three=i % 3, seconds=1 + i % 5, conn_max=(20, 1000000)[i % 4 > 0])
    for rules in (EDIT, SWAP, RENEW):
        lab.ipvsadm("-R", stdin=rules.format(**values))
    lab.ipvsadm("--set", 1 + i % 100, 1 + i % 7, 1 + i % 9)
    lab.ipvsadm("-Z")
    sysctls(SYSCTLS.format(**values))
    if i % 3 == 2:
        saved = lab.ipvsadm("-S", "-n").stdout
        lab.ipvsadm("-C")
        lab.ipvsadm("-R", stdin=saved)
        assert sorted(lab.ipvsadm("-S", "-n").stdout.split("\n")) == sorted(saved.split("\n"))
    return sum(rules.count("\n") for rules in (EDIT, SWAP, RENEW)) + 2


@pytest.mark.drops("conn_sched_unreach", "conn_exceeded", "drop_no_laddr", "drop_dest_gone",
                   "drop_packet", "refused_ratelimit")
def test_everything_changes_under_traffic(traffic):
    """Whatever happens, it works afterwards, and the kernel has nothing to say."""
    lab.ipvsadm("-R", stdin=RULES)
    lab.wait_until("packets pass", lambda: lab.nic("trunk", "director")["tx_packets"] > 100, 30)
    commands, end = 0, time.monotonic() + SECONDS
    for i in itertools.count():
        if time.monotonic() > end:
            break
        commands += change(i)
    answers = traffic()
    lab.figure(f"churn: {commands} commands in {SECONDS} s, {sum(map(sum, answers))} answers"
               " to two clients meanwhile")
    assert all(pages and echoes for pages, echoes in answers), answers

    sysctls(DEFAULTS)
    lab.ipvsadm("--set", "900", "120", "300")
    lab.ipvsadm("-C")
    lab.ipvsadm("-R", stdin=RULES)
    for vip in (VIP, MARKED_VIP):
        assert "this page comes from rs" in curl(f"http://{vip}/")
