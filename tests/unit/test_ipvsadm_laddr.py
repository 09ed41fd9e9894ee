# SPDX-License-Identifier: GPL-2.0
"""Local addresses: how they are read, sent and listed."""
import ipaddress
import socket
import subprocess

import pytest

from fake_kernel import DEL_LADDR, LADDR, NEW_LADDR, SERVICE, key, u16, u32
from ipvsadm import TOOLS, TOP, VIP, compile_c, plain

HARNESS = r"""
#include <stdio.h>
#include "laddr.h"

int main(int argc, char **argv)
{
	char buf[LADDR_STRLEN];
	ipvs_laddr_t laddr;
	const char *why;

	while (*++argv) {
		why = laddr_parse(*argv, &laddr);
		puts(why ? why : laddr_print(&laddr, buf, sizeof(buf)));
	}
	return 0;
}
"""

LADDRS = {
    "10.0.0.1": "10.0.0.1",
    "10.0.0.1-10.0.0.20": "10.0.0.1-10.0.0.20",
    "10.0.0.1-20": "10.0.0.1-10.0.0.20",
    "10.0.0.7-7": "10.0.0.7",
    "10.0.0.250-10.0.1.5": "10.0.0.250-10.0.1.5",
    "10.0.0.0/24": "10.0.0.1-10.0.0.254",
    "10.0.0.8/30": "10.0.0.9-10.0.0.10",
    "10.0.0.8/31": "10.0.0.8-10.0.0.9",
    "10.0.0.8/32": "10.0.0.8",
    "10.0.16.0/20": "10.0.16.1-10.0.31.254",
    "10.0.0.0-10.0.15.255": "10.0.0.0-10.0.15.255",
    "255.255.255.255": "255.255.255.255",
    "2001:db8::1": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]-[2001:db8::2]": "2001:db8::1-2001:db8::2",
    "2001:db8::fffe-2001:db8::1:1": "2001:db8::fffe-2001:db8::1:1",
    "[2001:db8::]/120": "2001:db8::-2001:db8::ff",
    "2001:db8::/116": "2001:db8::-2001:db8::fff",
    "2001:db8::5/128": "2001:db8::5",
}

SYNTAX = "give ADDR, ADDR-ADDR or ADDR/PREFIX, without name or port"
MANY = "it names more than 4096 addresses: give them in several commands"
BITS = ("it has bits set behind its prefix: give the first address of the "
        "prefix, or leave /PREFIX out")
BAD_LADDRS = {
    "": SYNTAX, "-": SYNTAX, "/": SYNTAX, "10.0.0.1-": SYNTAX, "/24": SYNTAX,
    "-10.0.0.1": SYNTAX, "10.0.0": SYNTAX, "10.0.0.300": SYNTAX,
    "10.0.0.1:80": SYNTAX, "example.com": SYNTAX, "10.0.0.1-300": SYNTAX,
    "10.0.0.1-+5": SYNTAX, "10.0.0.1-10.0.0.5-7": SYNTAX, "12345": SYNTAX,
    "10.0.0.1 ": SYNTAX, "010.0.0.1": SYNTAX, "[10.0.0.1]": SYNTAX,
    "[2001:db8::1": SYNTAX, "2001:db8::1]": SYNTAX, "[]": SYNTAX,
    "[2001:db8::1]:80": SYNTAX, "2001:db8::1-ff": SYNTAX,
    "fe80::1%eth0": SYNTAX, "1" * 1000: SYNTAX, "10.0.0.1-" * 30: SYNTAX,
    "10.0.0.5-10.0.0.4": "the range ends before it begins",
    "10.0.0.5-4": "the range ends before it begins",
    "2001:db8::1-2001:db7::1": "the range ends before it begins",
    "10.0.0.1-2001:db8::1": "both ends of a range must be of one family",
    "2001:db8::1-10.0.0.1": "both ends of a range must be of one family",
    "10.0.0.0/33": "a prefix length is 0 to 32",
    "10.0.0.0/": "a prefix length is 0 to 32",
    "10.0.0.0/-1": "a prefix length is 0 to 32",
    "10.0.0.0/255.255.255.0": "a prefix length is 0 to 32",
    "2001:db8::/129": "a prefix length is 0 to 128",
    "10.0.0.5/24": BITS, "2001:db8::1/120": BITS,
    "10.0.0.0/19": MANY, "0.0.0.0/0": MANY, "::/0": MANY,
    "10.0.0.0-10.0.16.0": MANY, "2001:db8::/64": MANY,
    "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": MANY,
}


