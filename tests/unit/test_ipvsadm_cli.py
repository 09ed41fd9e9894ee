# SPDX-License-Identifier: GPL-2.0
"""The patched ipvsadm against a kernel that is played here.

A preloaded library turns its generic netlink sockets into Unix ones that end
in class Kernel below: just enough of IPVS to keep a table, with the words of
ours that it is told to know. So these tests need neither root nor a module.

    /usr/bin/python3 -m pytest tests/unit/test_ipvsadm_cli.py
"""
import errno
import ipaddress
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading
from collections import namedtuple

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
TOOLS = pathlib.Path(os.environ.get("FNAT_TOOLS", TOP / "build/tools"))
IPVSADM = TOOLS / "ipvsadm"
VIP = "10.0.0.1:80"

pytestmark = pytest.mark.skipif(
    not IPVSADM.exists(), reason="run make -C tools/ipvsadm first")

PRELOAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/netlink.h>

#define REAL(f) ((__typeof__(&f))dlsym(RTLD_NEXT, #f))
static char ours[1024];

int socket(int domain, int type, int protocol)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (domain != AF_NETLINK || protocol != NETLINK_GENERIC)
		return REAL(socket)(domain, type, protocol);
	fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET, 0);
	strncpy(un.sun_path, getenv("FAKE_KERNEL"), sizeof(un.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)))
		abort();
	ours[fd] = 1;
	return fd;
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return ours[fd] ? 0 : REAL(bind)(fd, addr, len);
}

int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = getpid() };

	if (!ours[fd])
		return REAL(getsockname)(fd, addr, len);
	memcpy(addr, &nl, sizeof(nl));
	*len = sizeof(nl);
	return 0;
}

