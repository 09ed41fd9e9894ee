# SPDX-License-Identifier: GPL-2.0
"""Configures the director of a wire case, and asks it, by netlink.

ipvsadm would do, but on a debug kernel a process takes longer to start than most
cases take in all. It has cases of its own.
"""

import contextlib
import functools
import os
import socket

from abi import (COOKIE_KEY, DEL_DEST, DEL_KEY, DEL_LADDR, DEL_SERVICE, DEST, FLUSH, FULLNAT,
                 GET_DEST, GET_LADDR, GET_SERVICE, LADDR, NEW_DEST, NEW_LADDR, NEW_SERVICE,
                 SERVICE, SET_CONFIG, SET_DEST, SET_KEY, SET_SERVICE, dest, key, laddr, named,
                 options, service, strict)
from addresses import IP4, IP6, PORT
from lib import lab
from lib.netlink import Family, attr, attrs, be16, ip, nest, number, u32
from lib.packet import TCP

# Whether all directors look ahead, which must make no difference.
LOOKAHEAD = os.environ.get("FNAT_LOOKAHEAD")

EDITS = {"-a": NEW_DEST, "-e": SET_DEST, "-d": DEL_DEST}
EDIT_OPTIONS = {"-w": "weight", "-x": "upper", "-y": "lower"}


def _numbers(found, *kinds):
    return tuple(number(found[kind]) for kind in kinds)


def _key(found):
    """The nest that names the service with these attributes, flagged."""
    return strict(nest(SERVICE, *(attr(kind, found[kind]) for kind in range(1, 6)
                                  if kind in found)))


def _text(addr):
    """The address that these 16 bytes are."""
    return socket.inet_ntop(socket.AF_INET6, addr) if any(addr[4:]) else socket.inet_ntoa(addr[:4])


