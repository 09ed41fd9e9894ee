# SPDX-License-Identifier: GPL-2.0
"""A kernel that is played: just enough of IPVS to keep a table.

PRELOAD turns a tool's generic netlink sockets into Unix ones that end in class
Kernel, which knows the words of ours that it is told to know. So what talks to
it needs neither root nor a module. It also puts the file $FAKE_CONNS in the place of
/proc/net/ip_vs_conn.
"""
import errno
import ipaddress
import itertools
import socket
import struct
import threading
from collections import namedtuple

PRELOAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
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
	if (!*getenv("FAKE_KERNEL")) {		/* there is none */
		errno = EPROTONOSUPPORT;
		return -1;
	}
	fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET, 0);
	strncpy(un.sun_path, getenv("FAKE_KERNEL"), sizeof(un.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)))
		abort();
	ours[fd] = 1;
	return fd;
}

/* Nobody's kernel is to get modules. */
int execv(const char *path, char *const argv[])
{
	_exit(1);
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

FILE *fopen(const char *path, const char *mode)
{
	const char *conns = getenv("FAKE_CONNS");

	if (conns && !strcmp(path, "/proc/net/ip_vs_conn"))
		path = conns;
	return REAL(fopen)(path, mode);
}
"""

# netlink, as in <linux/netlink.h>
NLMSG_ERROR, NLMSG_DONE, IPVS_FAMILY, CTRL = 2, 3, 0x77, 0x10
F_MULTI, F_DUMP, F_CAPPED, F_TLVS = 2, 0x300, 0x100, 0x200
NESTED = 0x8000
# <linux/ip_vs.h> and <linux/ip_vs_fullnat.h>
(NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE,
 NEW_DEST, SET_DEST, DEL_DEST, GET_DEST) = range(1, 9)
GET_DAEMON, SET_TIMEOUT, GET_TIMEOUT, GET_INFO, ZERO, FLUSH = 11, 12, 13, 15, 16, 17
NEW_LADDR, DEL_LADDR, GET_LADDR, GET_CONN = 18, 19, 20, 64
SET_KEY, DEL_KEY = 65, 66
SERVICE, DEST, DAEMON, LADDR, CONN, KEY = 1, 2, 3, 7, 64, 65
FULLNAT = 5
SYNPROXY, EST_TIMEOUT, ACTIVE, PROXY_STATS, OFFER = range(64, 69)     # of a service
(HAS_FULLNAT, HAS_LADDR, HAS_EST_TIMEOUT, HAS_CONN,
 HAS_SYNPROXY, HAS_KEY, HAS_PROXY_STATS, HAS_OFFER) = (1 << i for i in range(8))

Request = namedtuple("Request", "cmd flags attrs nested")


class Refused(Exception):
    """An errno, and a sentence or none."""


def nla(kind, value):
    """An attribute; a dict is a nest."""
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


def u8(n): return struct.pack("=B", n)
def u16(n): return struct.pack("=H", n)
def u32(n): return struct.pack("=I", n)
def u64(n): return struct.pack("=Q", n)
def be16(n): return struct.pack("!H", n)


def msg(kind, flags, seq, body):
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body


def ip(addr):
    """The family of an address and its 16 bytes."""
    addr = ipaddress.ip_address(addr)
    af = socket.AF_INET if addr.version == 4 else socket.AF_INET6
    return u16(af), addr.packed.ljust(16, b"\0")


def key(addr, port=80, protocol=6):
    """What names a service that has an address."""
    af, packed = ip(addr)
    return {1: af, 2: u16(protocol), 3: packed, 4: be16(port)}


def conn(client, vip, lip, server, proto=6, state="ESTABLISHED", left=90, mark=0):
    """What FNAT_CMD_ATTR_CONN says of a connection; the ends are (address, port)."""
    attrs = {1: ip(client[0])[0], 2: u8(proto), 12: state.encode() + b"\0", 13: u32(left)}
    for kind, end in ((3, client), (5, vip), (7, lip), (9, server)):
        if end:
            attrs[kind] = ip(end[0])[1]
            attrs[kind + 1] = be16(end[1])
    if mark:
        attrs[11] = u32(mark)
    return attrs


class Kernel:
    """IPVS with one table. features None is a stock kernel."""

    def __init__(self, path,
                 features=HAS_FULLNAT | HAS_LADDR | HAS_EST_TIMEOUT | HAS_CONN):
        self.features = features
        self.requests = []
        self.said = {}           # command: (errno, sentence) to answer with
        self.dump_error = None   # (errno, sentence) at the end of a dump
        self.cap = False         # cap acknowledgements
        self.services = {}       # key: [attributes, {dest: attributes}, pool]
        self.stats = {}          # of each service, {attribute: number}
        self.says = {}           # attributes that it adds to each service
        self.dest_stats = {}     # of each dest
        self.pool = {}           # address: (conflicts, conns) or those, used, free
        self.conns = []          # of conn()
        self.repeat = 1          # how often a dump of connections sends them
        self.timeouts = (900, 120, 300)
        self.key = None          # of the SYN proxy, if it was set
        self.daemons = []        # attributes of each
        self.sockets = 0         # how many there have been
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.listener.accept()
            self.sockets += 1
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
            self.requests.append(Request("resolve", flags, {}, set()))
            yield msg(CTRL, 0, seq, b"\1\2\0\0" + nla(1, u16(IPVS_FAMILY))
                      + nla(2, b"IPVS\0") + nla(3, u32(1)) + nla(4, u32(0))
                      + nla(5, u32(64)))
            yield self.ack(data, seq, 0, "", words)
            return

        attrs, nested = parse(data[20:])
        tree = {}
        for top, value in attrs.items():
            tree[top], _ = (parse(value) if top in (SERVICE, DEST, DAEMON, LADDR, CONN)
                            else (value, None))
        self.requests.append(Request(cmd, flags, tree, nested))
        try:
            if cmd in self.said and self.said[cmd][0]:
                raise Refused(*self.said[cmd])
            replies = self.command(cmd, tree, nested)
            # a generator decides with its first step
            replies = itertools.chain(list(itertools.islice(replies, 1)), replies)
        except Refused as why:
            yield self.ack(data, seq, *why.args, words)
            return

        if flags & F_DUMP == F_DUMP:
            yield from self.dump(replies, seq, words)
            return
        for reply in replies:
            yield msg(IPVS_FAMILY, 0, seq, reply)
        yield self.ack(data, seq, 0, self.said.get(cmd, (0, ""))[1], words)

    def dump(self, replies, seq, words):
        """Several messages to a datagram, and the end in one of its own."""
        while batch := list(itertools.islice(replies, 40)):
            datagram = b"".join(msg(IPVS_FAMILY, F_MULTI, seq, reply) for reply in batch)
            for _ in range(self.repeat if batch[0][0] == GET_CONN else 1):
                yield datagram
        error, sentence = self.dump_error or (0, "")
        body, flags = struct.pack("=i", -error), F_MULTI
        if sentence and words:
            body += nla(1, sentence.encode() + b"\0")
            flags |= F_TLVS
        yield msg(NLMSG_DONE, flags, seq, body)

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
        """[attributes, dests, pool] of the service that the request names."""
        key = tree.get(SERVICE, {})
        key = tuple(key.get(i) for i in (1, 2, 3, 4, 5))
        if key not in self.services:
            raise Refused(errno.ESRCH, "")
        return self.services[key]

    def command(self, cmd, tree, nested):
        if cmd == GET_INFO:
            yield (b"\x0e\1\0\0" + nla(1, u32(0x10201)) + nla(2, u32(4096))
                   + (nla(64, u32(self.features)) if self.features else b"")
                   + (nla(65, u32(3600)) if self.key else b""))
        elif cmd == FLUSH:
            self.services.clear()
        elif cmd in (NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE):
            yield from self.svc(cmd, tree)
        elif cmd in (NEW_DEST, SET_DEST, DEL_DEST, GET_DEST):
            yield from self.dest(cmd, tree)
        elif cmd in (NEW_LADDR, DEL_LADDR, GET_LADDR):
            yield from self.laddr(cmd, tree, nested)
        elif cmd == GET_CONN:
            yield from self.get_conn(tree, nested)
        elif cmd in (SET_KEY, DEL_KEY):
            if not (self.features or 0) & HAS_KEY:
                raise Refused(errno.EOPNOTSUPP, "")
            self.key = tree[KEY] if cmd == SET_KEY else None
        elif cmd == GET_TIMEOUT:
            yield b"\x0c\1\0\0" + b"".join(nla(4 + i, u32(t))
                                           for i, t in enumerate(self.timeouts))
        elif cmd == GET_DAEMON:
            for daemon in self.daemons:
                yield b"\x09\1\0\0" + nla(DAEMON, daemon)
        else:
            raise Refused(errno.EOPNOTSUPP, "")

    def svc(self, cmd, tree):
        if cmd == GET_SERVICE:
            for svc, _, _ in [self.service(tree)] if tree else self.services.values():
                stats = {i: u64(self.stats.get(i, 1)) for i in range(1, 11)}
                yield b"\1\1\0\0" + nla(SERVICE, {**svc, **self.says, 12: stats})
            return
        svc = dict(tree[SERVICE])
        if SYNPROXY in svc and not self.features & HAS_SYNPROXY:
            raise Refused(errno.EOPNOTSUPP, "no SYN proxy yet")
        key = tuple(svc.get(i) for i in (1, 2, 3, 4, 5))
        if cmd == NEW_SERVICE:
            if key in self.services:
                raise Refused(errno.EEXIST, "")
            self.services[key] = [svc, {}, {}]
        else:
            old = self.service(tree)
            if cmd == DEL_SERVICE:
                del self.services[key]
                return
            kept = {k: v for k, v in old[0].items() if k in (SYNPROXY, EST_TIMEOUT, OFFER)}
            old[0] = {**kept, **svc}

    def dest(self, cmd, tree):
        dests = self.service(tree)[1]
        if cmd == GET_DEST:
            for dest in dests.values():
                dest = {**dest, 7: u32(0), 8: u32(0), 9: u32(0),
                        12: {i: u64(self.dest_stats.get(i, 5000000001))
                             for i in range(1, 11)}}
                if dest[3] == u32(FULLNAT):
                    dest.update({3: u32(0), 64: u32(FULLNAT)})
                yield b"\5\1\0\0" + nla(DEST, dest)
            return
        dest = tree[DEST]
        key = dest[1], dest[2]
        if (key in dests) == (cmd == NEW_DEST):
            raise Refused(errno.EEXIST if cmd == NEW_DEST else errno.ENOENT, "")
        if cmd == DEL_DEST:
            del dests[key]
        else:
            dests[key] = dict(dest)

    def laddr(self, cmd, tree, nested):
        if not self.features:
            raise Refused(errno.EOPNOTSUPP, "")
        assert nested == set(tree) <= {SERVICE, LADDR}
        assert set(tree.get(SERVICE, {})) <= {1, 2, 3, 4, 5}
        pool = self.service(tree)[2] if SERVICE in tree else self.pool
        if cmd == GET_LADDR:
            # a hash table has no order
            for addr in sorted(pool, key=lambda a: hash(str(a))):
                conflicts, conns, *ports = pool[addr]
                af, packed = ip(addr)
                yield b"\x12\1\0\0" + nla(LADDR, {
                    65: af, 1: packed, 2: u64(conflicts), 3: u32(conns),
                    **dict(zip((66, 67), map(u32, ports)))})
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

    def get_conn(self, tree, nested):
        if not self.features or not self.features & HAS_CONN:
            raise Refused(errno.EOPNOTSUPP, "")
        assert nested == set(tree) <= {CONN}
        wanted = tree.get(CONN, {})
        assert set(wanted) <= set(range(1, 12)) and (wanted or CONN not in tree)
        for attrs in self.conns:
            # addresses may come in 4 bytes
            if all(attrs.get(k, b"")[:len(v)] == v for k, v in wanted.items()):
                yield u8(GET_CONN) + b"\1\0\0" + nla(CONN, attrs)

    def sent(self, *commands):
        """The requests that were one of COMMANDS."""
        return [r for r in self.requests if r.cmd in commands]
