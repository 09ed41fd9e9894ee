# SPDX-License-Identifier: GPL-2.0
"""The world of a wire case: a director between two cables, and flows across it.

    client 192.0.2.2 ──tapc── director ──taps── servers 10.10.0.2, .3, …
                                 │
                 VIP 198.51.100.1 (nobody's), LIPs 10.99.0.1 to .4

A flow knows what the director has to make of each of its packets, so that
`flow.up("PA", payload)` sends one and checks every field of what comes out.
"""

import socket

from abi import FULLNAT, MASQ, ROUTE
from addresses import (CLIENT, CLIENT_DEV, CLIENT_MAC, IP4, IP6, LIPS, MACS, NEIGHBOURS, PORT,
                       ROUTER, ROUTER_MAC, SERVER_DEV, SERVERS, VIP)
from director import Director
from lib import lab, rtnl
from lib.packet import TCP, UDP, Frame
from lib.tap import Tap, Tun

def sysctl(name, value):
    lab.write(f"/proc/sys/{name.replace('.', '/')}", value)


# What the director of every world has; its namespace inherits it from the first.
ROUTER_SYSCTLS = {
    "net.core.devconf_inherit_init_net": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
    "net.ipv6.conf.all.forwarding": 1,
}


def ip(*lines):
    """Commands of ip(8), in one go."""
    lab.sh("ip", "-batch", "-", stdin="\n".join(lines) + "\n")


class World(Director):
    """The director's namespace, made and entered; close() undoes all."""

    def __init__(self, plan=IP4):
        self.plan = plan
        self.log = []
        self.namespace = lab.Namespace()
        self.namespace.enter()
        if plan is IP4:
            sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.taps = []
        self.c, self.s = self.tap("tapc"), self.tap("taps")
        lo, tapc, taps = (socket.if_nametoindex(dev) for dev in ("lo", "tapc", "taps"))
        rtnl.apply(
            rtnl.up(tapc, CLIENT_DEV), rtnl.up(taps, SERVER_DEV), rtnl.up(lo),
            *map(rtnl.address, plan.director, (tapc, taps)),
            *(rtnl.address(f"{lip}/{plan.host}", lo) for lip in plan.lips),
            *(rtnl.neighbour(host, mac, tapc if host == plan.client else taps)
              for host, mac in plan.macs.items()),
            *(rtnl.neighbour(host, CLIENT_MAC, tapc) for host in plan.neighbours),
            rtnl.route(plan.vips, plan.router))

    def tap(self, name, flags=0):
        self.taps.append(Tap(name, self.log, flags))
        return self.taps[-1]

    def tun(self, name):
        self.taps.append(Tun(name, self.log))
        return self.taps[-1]

    def close(self):
        super().close()
        for tap in self.taps:
            tap.close()
        self.namespace.leave()

    # --- flows -------------------------------------------------------------------

    def flow(self, proto, sport=40000, **kw):
        return Flow(self, proto, sport, **kw)

    def tcp(self, sport=40000, **kw):
        return Flow(self, TCP, sport, **kw)

    def udp(self, sport=40000, **kw):
        return Flow(self, UDP, sport, **kw)

    def masq(self, proto=TCP, sport=40000, **kw):
        """A flow to a server of Masq, which sees the client itself."""
        return Flow(self, proto, sport, method=MASQ, **kw)

    def routed(self, proto=TCP, sport=40000, **kw):
        """One to a server of Route, which sees even the VIP, and answers the client itself."""
        return Flow(self, proto, sport, method=ROUTE, **kw)

    def quiet(self):
        """Nothing is on either cable."""
        self.c.silent()
        self.s.silent()


