# SPDX-License-Identifier: GPL-2.0
"""ipvsadm -Lc: connections with all of their addresses."""
import errno
import os
import re
import socket
import subprocess

import pytest

from fake_kernel import CONN, GET_CONN, HAS_FULLNAT, be16, conn, ip, u8, u16, u32
from ipvsadm import IPVSADM, VIP

WEB = conn(("203.0.113.7", 40000), ("10.0.0.1", 80), ("10.2.0.1", 1025),
           ("10.1.0.1", 8080))
LONG = conn(("255.255.255.255", 65535), ("255.255.255.255", 65535),
            ("255.255.255.255", 65535), ("255.255.255.255", 65535),
            proto=17, state="UDP", left=2147483)
MASQ = conn(("203.0.113.8", 5), ("10.0.0.1", 80), None, ("10.1.0.2", 80),
            state="SYN_RECV", left=59)
MARK = conn(("203.0.113.9", 6), ("10.0.0.9", 1), ("10.2.0.1", 7), ("10.1.0.1", 1),
            mark=3)
SIX = conn(("2001:db8::7", 40000), ("2001:db8::1", 80),
           ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535), ("2001:db8::a", 80))

PROC = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP CB007107 9C40 0A000001 0050 0A010001 1F90 ESTABLISHED     898
TCP 2001:0db8:0000:0000:0000:0000:0000:0007 0005 2001:0db8:0000:0000:0000:0000:0000:0001 0050 0A010001 0050 SYN_RECV          5
"""

NO_FILTERS = ("This kernel's IPVS has no filters for connections: remove ip_vs and "
              "load ip_vs_fullnat\n")


@pytest.mark.parametrize("command", ["-Lnc", "-lnc", "-L -n -c", "-L -c -n --nosort"])
def test_connections_are_a_table_of_at_most_120_columns(host, command):
    """The widest IPv4 connection fits, one without a local address has a dash."""
    host.kernel.conns = [WEB, LONG, MASQ]
    out = host.ok(command)
    assert out == """\
