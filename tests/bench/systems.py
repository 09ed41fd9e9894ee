# SPDX-License-Identifier: GPL-2.0
"""Lens 3: whole systems, in a VM that counts instructions: wrk, iperf3, nginx as server.

The network is that of tests/e2e.
"""

import json
import pathlib
import re

import director
import peers
from instructions import Row
from lib import lab

TITLE = "Whole systems"
ABOUT = """A client, a director, two servers in two VLANs behind one trunk, all in one VM on Debian's stock
kernel, whose one CPU has a clock that counts instructions, as in the first lens. So a second is 10^9
instructions of all of them together, clients and servers included, whatever else the host does
meanwhile: a figure compares work, and says nothing of caches, nor of CPUs that wait for each other.
wrk with 50 connections and Connection: close; iperf3 with four, to one server, with TSO and GRO.
A machine is booted for each system, so that none inherits anything of another."""
UNIT = "what each row says"
COLUMNS = ("flowtable", "nft", "ipvs-snat", "haproxy", "nginx", "ours", "ours-synproxy")
SECONDS = 1
PICTURES = (
    {"title": "Connections per 10^9 instructions (wrk, Connection: close)", "kind": "bars",
     "axis": "connections per second", "rows": ("cps",), "height": 3},
    {"title": "Goodput (iperf3)", "kind": "bars", "axis": "Mbit per second",
     "rows": ("goodput", "goodput-back"), "height": 4},
)
VIP, LIPS, RS = "198.51.100.1", "10.99.0.1-10.99.0.4", ("10.10.0.2", "10.20.0.2")
E2E = lab.TOP / "tests" / "e2e"
RULES = """table ip lb {{
    chain pre {{ type nat hook prerouting priority dstnat;
        ip daddr {vip} tcp dport 80 dnat ip addr . port to numgen inc mod 2 \\
            map {{ 0 : {0} . 80, 1 : {1} . 80 }};
        ip daddr {vip} tcp dport 5201 dnat to {0}; }}
}}"""
SNAT = """table ip lb {{
    chain post {{ type nat hook postrouting priority srcnat;
        ip daddr {{ {0}, {1} }} tcp dport {{ 80, 5201 }} snat to {lips}; }}
}}"""
HAPROXY = """defaults
  mode tcp
  timeout connect 3s
  timeout client 60s
  timeout server 60s
listen web
  bind {vip}:80
  balance roundrobin
  server s1 {0}:80 source 10.99.0.1
  server s2 {1}:80 source 10.99.0.2
listen iperf
  bind {vip}:5201
  server s1 {0}:5201 source 10.99.0.1
"""
NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 1; pid /tmp/lb.pid; error_log /tmp/lb.log;
events {{ worker_connections 20000; }}
stream {{
  upstream web {{ server {0}:80; server {1}:80; }}
  server {{ listen {vip}:80 reuseport; proxy_pass web; proxy_bind 10.99.0.1; }}
  server {{ listen {vip}:5201; proxy_pass {0}:5201; proxy_bind 10.99.0.1; }}
}}
"""


def fill(text):
    """TEXT with addresses put in."""
    return text.format(*RS, vip=VIP, lips=LIPS)


def services(stock, *options):
    """VIP:80 to both servers and VIP:5201 to one, by either ipvsadm; OPTIONS of each."""
    for port, servers in ((80, RS), (5201, RS[:1])):
        lab.ipvsadm("-A", "-t", f"{VIP}:{port}", "-s", "rr", *options, stock=stock)
        if not stock:
            lab.ipvsadm("-P", "-t", f"{VIP}:{port}", "-z", LIPS)
        for rs in servers:
            lab.ipvsadm("-a", "-t", f"{VIP}:{port}", "-r", f"{rs}:{port}", "-m" if stock else "-b",
                        stock=stock)


def set_up(name):
    """The director works the way of NAME."""
    if name in ("nft", "flowtable"):
        director.nft(fill(RULES) + "\n" + fill(SNAT))
        peers.conntrack(True)
    if name == "flowtable":
        director.nft(peers.FLOWTABLE.replace("c0, s0", "client, trunk"))
    elif name == "ipvs-snat":
        director.modprobe("ip_vs", "conn_tab_bits=20")
        director.modprobe("ip_vs_rr")
        services(stock=True)
        lab.sh("sysctl", "-qw", "net.ipv4.vs.conntrack=1", ns="director")
        director.nft(fill(SNAT))
        peers.conntrack(True)
    elif name in ("ours", "ours-synproxy"):
        lab.load()
        services(False, *(("-j", "enable") if name == "ours-synproxy" else ()))
    elif name in ("haproxy", "nginx"):
        path = pathlib.Path(f"/tmp/{name}.cfg")
        path.write_text(fill(HAPROXY if name == "haproxy" else NGINX))
        start = ("haproxy", "-D", "-p", "/tmp/lb.pid", "-f") if name == "haproxy" else ("nginx", "-c")
        lab.sh(*start, path, ns="director")


def network():
    """The network, its servers running."""
    lab.sh(E2E / "topo.sh", "up")
    lab.sh(E2E / "servers.sh", "up", 1)
    lab.sh("iperf3", "-s", "-D", ns="rs1")
    for ns, dev in (("director", "client"), ("director", "trunk"), ("rs1", "eth0"),
                    ("rs2", "eth0"), ("client", "eth0")):
        lab.sh("ethtool", "-K", dev, "gro", "on", ns=ns)
    lab.sh("ip", "-n", "director", "addr", "add", f"{VIP}/32", "dev", "lo")
    lab.sh("sysctl", "-qw", "net.ipv4.ip_forward=1", ns="director")


def connections():
    """Connections per second, and what went wrong."""
    said = lab.out("wrk", "-t1", "-c50", f"-d{SECONDS}s", "-H", "Connection: close",
                   f"http://{VIP}/", ns="client")
    wrong = re.search(r"Socket errors: (.*)|Non-2xx.*", said)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), wrong and wrong[0]


def goodput(*way):
    """Mbit per second, and nothing to say of it."""
    said = json.loads(lab.out("iperf3", "-c", VIP, "-P", "4", "-t", SECONDS, "-J", *way,
                              ns="client"))
    return said["end"]["sum_received"]["bits_per_second"] / 1e6, None


def table():
    """{key: Row}"""
    return {
        "cps": Row("connections per second", COLUMNS, connections, "second"),
        "goodput": Row("Mbit per second, client to server", COLUMNS, goodput, "second"),
        "goodput-back": Row("Mbit per second, server to client", COLUMNS, lambda: goodput("-R"),
                            "second"),
    }


def run(rows, columns, tell):
    """Measure ROWS (keys) of COLUMNS; TELL(row, column, figure, note) each."""
    known = table()
    network()
    for column in columns:
        set_up(column)
        for key in rows:
            try:
                lab.wait_until("pages come", lambda: not lab.sh(
                    "curl", "-sf", "-m", "2", f"http://{VIP}/", ns="client",
                    check=False).returncode, 30)
                tell(key, column, *known[key].measure())
            except AssertionError as why:
                tell(key, column, None, str(why).splitlines()[0])


def machines(columns):
    """The columns of each machine: one each."""
    return [[c] for c in columns]


def machine(share, job):
    """The command that runs JOB where this lens measures."""
    return [lab.TOP / "tests" / "vm" / "run", "--icount", "--timeout", "3000", "--share", share, "--", *job]
