# SPDX-License-Identifier: GPL-2.0
"""The demo's network, with nginx on its servers and the module on its director."""

import contextlib
import http.client
import pathlib
import re
import shutil
import subprocess

import pytest

from lib import lab

E2E = lab.TOP / "tests" / "e2e"
VIP = "198.51.100.1"
LIPS = "10.99.0.1-10.99.0.4"
RS1, RS2 = "10.10.0.2", "10.20.0.2"
BIG_MB = 100 if lab.SLOW == 1 else 12


@pytest.fixture(scope="session")
def servers():
    """topo.sh and servers.sh, once for all cases."""
    lab.sh(E2E / "topo.sh", "up")
    lab.sh(E2E / "servers.sh", "up", BIG_MB)
    for ns in ("client", "rs1", "rs2"):
        # As real hosts with real interfaces do.
        lab.sh("ethtool", "-K", "eth0", "gro", "on", ns=ns)
    for dev in ("client", "trunk"):
        lab.sh("ethtool", "-K", dev, "gro", "on", ns="director")
    yield
    lab.sh(E2E / "servers.sh", "down")
    lab.sh(E2E / "topo.sh", "down")


@pytest.fixture
def module():
    """The module, loaded before and removed after, whatever happened between."""
    lab.hold_hooks()
    lab.unload()                                # wire cases leave theirs, with a small table
    lab.load()
    yield
    lab.unload()


# Packets that the director threw away, by its counters. Not those of connections that
# it does not know: clients of the case before may still be trying to end theirs.
DROPS = {"conn_sched_unreach", "conn_exceeded", "lro_reject", "xmit_unexpected_mtu",
         "synproxy_bad_ack", "synproxy_null_ack", "drop_", "defence_", "refused_ratelimit"}


def pytest_configure(config):
    config.addinivalue_line("markers", "drops(counter, ...): what may be dropped in this case")


def check_drops(item):
    """Fails if the director has dropped anything that the case does not explain."""
    try:
        counted = lab.counters()
    except FileNotFoundError:           # the case ended the module itself
        return
    explained = {name for mark in item.iter_markers("drops") for name in mark.args}
    dropped = {name: n for name, n in counted.items()
               if n and name.startswith(tuple(DROPS)) and name not in explained}
    assert not dropped, f"dropped, and nobody says why: {dropped}"


@pytest.fixture
def capture(servers, request):
    """What the director sees from here on, as a process; kept if the case fails."""
    pcap = pathlib.Path("/tmp/director.pcap")
    dump = lab.spawn("tcpdump", "-i", "any", "-s", "128", "-c", "5000", "-w", pcap,
                     "not", "arp", ns="director", stderr=subprocess.PIPE)
    yield dump
    dump.terminate()
    dump.wait()
    if getattr(request.node, "failed", False):
        kept = lab.OUT / "pcap" / f"{request.node.name}.pcap"
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(pcap, kept)
        print(f"capture: {kept}")


@pytest.fixture
def director(capture, module, request):
    """A director without a service.

    At its end nothing has been dropped that a mark of the case does not explain.
    """
    capture.stderr.readline()       # now it listens
    yield
    if getattr(request.node, "failed", False):
        print(lab.ipvsadm("-Ln", "--stats", check=False).stdout)
        print({k: v for k, v in lab.counters().items() if v})
    else:
        check_drops(request.node)


def service(which, *dests, lips=None, options="-s rr", method="-b", ns="director"):
    """WHICH (-t VIP:PORT, say) with LIPS and DESTS, each reached by METHOD, at one go."""
    lines = [f"-A {which} {options}"]
    lines += [f"-P {which} -z {lips}"] if lips else []
    lines += [f"-a {which} -r {rs} {method}" for rs in dests]
    lab.ipvsadm("-R", stdin="\n".join(lines) + "\n", ns=ns)


@pytest.fixture
def web(director):
    """A service on VIP:80 with four LIPs and both servers, round robin."""
    service(f"-t {VIP}:80", f"{RS1}:80", f"{RS2}:80", lips=LIPS)


def iperf(vip, *args, client="client", server="rs1"):
    """What iperf3 on CLIENT says of a transfer by VIP to SERVER, both namespaces."""
    daemon = lab.spawn("iperf3", "-s", "-1", ns=server)
    lab.wait_until("iperf3 listens", lambda: ":5201" in lab.out("ss", "-tlnH", ns=server))
    try:
        return lab.out("iperf3", "-c", vip, *args, ns=client, timeout=60)
    finally:
        daemon.terminate()
        daemon.wait(20)


def datagrams(vip, *args, **kw):
    """Those of iperf() with ARGS, none of which is to be lost: by its receiver's word, for
    its sender counts none."""
    # A receiver that gets no CPU for a while has them wait here.
    with lab.sysctls({"net.core.rmem_default": 8 << 20}):
        said = iperf(vip, "-u", *args, **kw)
    assert re.search(r"\b0/[1-9]\d* \(0%\) +receiver", said), said


def page(host, port=80, source=None):
    """The page that the client finds at HOST:PORT, from its address SOURCE if one is named."""
    with lab.inside("client"):
        connection = http.client.HTTPConnection(host.strip("[]"), port, 60 * lab.SLOW,
                                                source and (source, 0))
        connection.connect()
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()


def curl(*args, seconds=60, **kw):
    """What curl on the client prints for ARGS, given SECONDS (longer on a debug kernel)."""
    return lab.out("curl", "-fsS", "--max-time", seconds * lab.SLOW, *args, ns="client",
                   timeout=seconds + 30, **kw)