class Flow:
    """One client port's packets to the VIP and back.

    Numbers follow by themselves: next_c and next_s are what each side sends
    next, as the client counts. The first packet that arrives at a server tells
    which server, LIP, port and offset the director chose.
    """

    def __init__(self, world, proto, sport, client=None, vip=None, dport=None, rport=None,
                 isn=0x10000000, server_isn=0x20000000, method=FULLNAT):
        self.world, self.proto, self.method = world, proto, method
        self.plan = world.plan
        self.client, self.sport = client or self.plan.client, sport
        self.vip, self.dport = vip or self.plan.vip, dport or PORT[proto]
        self.rport = rport or self.dport    # of the server
        self.next_c, self.next_s = isn, server_isn
        self.lip = self.lport = self.rs = None
        self.shift = 0                      # the server's view of next_c, less ours
        self.back = 0                       # its own numbers, less the client's view of them

    # What each side sends.

    def _base(self, flags, payload, seq, ack):
        if self.proto == UDP:
            return dict(proto=UDP, payload=payload)
        return dict(proto=TCP, flags=flags, payload=payload, win=0x7210, seq=seq,
                    ack=ack if "A" in flags else 0)

    @staticmethod
    def _frame(**fields):
        """A frame whose numbers may have run over 2^32; of IPv6, what it does not have is out."""
        if ":" in fields["src"]:
            fields.pop("id", None)
        wrapped = {k: fields[k] % 2**32 for k in ("seq", "ack") if k in fields}
        return Frame(**(fields | wrapped))

    def _advance(self, flags, payload):
        return len(payload) + ("S" in flags) + ("F" in flags)

    def from_client(self, flags="", payload=b"", **fields):
        """A frame of the client's, not sent."""
        base = self._base(flags, payload, self.next_c, self.next_s)
        base |= dict(smac=CLIENT_MAC, dmac=CLIENT_DEV, src=self.client, dst=self.vip,
                     sport=self.sport, dport=self.dport, id=0x1234, tos=0xb8)
        return self._frame(**(base | fields))

    def from_server(self, flags="", payload=b"", **fields):
        """A frame of the server's, not sent; numbers as the server has them."""
        base = self._base(flags, payload, self.next_s + self.back, self.next_c + self.shift)
        base |= dict(smac=self.plan.macs[self.rs], dmac=SERVER_DEV, src=self.rs, dst=self.lip,
                     sport=self.rport, dport=self.lport, id=0x4321, tos=0x28)
        return self._frame(**(base | fields))

    # What becomes of it.

    def at_server(self, sent, **fields):
        """SENT by the client, as the server is to see it."""
        seen = sent.but(smac=SERVER_DEV, dmac=self.plan.macs[self.rs], src=self.lip, dst=self.rs,
                        sport=self.lport, dport=self.rport, ttl=sent.ttl - 1)
        if self.proto == TCP:
            seen = seen.but(seq=(sent.seq + self.shift) % 2**32)
        if self.proto == TCP and "A" in sent.flags:
            seen = seen.but(ack=(sent.ack + self.back) % 2**32)
        if self.method == ROUTE:
            seen = seen.but(dst=self.vip, dport=self.dport)
        return seen.but(**fields)

    def at_client(self, sent, **fields):
        """SENT by the server, as the client is to see it."""
        seen = sent.but(smac=CLIENT_DEV, dmac=CLIENT_MAC, src=self.vip, dst=self.client,
                        sport=self.dport, dport=self.sport, ttl=sent.ttl - 1)
        if "A" in sent.flags:
            seen = seen.but(ack=(sent.ack - self.shift) % 2**32)
        if self.proto == TCP:
            seen = seen.but(seq=(sent.seq - self.back) % 2**32)
        return seen.but(**fields)

    def _met(self, got):
        """GOT is the first that a server sees; with Route only the MAC says which."""
        self.lip, self.lport, self.rs = got.src, got.sport, got.dst
        if self.method == ROUTE:
            self.rs = next(a for a in self.plan.servers if self.plan.macs[a] == got.dmac)

    def _learn(self, sent):
        got = self.world.s.receive(2 * lab.SLOW)
        assert got, f"taps: nothing came of {sent}"
        self._met(got)
        assert self.rs in self.plan.servers and (
            self.lip in self.plan.lips if self.method == FULLNAT else
            (self.lip, self.lport) == (self.client, self.sport)), f"not translated: {got}"
        self.shift = (got.seq - sent.seq) % 2**32
        return got

    def up(self, flags="", payload=b"", arrives=None, **fields):
        """The client sends; what arrives is as it must be, and as ARRIVES differs."""
        sent = self.world.c.send(self.from_client(flags, payload, **fields))
        if "seq" not in fields:
            self.next_c += self._advance(flags, payload)
        if self.lip:
            return self.world.s.expect(self.at_server(sent, **(arrives or {})))
        got = self._learn(sent)
        wrong = got.differences(self.at_server(sent, **(arrives or {})))
        assert not wrong, f"{got}: {wrong}"
        return got

    def down(self, flags="", payload=b"", arrives=None, **fields):
        """The same, from the server."""
        sent = self.world.s.send(self.from_server(flags, payload, **fields))
        if "seq" not in fields:
            self.next_s += self._advance(flags, payload)
        return self.world.c.expect(self.at_client(sent, **(arrives or {})))

    def aside(self, flags="", payload=b""):
        """With Route: the server answers the client, and the director does not see it."""
        self.next_s += self._advance(flags, payload)

    def establish(self):
        """The handshake; the flow itself."""
        self.up("S")
        (self.aside if self.method == ROUTE else self.down)("SA")
        self.up("A")
        return self

    def open(self):
        """Whatever makes a connection of this protocol usable; the flow itself."""
        if self.proto == TCP:
            return self.establish()
        self.up(payload=b"hello")
        return self

    # What the director thinks of it.

    def state(self):
        """As /proc/net/ip_vs_conn has it, or None."""
        found = [c["state"] for c in self.world.conns()
                 if c["client"] == (self.client, self.sport)]
        assert len(found) < 2, f"listed {len(found)} times"
        return found[0] if found else None

    def gone(self, seconds=10):
        """Waits until it has expired."""
        lab.wait_until("the connection has gone", lambda: self.state() is None, seconds, 0.2)

    def passed_on(self, sent):
        """SENT, left alone and merely routed, as the next router is to see it."""
        return sent.but(smac=SERVER_DEV, dmac=ROUTER_MAC, ttl=sent.ttl - 1)