@pytest.fixture(scope="session")
def laddr(tmp_path_factory):
    src = TOOLS / "ipvsadm-1.31"
    return compile_c(tmp_path_factory.mktemp("laddr") / "laddr", HARNESS,
                     src / "laddr.c", f"-I{src}", f"-I{TOP}/include/uapi",
                     "-fsanitize=address,undefined",
                     "-fno-sanitize-recover=all")


def test_local_addresses_are_read(laddr):
    done = subprocess.run([laddr, *LADDRS], text=True, capture_output=True)
    assert done.stderr == ""
    assert dict(zip(LADDRS, done.stdout.splitlines())) == LADDRS


def test_wrong_local_addresses_get_one_sentence(laddr):
    done = subprocess.run([laddr, *BAD_LADDRS], text=True, capture_output=True)
    assert done.stderr == ""
    said = dict(zip(BAD_LADDRS, done.stdout.splitlines()))
    assert said == {arg: f"illegal local address `{arg[:100]}': {why}"
                    for arg, why in BAD_LADDRS.items()}


def test_the_tool_says_that_sentence():
    done = plain("-P -z 10.0.0.5-4")
    assert (done.returncode, done.stderr) == (
        2, "illegal local address `10.0.0.5-4': the range ends before it "
           "begins\n")


@pytest.mark.parametrize("flag, cmd", [("-P", NEW_LADDR), ("-Q", DEL_LADDR)])
def test_local_address_on_the_wire(host, flag, cmd):
    host.run(flag, "-t", VIP, "-z", "10.2.0.1")
    host.run(flag, "-u", "[2001:db8::1]:53", "-z", "2001:db8::/120")
    host.run(flag, "-f", "7", "-z", "10.2.0.1-9")
    host.run(flag, "-z", "10.2.0.1-9")
    first, last = socket.inet_aton("10.2.0.1"), socket.inet_aton("10.2.0.9")
    p6 = ipaddress.ip_address("2001:db8::").packed
    ipv4 = {65: u16(2), 1: first, 64: last}
    got = host.kernel.sent(cmd)
    assert [r.attrs for r in got] == [
        {SERVICE: key("10.0.0.1"), LADDR: {65: u16(2), 1: first}},
        {SERVICE: key("2001:db8::1", 53, 17),
         LADDR: {65: u16(10), 1: p6, 64: p6[:15] + b"\xff"}},
        {SERVICE: {1: u16(2), 5: u32(7)}, LADDR: ipv4},
        {LADDR: ipv4}]
    assert all(r.nested == set(r.attrs) and r.flags == 5 for r in got)


def test_get_laddr_ipv4(host):
    """Every service and the default pool, in at most 80 columns; -n is allowed."""
    host.table("-A -t 255.255.255.255:65535 -p", "-A -u 255.255.255.255:65535 -p",
               "-A -f 1", "-P -z 10.3.0.1-2", "-P -z 255.255.255.255",
               "-P -u 255.255.255.255:65535 -z 10.2.0.1")
    host.kernel.pool[ipaddress.ip_address("10.3.0.2")] = (12, 34567, 64510, 1)
    host.kernel.pool[ipaddress.ip_address("255.255.255.255")] = (
        123456789, 12345678, 0, 64511)
    out = host.ok("-G")
    assert out == host.ok("-G -n")
    assert out == """\
VIP:VPORT                 TOTAL  SNAT_IP         CONFLICTS CONNS    USED  FREE
255.255.255.255:65535     0
255.255.255.255:65535/udp 1
                                 10.2.0.1        0         0        -     -
FWM:1                     0
default                   3
                                 10.3.0.1        0         0        -     -
                                 10.3.0.2        12        34567    64510 1
                                 255.255.255.255 123456789 12345678 0     64511
"""
    assert max(map(len, out.splitlines())) <= 80


def test_get_laddr_ipv6_and_one_service(host):
    """A service by address or by mark; IPv6 addresses have room."""
    host.table("-A -t [2001:db8::1]:80", "-A -f 2 -6", f"-A -t {VIP}",
               "-P -t [2001:db8::1]:80 -z 2001:db8::9-2001:db8::a",
               "-P -f 2 -6 -z 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
    assert host.ok("-G -f 2 -6") == f"""\
VIP:VPORT            TOTAL  {'SNAT_IP':39} CONFLICTS CONNS    USED  FREE
FWM:2/ipv6           1
                            2001:db8:ffff:ffff:ffff:ffff:ffff:ffff  0         0        -     -
"""
    assert "[2001:db8::1]:80     2\n" in host.ok("-G")
    assert host.ok(f"-G -t {VIP}").splitlines()[1:] == [f"{VIP:20} 0"]
    assert host.fails("-G -t 10.9.9.9:80") == (1, "No such service\n")