IPVS connection entries
pro expire   state       source                virtual               local                 destination
TCP 01:30    ESTABLISHED 203.0.113.7:40000     10.0.0.1:80           10.2.0.1:1025         10.1.0.1:8080
UDP 35791:23 UDP         255.255.255.255:65535 255.255.255.255:65535 255.255.255.255:65535 255.255.255.255:65535
TCP 00:59    SYN_RECV    203.0.113.8:5         10.0.0.1:80           -                     10.1.0.2:80
"""
    assert max(map(len, out.splitlines())) <= 120
    assert [r.attrs for r in host.kernel.sent(GET_CONN)] == [{}]


def test_ipv6_connections_line_up_and_leave_ipv4_alone(host):
    """A column of IPv6 addresses becomes as wide as it must and stays so."""
    wide = ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535)
    host.kernel.conns = [conn(wide, wide, wide, wide), WEB, SIX]
    _, title, first, web, six = host.ok("-Lnc").splitlines()
    assert [m.start() for m in re.finditer(r"\S+", first)] == [
        m.start() for m in re.finditer(r"\S+", six)]
    assert web.index("10.2.0.1") == title.index("local")
    assert six.split()[3:] == ["[2001:db8::7]:40000", "[2001:db8::1]:80",
                               "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                               "[2001:db8::a]:80"]


def test_names_are_shown_without_n(host):
    """As upstream does: of hosts and of ports."""
    host.kernel.conns = [conn(("127.0.0.1", 40000), ("127.0.0.1", 80), ("127.0.0.1", 53),
                              ("127.0.0.1", 1))]
    words = host.ok("-Lc").splitlines()[2].split()
    assert words[4] == f"{socket.gethostbyaddr('127.0.0.1')[0]}:{socket.getservbyport(80)}"


@pytest.mark.parametrize("words, wanted", [
    (f"-t {VIP}", {2: u8(6), 5: "10.0.0.1", 6: be16(80)}),
    ("-t 10.0.0.1", {2: u8(6), 5: "10.0.0.1"}),
    ("-t 10.0.0.1:0", {2: u8(6), 5: "10.0.0.1"}),
    ("-u 10.0.0.1:domain", {2: u8(17), 5: "10.0.0.1", 6: be16(53)}),
    ("-f 7", {1: u16(2), 11: u32(7)}),
    ("-f 4294967295 -6", {1: u16(10), 11: u32(0xffffffff)}),
    ("-r 10.1.0.1", {9: "10.1.0.1"}),
    ("-r 10.1.0.1:8080", {9: "10.1.0.1", 10: be16(8080)}),
    ("-z 10.2.0.1", {7: "10.2.0.1"}),
    ("-z 10.2.0.1:1025", {7: "10.2.0.1", 8: be16(1025)}),
    ("--client 203.0.113.7", {3: "203.0.113.7"}),
    ("--client [2001:db8::7]:40000", {3: "2001:db8::7", 4: be16(40000)}),
    ("-t [2001:db8::1] -r [2001:db8::a]", {2: u8(6), 5: "2001:db8::1", 9: "2001:db8::a"}),
    ("-t 10.0.0.1:80 -r 10.1.0.1 -z 10.2.0.1 --client 203.0.113.7:40000",
     {2: u8(6), 5: "10.0.0.1", 6: be16(80), 9: "10.1.0.1", 7: "10.2.0.1",
      3: "203.0.113.7", 4: be16(40000)})])
def test_filters_are_the_kernels_work(host, words, wanted):
    """Each agrees with what it says, and they add up."""
    host.kernel.conns = [WEB, LONG, MASQ, MARK, SIX]
    host.ok(f"-Lnc {words}")
    for kind, value in list(wanted.items()):
        if isinstance(value, str):
            wanted[1], packed = ip(value)
            wanted[kind] = packed if wanted[1] == u16(10) else packed[:4]
    (request,) = host.kernel.sent(GET_CONN)
    assert request.attrs == {CONN: wanted}
    assert request.nested == {CONN} and request.flags == 0x305


def test_filters_select(host):
    """End to end: what is listed is what was asked for."""
    host.kernel.conns = [WEB, LONG, MASQ, MARK, SIX]
    for words, clients in {
            f"-t {VIP}": ["203.0.113.7:40000", "203.0.113.8:5"],
            f"-t {VIP} -z 10.2.0.1": ["203.0.113.7:40000"],
            "-z 10.2.0.1": ["203.0.113.7:40000", "203.0.113.9:6"],
            "-f 3": ["203.0.113.9:6"], "-f 4": [],
            "--client 2001:db8::7": ["[2001:db8::7]:40000"]}.items():
        lines = host.ok(f"-Lnc {words}").splitlines()[2:]
        assert [line.split()[3] for line in lines] == clients, words


@pytest.mark.parametrize("features", [None, HAS_FULLNAT])
def test_other_kernels_are_listed_as_ever(host, features):
    """From /proc, without filters; a kernel that lacks the file is an error."""
    host.kernel.features = features
    host.conn_file.write_text(PROC)
    assert host.ok("-Lnc") == """\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:58  ESTABLISHED 203.0.113.7:40000  10.0.0.1:80        10.1.0.1:8080
TCP 00:05  SYN_RECV    [2001:db8::7]:5    [2001:db8::1]:80   10.1.0.1:80
"""
    host.conn_file.unlink()
    assert host.fails("-Lnc") == (1, "cannot open file /proc/net/ip_vs_conn\n")
    status, said = host.fails("-Lnc --client 10.9.0.1")
    assert status == 2 and not host.kernel.sent(GET_CONN)
    assert said == (NO_FILTERS if not features else
                    "This ip_vs_fullnat has no filters for connections: load a newer one\n")


def test_a_dump_that_fails_at_its_end_fails(host):
    """What had come is printed, the sentence follows."""
    host.kernel.conns = [WEB]
    host.kernel.dump_error = (errno.EINVAL, "the table was replaced")
    done = host.run("-Lnc")
    assert (done.returncode, done.stderr) == (1, "Invalid argument: the table was replaced\n")
    assert "10.2.0.1:1025" in done.stdout


def list_all(host, *options):
    """How many lines -Lnc prints, and the most memory that it had, in KiB."""
    with subprocess.Popen([IPVSADM, "-Lnc", *options], env=host.env, stdout=subprocess.PIPE) as tool:
        lines = sum(1 for _ in tool.stdout)
        _, status, usage = os.wait4(tool.pid, 0)
        tool.returncode = status
    assert status == 0
    return lines, usage.ru_maxrss


def test_many_connections_take_no_memory(host):
    """Lines are printed as they come: as much memory as for forty."""
    host.kernel.conns = [WEB] * 40
    few, little = list_all(host)
    host.kernel.repeat = 5000
    many, much = list_all(host)
    assert (few, many) == (42, 200002)
    assert much < little + 4096, f"{little} KiB for forty, {much} KiB for 200,000"