int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	if (!ours[fd])
		return REAL(setsockopt)(fd, level, name, val, len);
	if (level == SOL_NETLINK && name == NETLINK_EXT_ACK)
		return send(fd, "EXT", 3, 0) == 3 ? 0 : -1;
	return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr copy = *msg;

	if (ours[fd])
		copy.msg_name = NULL, copy.msg_namelen = 0;
	return REAL(sendmsg)(fd, &copy, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	struct msghdr copy = *msg;
	ssize_t n;

	if (!ours[fd])
		return REAL(recvmsg)(fd, msg, flags);
	copy.msg_name = NULL, copy.msg_namelen = 0;
	n = REAL(recvmsg)(fd, &copy, flags);
	msg->msg_flags = copy.msg_flags;
	memcpy(msg->msg_name, &nl, sizeof(nl));
	msg->msg_namelen = sizeof(nl);
	return n;
}
"""

# netlink, as in <linux/netlink.h>
NLMSG_ERROR, NLMSG_DONE, IPVS_FAMILY, CTRL = 2, 3, 0x77, 0x10
F_MULTI, F_ACK, F_DUMP, F_CAPPED, F_TLVS = 2, 4, 0x300, 0x100, 0x200
NESTED = 0x8000
# <linux/ip_vs.h> and <linux/ip_vs_fullnat.h>
(NEW_SERVICE, _, _, GET_SERVICE, NEW_DEST, _, _, GET_DEST) = range(1, 9)
GET_INFO, FLUSH, NEW_LADDR, DEL_LADDR, GET_LADDR = 15, 17, 18, 19, 20
SERVICE, DEST, LADDR = 1, 2, 7
FULLNAT = 5

Request = namedtuple("Request", "cmd flags attrs nested")


class Refused(Exception):
    """An errno, and a sentence or none."""


def nla(kind, value):
    if isinstance(value, dict):
        value = b"".join(nla(k, v) for k, v in value.items())
    return (struct.pack("=HH", len(value) + 4, kind) + value
            + b"\0" * (-len(value) % 4))


def parse(data):
    """{type: payload} and the set of types that carry NLA_F_NESTED."""
    attrs, nested = {}, set()
    while data:
        length, kind = struct.unpack_from("=HH", data)
        attrs[kind & 0x3fff] = data[4:length]
        if kind & NESTED:
            nested.add(kind & 0x3fff)
        data = data[(length + 3) & ~3:]
    return attrs, nested


def u16(n): return struct.pack("=H", n)
def u32(n): return struct.pack("=I", n)
def u64(n): return struct.pack("=Q", n)
def msg(kind, flags, seq, body):
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body


def stats64(n):
    return {i: u64(n) for i in range(1, 11)}


class Kernel:
    """IPVS with one table. features None is a stock kernel."""

    def __init__(self, path, features=3):
        self.features = features
        self.requests = []
        self.said = {}           # command: (errno, sentence) to answer with
        self.dump_error = None   # (errno, sentence) at the end of a dump
        self.cap = False         # cap acknowledgements
        self.services = {}       # key: [attributes, {dest: attributes}, pool]
        self.pool = {}           # address: (conflicts, conns)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self.until_closed, args=(peer,),
                             daemon=True).start()

    def until_closed(self, peer):
        try:
            self.serve(peer)
        except ConnectionError:
            pass    # the tool leaves without reading the last acknowledgement

    def serve(self, peer):
        words = False
        while data := peer.recv(65536):
            if data == b"EXT":
                words = True
                continue
            _, kind, flags, seq, _ = struct.unpack_from("=IHHII", data)
            for reply in self.answer(data, kind, flags, seq, words):
                peer.send(reply)

    def answer(self, data, kind, flags, seq, words):
        cmd = data[16]
        if kind == CTRL:
            yield msg(CTRL, 0, seq, b"\1\2\0\0" + nla(1, u16(IPVS_FAMILY))
                      + nla(2, b"IPVS\0") + nla(3, u32(1)) + nla(4, u32(0))
                      + nla(5, u32(7)))
            yield self.ack(data, seq, 0, "", words)
            return

        attrs, nested = parse(data[20:])
        tree = {}
        for top, value in attrs.items():
            tree[top], _ = (parse(value) if top in (SERVICE, DEST, LADDR)
                            else (value, None))
        self.requests.append(Request(cmd, flags, tree, nested))
        try:
            if cmd in self.said and self.said[cmd][0]:
                raise Refused(*self.said[cmd])
            replies = list(self.command(cmd, tree, nested))
        except Refused as why:
            yield self.ack(data, seq, *why.args, words)
            return

        if flags & F_DUMP == F_DUMP:
            for reply in replies:
                yield msg(IPVS_FAMILY, F_MULTI, seq, reply)
            error, sentence = self.dump_error or (0, "")
            body = struct.pack("=i", -error)
            if sentence and words:
                yield msg(NLMSG_DONE, F_MULTI | F_TLVS, seq,
                          body + nla(1, sentence.encode() + b"\0"))
            else:
                yield msg(NLMSG_DONE, F_MULTI, seq, body)
            return
        for reply in replies:
            yield msg(IPVS_FAMILY, 0, seq, reply)
        yield self.ack(data, seq, 0, self.said.get(cmd, (0, ""))[1], words)

    def ack(self, request, seq, error, sentence, words):
        """Like netlink_ack(): success and capped sockets echo the header."""
        capped = self.cap or not error
        body = struct.pack("=i", -error) + (request[:16] if capped else request)
        flags = F_CAPPED if capped else 0
        if sentence and words:
            body += nla(1, sentence.encode() + b"\0")
            flags |= F_TLVS
        return msg(NLMSG_ERROR, flags, seq, body)

    def service(self, tree):
        key = tree.get(SERVICE, {})
        key = tuple(key.get(i) for i in (1, 2, 3, 4, 5))
        if key not in self.services:
            raise Refused(errno.ESRCH, "")
        return self.services[key]

    def command(self, cmd, tree, nested):
        if cmd == GET_INFO:
            yield (b"\x0e\1\0\0" + nla(1, u32(0x10201)) + nla(2, u32(4096))
                   + (nla(64, u32(self.features)) if self.features else b""))
        elif cmd == FLUSH:
            self.services.clear()
        elif cmd == NEW_SERVICE:
            svc = dict(tree[SERVICE])
            key = tuple(svc.get(i) for i in (1, 2, 3, 4, 5))
            if key in self.services:
                raise Refused(errno.EEXIST, "")
            self.services[key] = [svc, {}, {}]
        elif cmd == GET_SERVICE:
            some = [self.service(tree)] if tree else self.services.values()
            for svc, _, _ in some:
                yield b"\1\1\0\0" + nla(SERVICE, {**svc, 12: stats64(1)})
        elif cmd == NEW_DEST:
            dest = tree[DEST]
            dests = self.service(tree)[1]
            if (dest[1], dest[2]) in dests:
                raise Refused(errno.EEXIST, "")
            dests[dest[1], dest[2]] = dict(dest)
        elif cmd == GET_DEST:
            for dest in self.service(tree)[1].values():
                dest = {**dest, 7: u32(0), 8: u32(0), 9: u32(0),
                        12: stats64(5000000001)}
                if dest[3] == u32(FULLNAT):
                    dest.update({3: u32(0), 64: u32(FULLNAT)})
                yield b"\5\1\0\0" + nla(DEST, dest)
        elif cmd in (NEW_LADDR, DEL_LADDR, GET_LADDR):
            yield from self.laddr(cmd, tree, nested)
        else:
            raise Refused(errno.EOPNOTSUPP, "")

    def laddr(self, cmd, tree, nested):
        if not self.features:
            raise Refused(errno.EOPNOTSUPP, "")
        assert nested == set(tree) <= {SERVICE, LADDR}
        assert set(tree.get(SERVICE, {})) <= {1, 2, 3, 4, 5}
        pool = self.service(tree)[2] if SERVICE in tree else self.pool
        if cmd == GET_LADDR:
            # a hash table has no order
            for addr in sorted(pool, key=lambda a: hash(str(a))):
                conflicts, conns = pool[addr]
                af = socket.AF_INET if addr.version == 4 else socket.AF_INET6
                yield b"\x12\1\0\0" + nla(LADDR, {
                    65: u16(af), 1: addr.packed.ljust(16, b"\0"),
                    2: u64(conflicts), 3: u32(conns)})
            return
        first = ipaddress.ip_address(tree[LADDR][1])
        last = ipaddress.ip_address(tree[LADDR].get(64, tree[LADDR][1]))
        assert set(tree[LADDR]) <= {1, 64, 65} and first <= last
        addrs = [first + i for i in range(int(last) - int(first) + 1)]
        if len(addrs) > 4096:
            raise Refused(errno.EINVAL, "at most 4096")
        for addr in addrs:
            if (addr in pool) == (cmd == NEW_LADDR):
                raise Refused(errno.EEXIST if cmd == NEW_LADDR
                              else errno.ENOENT, f"{addr} is why")
        for addr in addrs:
            if cmd == NEW_LADDR:
                pool[addr] = (0, 0)
            else:
                del pool[addr]

    def sent(self, *commands):
        return [r for r in self.requests if r.cmd in commands]


def compile_c(path, source, *args):
    path.with_suffix(".c").write_text(source)
    subprocess.run(["cc", "-Wall", "-g", "-o", path,
                    path.with_suffix(".c"), *args], check=True)
    return path


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    return compile_c(tmp_path_factory.mktemp("preload") / "preload.so",
                     PRELOAD, "-shared", "-fPIC", "-ldl")


@pytest.fixture
def host(tmp_path, preload):
    class Host:
        kernel = Kernel(str(tmp_path / "kernel"))

        def run(self, *args, stdin="", tool=IPVSADM):
            env = dict(os.environ, LD_PRELOAD=str(preload),
                       FAKE_KERNEL=str(tmp_path / "kernel"))
            return subprocess.run([tool, *args], input=stdin, env=env,
                                  text=True, capture_output=True, timeout=30)

        def ok(self, line, stdin="", tool=IPVSADM):
            done = self.run(*line.split(), stdin=stdin, tool=tool)
            assert (done.returncode, done.stderr) == (0, ""), done
            return done.stdout

        def table(self, *lines):
            for line in lines:
                self.ok(line)

    return Host()


def plain(line):
    """Without a kernel."""
    return subprocess.run([IPVSADM, *line.split()], text=True,
                          capture_output=True, timeout=30)


# --- the command line ---------------------------------------------------

USAGE_ERRORS = {
    "-P": "You need to supply the 'laddr' option for the 'add-laddr' command",
    f"-P -t {VIP}":
        "You need to supply the 'laddr' option for the 'add-laddr' command",
    f"-Q -t {VIP}":
        "You need to supply the 'laddr' option for the 'del-laddr' command",
    f"-a -t {VIP} -b": "You need to supply the 'real-server' option for the "
                       "'add-server' command",
    f"-a -t {VIP} -r 10.1.0.1 -z 10.2.0.1":
        "Illegal 'laddr' option with the 'add-server' command",
    f"-G -t {VIP} -z 10.2.0.1":
        "Illegal 'laddr' option with the 'get-laddr' command",
    f"-P -t {VIP} -z 10.2.0.1 -n":
        "Illegal 'numeric' option with the 'add-laddr' command",
    f"-P -t {VIP} -z 10.2.0.1 --fullnat":
        "Illegal 'forwarding-method' option with the 'add-laddr' command",
    f"-A -t {VIP} --fullnat":
        "Illegal 'forwarding-method' option with the 'add-service' command",
    f"-a -t {VIP} -r 10.1.0.1 --sched-flags flag-1":
        "Illegal 'sched-flags' option with the 'add-server' command",
    f"-a -t {VIP} -r 10.1.0.1 -b -m":
        "multiple 'forwarding-method' options specified",
    f"-a -t {VIP} -r 10.1.0.1 -b sh-port": "unexpected argument sh-port",
    f"-A -t {VIP} -s rr -b sh-port":
        "incompatible scheduler flag `sh-port'",
    f"-P -t {VIP} -z 2001:db8::1": "The local address is IPv6 but the service "
                                   "is IPv4: both must be of one family",
    "-P -t [2001:db8::1]:80 -z 10.2.0.1":
        "The local address is IPv4 but the service is IPv6: both must be of "
        "one family",
    "-P -z 2001:db8::1 -f 1": "The local address is IPv6 but the service is "
                              "IPv4: add -6 after -f if it is an IPv6 service",
    "-P -z 10.2.0.1 -z 10.2.0.2": "multiple 'laddr' options specified",
}


@pytest.mark.parametrize("line", USAGE_ERRORS)
def test_usage_error_is_one_sentence_without_a_kernel(line):
    done = plain(line)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == USAGE_ERRORS[line] + "\n"


def test_help_and_version_need_no_kernel():
    done = plain("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("--fullnat", "-b", "--laddr", "-z", "--add-laddr", "-P|Q",
                 "--del-laddr", "--get-laddr", "-G", "--sched-flags"):
        assert word in done.stdout
    assert "FULLNAT" in plain("--version").stdout


def test_manual_has_every_long_option_of_ours():
    text = (TOOLS / "ipvsadm.8").read_text(encoding="latin-1")
    for word in ("--fullnat", "--laddr", "--add-laddr", "--del-laddr",
                 "--get-laddr"):
        assert word in text


# --- local addresses in words -------------------------------------------

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


# --- what is sent ---------------------------------------------------------

def key(addr, port=80, protocol=6):
    ip = ipaddress.ip_address(addr)
    af = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return {1: u16(af), 2: u16(protocol), 3: ip.packed.ljust(16, b"\0"),
            4: struct.pack("!H", port)}


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


def test_fullnat_on_the_wire_and_in_the_list(host):
    host.table(f"-A -t {VIP} -s sh -b sh-port",
               f"-a -t {VIP} -r 10.1.0.1:8080 -b -w 3",
               f"-a -t {VIP} -r 10.1.0.2 --fullnat",
               f"-ab -t {VIP} -r 10.1.0.3",
               f"--add-server -t {VIP} -r 10.1.0.4 -m")
    dests = [r.attrs[DEST] for r in host.kernel.sent(NEW_DEST)]
    assert [d[3] for d in dests] == [u32(5), u32(5), u32(5), u32(0)]
    assert [d[2] for d in dests] == [struct.pack("!H", port)
                                     for port in (8080, 80, 80, 80)]
    lines = host.ok("-Ln").splitlines()
    assert lines[3] == f"TCP  {VIP} sh (sh-port)"
    assert [line.split()[2] for line in lines[4:]] == ["FullNat"] * 3 + ["Masq"]
    assert lines[4].rstrip() == \
        "  -> 10.1.0.1:8080                FullNat 3      0          0"


def test_64_bit_statistics_of_a_server(host):
    host.table(f"-A -t {VIP}", f"-a -t {VIP} -r 10.1.0.1 -m")
    assert host.ok("-Ln --stats --exact").split()[-5:] == ["5000000001"] * 5


@pytest.mark.parametrize("line, cmds", [
    ("-P -z 10.2.0.1", [NEW_LADDR]), ("-Q -z 10.2.0.1", [DEL_LADDR]),
    ("-G", [GET_LADDR]), (f"-G -t {VIP}", [GET_LADDR, GET_SERVICE]),
    (f"-a -t {VIP} -r 10.1.0.1 -b", [NEW_DEST])])
def test_stock_kernel_is_told_nothing_of_ours(host, line, cmds):
    host.kernel.features = None
    done = host.run(*line.split())
    assert done.returncode == 2
    assert done.stderr == ("This kernel's IPVS has no FULLNAT: remove ip_vs "
                           "and load ip_vs_fullnat\n")
    assert not host.kernel.sent(*cmds)


def test_stock_kernel_is_served_as_ever(host):
    host.kernel.features = None
    host.table(f"-A -t {VIP} -s rr", f"-a -t {VIP} -r 10.1.0.1 -m")
    assert host.ok("-Sn") == (f"-A -t {VIP} -s rr\n"
                              f"-a -t {VIP} -r 10.1.0.1:80 -m -w 1\n")
    host.table("-C")
    assert not host.kernel.services


# --- what the kernel says -------------------------------------------------

@pytest.mark.parametrize("cap", [False, True])
@pytest.mark.parametrize("code, sentence, text", [
    (errno.EEXIST, "10.2.0.1 is there",
     "Local address already exists: 10.2.0.1 is there"),
    (errno.ESRCH, "", "Service not defined"),
    (errno.EINVAL, "10.2.0.1 is the VIP", "Invalid argument: 10.2.0.1 is the VIP"),
    (errno.EINVAL, "", "Invalid operation.  Possibly wrong module version, "
                       "address not unicast, ..."),
    (errno.EADDRINUSE, "%s%n", "Address already in use: %s%n"),
    (errno.ENOSPC, "x" * 900, "No space left on device: " + "x" * 255)])
def test_sentence_follows_the_error(host, cap, code, sentence, text):
    host.kernel.cap = cap
    host.kernel.said[NEW_LADDR] = (code, sentence)
    done = host.run("-P", "-t", VIP, "-z", "10.2.0.1")
    assert (done.returncode, done.stderr) == (255, text + "\n")


def test_sentence_of_success_is_a_warning(host):
    host.kernel.said[NEW_LADDR] = (0, "nobody answers ARP for 10.2.0.1")
    done = host.run("-P", "-z", "10.2.0.1")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "", "Warning: nobody answers ARP for 10.2.0.1\n")


def test_dump_that_fails_at_its_end(host):
    host.table("-P -z 10.2.0.1")
    host.kernel.dump_error = (errno.ENOMEM, "out of skbs")
    done = host.run("-G")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Cannot allocate memory: out of skbs\n"


# --- -G ------------------------------------------------------------------

def test_get_laddr_ipv4(host):
    host.table("-A -t 255.255.255.255:65535 -p", "-A -u 10.0.0.1:53",
               "-A -f 1", "-P -z 10.3.0.1-2", "-P -u 10.0.0.1:53 -z 10.2.0.1")
    host.kernel.pool[ipaddress.ip_address("10.3.0.2")] = (12, 34567)
    out = host.ok("-G")
    assert out == host.ok("-G -n")
    assert out == """\