class Director:
    """The network namespace that one is in, as far as IPVS goes."""

    plan = IP4                  # whose addresses are meant where none is said

    @functools.cached_property
    def nl(self):
        """The family, for whatever has no function here."""
        return Family()

    def close(self):
        """Gives the socket back."""
        if "nl" in self.__dict__:
            self.__dict__.pop("nl").close()

    def netlink(self):
        """A socket of the case's own."""
        return Family()

    def ipvsadm(self, *args, **kw):
        return lab.ipvsadm(*args, ns=None, **kw)

    # --- what it is to do. WHICH: of what protocol, port or mark; see abi.named() ---

    def _named(self, proto=TCP, port=None, mark=None):
        return named(proto, self.plan.vip, port, mark)

    def _options(self, *args, **more):
        """As abi.options(), of the plan's family."""
        if self.plan is IP6:
            more.setdefault("mask", self.plan.host)
        return options(*args, **more)

    def service(self, proto=TCP, scheduler="rr", servers=None, lips=None, vip=None,
                port=None, mark=None, rport=None, method=FULLNAT, probe=0, **more):
        """A service on VIP; SERVERS may be {address: weight}; MORE: see abi.options().

        Servers of the SYN proxy are left alone unless PROBE says otherwise.
        """
        lab.write("/proc/sys/net/ipv4/vs/synproxy_probe", probe)
        if LOOKAHEAD:
            lab.write("/proc/sys/net/ipv4/vs/fullnat_lookahead", 1)
        servers = self.plan.servers[:1] if servers is None else servers
        lips = self.plan.lips[:1] if lips is None else lips
        which = named(proto, vip or self.plan.vip, port, mark)
        self.nl.request(NEW_SERVICE, service(**which, **self._options(scheduler, **more)))
        for lip in lips:
            self.nl.request(NEW_LADDR, strict(key(**which)) + laddr(lip))
        weights = servers if isinstance(servers, dict) else dict.fromkeys(servers, 1)
        rport = PORT[proto] if rport is None else rport
        for rs, weight in weights.items():
            self.nl.request(NEW_DEST, key(**which) + dest(
                addr=ip(rs), port=be16(rport), weight=u32(weight), af=which["af"],
                method=u32(method)))

    def edit_service(self, proto=TCP, mark=None, **more):
        """It does from now on what MORE says, see abi.options()."""
        self.nl.request(SET_SERVICE, service(**self._named(proto, mark=mark),
                                             **self._options(**more)))

    def delete_service(self, proto=TCP, mark=None):
        self.nl.request(DEL_SERVICE, key(**self._named(proto, mark=mark)))

    def edit(self, command, server=None, *args, proto=TCP, mark=None, rport=None,
             method=FULLNAT):
        """-a, -e or -d of a server of VIP's service; ARGS: -w, -x, -y and their numbers."""
        which = self._named(proto, mark=mark)
        said = {EDIT_OPTIONS[args[i]]: u32(args[i + 1]) for i in range(0, len(args), 2)}
        self.nl.request(EDITS[command], key(**which) + dest(
            addr=ip(server or self.plan.servers[0]), af=which["af"], method=u32(method),
            port=be16(PORT[proto] if rport is None else rport), **said))

    def add_lip(self, lip, proto=TCP):
        """LIP is one of VIP's service (PROTO None: of the default pool)."""
        self.nl.request(NEW_LADDR, self._owner(proto) + laddr(lip))

    def delete_lip(self, lip, proto=TCP):
        self.nl.request(DEL_LADDR, self._owner(proto) + laddr(lip))

    def _owner(self, proto):
        return strict(key(**self._named(proto))) if proto else b""

    def set_key(self, key):
        """The SYN proxy's cookies are sealed with KEY, 16 bytes; None: with keys of its own."""
        if key is None:
            self.nl.request(DEL_KEY)
        else:
            self.nl.request(SET_KEY, attr(COOKIE_KEY, key))

    def timeouts(self, tcp=0, fin=0, udp=0):
        """Seconds, in place of the defaults; 0 leaves one as it is."""
        self.nl.request(SET_CONFIG, attr(4, tcp) + attr(5, fin) + attr(6, udp))

    def flush(self):
        self.nl.request(FLUSH)

    # --- what it says -------------------------------------------------------------

    def services(self):
        """The attributes of each."""
        return [attrs(reply[SERVICE]) for _, reply in self.nl.dump(GET_SERVICE)]

    def dests(self, of):
        """The attributes of the servers of OF, one of services()."""
        return [attrs(reply[DEST]) for _, reply in self.nl.dump(GET_DEST, _key(of))]

    def laddrs(self, of=None):
        """The same of LIPs; of the default pool, if nothing is said."""
        return [attrs(reply[LADDR]) for _, reply in
                self.nl.dump(GET_LADDR, _key(of) if of else b"")]

    def configuration(self):
        """All that is configured, and nothing that changes by itself, for comparison."""
        def settled(found, *moving):
            return {kind: data for kind, data in found.items() if kind not in moving}
        whole = [settled(lip, 2, 3, 66, 67) for lip in self.laddrs()]
        for of in self.services():
            whole.append((settled(of, 10, 12), [settled(d, 7, 8, 9, 10, 12) for d in self.dests(of)],
                          [settled(lip, 2, 3, 66, 67) for lip in self.laddrs(of)]))
        return whole

    def conns(self):
        return lab.conns(ns=None)

    def wait_gone(self, seconds=20, every=0.5):
        """Until there is no connection; fails with some of those that are left."""
        try:
            lab.wait_until("all connections have gone", lambda: not self.conns(), seconds, every)
        except AssertionError as late:
            left = self.conns()
            raise AssertionError(f"{late}, {len(left)} are left: {left[:3]}") from None

    def stats(self):
        """Of the first service: connections, packets and bytes in and out."""
        found = attrs(self.services()[0][12])
        return dict(zip(("conns", "inpkts", "outpkts", "inbytes", "outbytes"),
                        _numbers(found, 1, 2, 3, 4, 5)))

    def lips(self):
        """{LIP: (conflicts, connections)} of all services."""
        return {_text(lip[1]): _numbers(lip, 2, 3)
                for of in (*self.services(), None) for lip in self.laddrs(of)}

    def active(self):
        """{server: (active, inactive)} of all services."""
        return {_text(d[1]): _numbers(d, 7, 8)
                for of in self.services() for d in self.dests(of)}

    @contextlib.contextmanager
    def counted(self, **moved):
        """Within, exactly these events are counted, and no others; what was seen ahead is none."""
        before = lab.counters(ns=None) | {"looked_ahead": 0}
        yield
        after = lab.counters(ns=None) | {"looked_ahead": 0}
        assert {k: n - before[k] for k, n in after.items() if n != before[k]} == moved
