# SPDX-License-Identifier: GPL-2.0
"""Timestamps and ECN with the SYN proxy: told to clients whose servers do them, and kept up."""

import struct

import pytest

from abi import FULLNAT, MASQ
from lib import lab
from lib.packet import TCP
from options import SACK_OK, mss, stamp, wscale
from proxied import OFFER, Guarded, count
from test_probe import answer, is_left_alone, probe
from test_timestamps import value
from world import sysctl

BOTH_FAMILIES = True

MINE, THEIRS = 0x11112222, 0x33334444       # the client's clock and the server's


def stamped(val, ecr=0, sack=True):
    """The option as Linux has it in a SYN, which puts SACK in front of it."""
    return (bytes([4, 2]) if sack else b"\1\1") + stamp(val, ecr)[2:]


def offer(val, ecr=0, n=1460, scale=7, sack=True):
    """All that Linux offers."""
    return mss(n) + stamped(val, ecr, sack) + (b"" if scale is None else wscale(scale))


class Stamped(Guarded):
    """A flow whose client has timestamps, and whose server may."""

    def syn(self, opt=None, **fields):
        got = super().syn(offer(MINE) if opt is None else opt, **fields)
        at = got.opt.find(bytes([8, 10]))
        self.told = struct.unpack_from("!II", got.opt, at + 2) if at >= 0 else None
        return got

    def ack(self, payload=b"", flags="A", val=MINE + 1, asked="S", **fields):
        """As Guarded.ack(); what the server sees of the client's clock is kept."""
        self.early = [self.world.c.send(self.from_client(
            flags, payload, opt=stamp(val, self.told[0]), **fields))]
        self.next_c += len(payload)
        got = self.world.s.receive(2 * lab.SLOW)
        assert got and got.flags == asked, f"not dialled: {got}"
        self.lip, self.lport, self.rs = got.src, got.sport, got.dst
        self.shift = (got.seq + 1 - self.early[0].seq) % 2**32
        self.later = (value(b"\1\1" + got.opt[6:]) - val) % 2**32
        return got

    def answer(self, opt=None, flags="SA", **fields):
        """The server's SYN-ACK; its clock reads THEIRS, and goes on from what we told."""
        self.back = (self.server_isn + 1 - self.next_s) % 2**32
        self.clock = (self.told[0] - THEIRS) % 2**32
        first = self.early[0]
        seen = value(first.opt) + self.later
        self.world.s.send(self.from_server(
            flags, seq=self.server_isn, ack=first.seq + self.shift,
            opt=offer(THEIRS, seen) if opt is None else opt, **fields))
        for sent in self.early:
            self.world.s.expect(self.at_server(
                sent, opt=stamp(value(sent.opt) + self.later, THEIRS)))
        return self

    def says(self, flags, payload=b"", val=MINE, ecr=None, **fields):
        """The client, which echoes what it has seen."""
        ecr = self.told[0] if ecr is None else ecr
        return self.up(flags, payload, opt=stamp(val, ecr), arrives=dict(
            opt=stamp(val + self.later, ecr - self.clock)), **fields)

    def hears(self, flags, payload=b"", val=THEIRS, ecr=MINE, **fields):
        """The client, from its server."""
        return self.down(flags, payload, opt=stamp(val, ecr + self.later), arrives=dict(
            opt=stamp(val + self.clock, ecr)), **fields)


@pytest.fixture
def serve(world):
    """Makes a service whose server has been probed, and flows to it."""
    def made(method=FULLNAT, timestamp=2, server=offer(THEIRS), flags="SA"):
        sysctl("net.ipv4.vs.fullnat_timestamp", timestamp)
        world.service(synproxy=1, probe=1, method=method)
        syn = probe(world)
        world.s.send(answer(world, syn, opt=server, flags=flags))
        is_left_alone(world, syn)
        return lambda sport=40000, **kw: Stamped(world, TCP, sport, method=method, **kw)
    return made


@pytest.mark.parametrize("method, timestamp", [(FULLNAT, 2), (FULLNAT, 0), (MASQ, 1)],
                         ids=["translated", "passed", "masq"])
def test_both_ways(world, serve, method, timestamp):
    """SYN-ACK, dialling, and every segment behind it."""
    flow = serve(method, timestamp)()
    got = flow.syn()
    assert got.opt == offer(*flow.told)
    assert flow.told[1] == MINE
    dialled = flow.ack(b"hello", "PA")
    assert dialled.opt == offer(MINE + 1 + flow.later)
    assert bool(flow.later) == (timestamp == 2)
    flow.answer()
    flow.says("PA", b"question", MINE + 2)
    flow.hears("PA", b"answer", THEIRS + 5, MINE + 2)
    flow.says("A", b"", MINE + 3, (flow.told[0] + 5) % 2**32)
    flow.says("FA", b"", MINE + 4)
    flow.hears("FA", b"", THEIRS + 6, MINE + 4)
    flow.says("A", b"", MINE + 5)
    world.quiet()
    assert flow.state() == "CLOSE" and count("synproxy_bad_ack") == 0


@pytest.mark.parametrize("scale", [None, 0, 7, 14])
@pytest.mark.parametrize("sack", [True, False], ids=["sack", "none"])
def test_cookie_tells_it_all(world, serve, scale, sack):
    """By the low bits of our clock: scale and SACK; by the number: MSS."""
    flow = serve()()
    got = flow.syn(offer(MINE, scale=scale, sack=sack, n=1400))
    assert (SACK_OK[2:] in got.opt[4:6]) == sack
    assert flow.ack().opt == offer(MINE + 1 + flow.later, scale=scale, sack=sack, n=1400)
    flow.answer(offer(THEIRS, MINE, scale=scale, sack=sack))