VIP:VPORT             TOTAL    SNAT_IP              CONFLICTS  CONNS
255.255.255.255:65535 0
10.0.0.1:53/udp       1
                               10.2.0.1             0          0
FWM:1                 0
default               2
                               10.3.0.1             0          0
                               10.3.0.2             12         34567
"""
    assert max(map(len, out.splitlines())) < 80


def test_get_laddr_ipv6_and_one_service(host):
    host.table("-A -t [2001:db8::1]:80", "-A -f 2 -6", f"-A -t {VIP}",
               "-P -t [2001:db8::1]:80 -z 2001:db8::9-2001:db8::a",
               "-P -f 2 -6 -z 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
    assert host.ok("-G -f 2 -6") == f"""\
VIP:VPORT            TOTAL    {'SNAT_IP':39} CONFLICTS  CONNS
FWM:2/ipv6           1
                              2001:db8:ffff:ffff:ffff:ffff:ffff:ffff  0          0
"""
    assert "[2001:db8::1]:80     2\n" in host.ok("-G")
    assert host.ok(f"-G -t {VIP}").splitlines()[1:] == [f"{VIP:20} 0"]
    done = host.run("-G", "-t", "10.9.9.9:80")
    assert (done.returncode, done.stdout, done.stderr) == (
        1, "", "No such service\n")


# --- save, clear, restore -------------------------------------------------

SAVED = """\
-P -z 10.3.0.1-10.3.0.3
-P -z 10.3.0.5
-P -z 2001:db8::ffff-2001:db8::1:0
-A -t 10.0.0.1:80 -s sh -b sh-port
-P -t 10.0.0.1:80 -z 10.2.0.9
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -b -w 1
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 2 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.1.0.3:80 -i -w 1 --tun-type gue --tun-port 99 --tun-csum -x 7
-A -t [2001:db8::1]:80 -s wlc
-P -t [2001:db8::1]:80 -z 2001:db8::8-2001:db8::9
-a -t [2001:db8::1]:80 -r [2001:db8::10]:80 -b -w 1
-A -f 3 -s rr
-P -f 3 -z 10.2.0.9
-A -f 4 -6 -s rr
-P -f 4 -6 -z 2001:db8::1
"""


def test_save_clear_restore(host):
    host.ok("-R", stdin=SAVED)
    assert host.ok("-Sn") == SAVED
    saved = host.ok("-n", tool=TOOLS / "ipvsadm-save")
    assert saved == SAVED
    host.ok("", tool=TOOLS / "ipvsadm-restore", stdin=saved)
    assert host.ok("-Sn") == SAVED
    host.ok("-C")
    assert host.ok("-Sn") == "" and not host.kernel.pool


def test_restore_onto_a_pool_that_is_partly_there(host):
    host.table("-P -z 10.3.0.2", "-P -z 10.3.0.7")
    host.ok("-R", stdin="-P -z 10.3.0.1-4\n-P -z 10.3.0.7\n")
    assert host.ok("-Sn") == "-P -z 10.3.0.1-10.3.0.4\n-P -z 10.3.0.7\n"
    done = host.run("-P", "-z", "10.3.0.7")
    assert (done.returncode, done.stderr) == (
        255, "Local address already exists: 10.3.0.7 is why\n")


def test_saved_ranges_can_be_restored(host):
    base = ipaddress.ip_address("10.4.0.0")
    for i in range(5000):
        host.kernel.pool[base + i] = (0, 0)
    assert host.ok("-Sn") == ("-P -z 10.4.0.0-10.4.15.255\n"
                              "-P -z 10.4.16.0-10.4.19.135\n")
    host.ok("-C")
    assert not host.kernel.pool


def test_clear_without_pool_deletes_nothing(host):
    host.ok("-C")
    assert len(host.kernel.sent(FLUSH)) == 1
    assert not host.kernel.sent(DEL_LADDR)