def without(world, flow):
    """FLOW's client, which offers timestamps, is not told any; nor is its server."""
    got = Guarded.syn(flow, offer(MINE))
    assert bytes([8, 10]) not in got.opt
    assert Guarded.ack(flow).opt == OFFER
    Guarded.answer(flow)


def test_not_where_they_are_taken_out(world, serve):
    """fullnat_timestamp 1: a server behind a LIP hears of none."""
    without(world, serve(timestamp=1)())


def test_not_where_servers_do_not(world, serve):
    """Those that answered the probe without."""
    without(world, serve(server=OFFER)())


def test_not_where_servers_have_not_said(world):
    """The SYN proxy does not promise what it has not heard."""
    sysctl("net.ipv4.vs.fullnat_timestamp", 2)
    world.service(synproxy=1)
    without(world, Stamped(world, TCP, 40000))


def test_not_by_sysctl(world, serve):
    """synproxy_timestamp 0."""
    make = serve()
    sysctl("net.ipv4.vs.synproxy_timestamp", 0)
    without(world, make())


def test_client_without(world, serve):
    """Its cookie is of the other kind."""
    flow = serve()()
    assert bytes([8, 10]) not in Guarded.syn(flow, OFFER).opt
    assert Guarded.ack(flow).opt == OFFER
    Guarded.answer(flow)


@pytest.mark.parametrize("change", [dict(ack=1), dict(ack=1 << 23), dict(ack=1 << 27),
                                    dict(seq=1), dict(opt=b"")],
                         ids=["number", "scale's place", "seal", "client's number", "no echo"])
def test_forged(world, serve, change):
    """A longer seal, and no way round it by leaving the timestamp out."""
    flow = serve()()
    flow.syn()
    right = flow.from_client("A", opt=stamp(MINE + 1, flow.told[0]))
    world.c.send(right.but(**{k: v if k == "opt" else (getattr(right, k) + v) % 2**32
                              for k, v in change.items()}))
    lab.wait_until("it was counted", lambda: count("synproxy_bad_ack") == 1)
    world.quiet()
    flow.ack()
    flow.answer()


def test_clock_goes_on(world, serve):
    """What is told never runs backwards, whichever flow asks."""
    make = serve()
    last = None
    for sport in range(40000, 40030):
        flow = make(sport)
        flow.syn()
        assert last is None or (flow.told[0] - last) % 2**32 < 2**31
        last = flow.told[0]


@pytest.mark.parametrize("server, told", [("SAE", "SAE"), ("SA", "SA"), ("SAEC", "SA")],
                         ids=["yes", "no", "reflected"])
def test_ecn(world, serve, server, told):
    """The client is told what the server does, which is asked for it again."""
    flow = serve(flags=server)()
    world.c.send(flow.from_client("SEC", opt=offer(MINE)))
    got = world.c.receive(2 * lab.SLOW)
    assert got.flags == told
    flow.next_c, flow.next_s = flow.next_c + 1, (got.seq + 1) % 2**32
    flow.told = struct.unpack_from("!II", got.opt, 8)
    flow.ack(asked="SEC" if told == "SAE" else "S")
    flow.answer(flags=server)
    flow.says("PAC", b"x", tos=0xba)


def test_no_ecn_that_was_not_offered(world, serve):
    """Nor for clients without timestamps: their cookies have no room."""
    make = serve(flags="SAE")
    flow = make()
    assert flow.syn().flags == "SA"
    flow.ack()
    world.c.send(make(40001).from_client("SEC", opt=OFFER))
    assert world.c.receive(2 * lab.SLOW).flags == "SA"


def test_shut_window_is_opened(world, serve):
    """Our own segments carry timestamps, too."""
    make = serve()
    sysctl("net.ipv4.vs.synproxy_ack_skb_store_thresh", 0)
    flow = make()
    flow.syn()
    flow.ack()
    flow.answer()
    got = world.c.receive(2 * lab.SLOW)
    assert got.flags == "A" and got.opt == stamp(flow.told[0], MINE + 1)


def test_another_server(world, serve):
    """What the second one hears is stamped for its own port."""
    make = serve()
    world.edit("-a", world.plan.servers[1])
    syn = probe(world, world.plan.servers[1])
    world.s.send(answer(world, syn, opt=offer(THEIRS)))
    is_left_alone(world, syn)
    sysctl("net.ipv4.vs.synproxy_syn_retry", 0)
    flow = make()
    flow.syn()
    flow.ack(b"hello", "PA")
    got = world.s.receive(4 * lab.SLOW)
    assert got.flags == "S" and got.dst != flow.rs
    flow.lip, flow.lport, flow.rs = got.src, got.sport, got.dst
    flow.shift = (got.seq + 1 - flow.early[0].seq) % 2**32
    flow.later = (value(b"\1\1" + got.opt[6:]) - MINE - 1) % 2**32
    flow.answer()
    flow.says("PA", b"more", MINE + 2)


def test_ends_with_timestamps_far_ahead(world, serve):
    """As without the SYN proxy: its port's next client is not refused by the server."""
    sysctl("net.ipv4.vs.fullnat_lport_max", 1025)
    make = serve()
    flow = make()
    flow.syn()
    flow.ack()
    flow.answer()
    flow.hears("FA")
    flow.says("FA", b"", MINE + 2**30)
    assert flow.state() == "TIME_WAIT"
    again = make(isn=0x50000000)
    again.syn()
    again.ack()
    again.answer()
