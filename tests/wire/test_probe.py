# SPDX-License-Identifier: GPL-2.0
"""What servers of the SYN proxy can do is asked before their first client comes."""

import pytest

from abi import FULLNAT, MASQ
from addresses import SERVER_DEV
from lib import lab
from lib.packet import TCP
from options import SACK_OK, mss, wscale
from proxied import OFFER, Guarded, count
from test_icmp_errors import report
from world import sysctl

BOTH_FAMILIES = True


@pytest.fixture
def probed(world):
    """Makes a service whose servers are probed."""
    def serve(**more):
        world.service(**(dict(synproxy=1, probe=1) | more))
    return serve


def probe(world, rs=None, flags="SEC", seconds=4):
    """The SYN that a server gets, of no client's."""
    got = world.s.receive(seconds * lab.SLOW)
    assert got and got.flags == flags, f"no probe: {got}"
    assert got.dst in ([rs] if rs else world.plan.servers)
    size = mss(1460 if world.plan.host == 32 else 1440)
    assert got.opt[:8] == size + SACK_OK[2:] + bytes([8, 10])
    assert got.opt[12:] == bytes(4) + wscale(7)
    return got


def answer(world, syn, flags="SA", opt=OFFER, **fields):
    """A frame of the server's that answers SYN, not sent."""
    return syn.but(smac=world.plan.macs[syn.dst], dmac=SERVER_DEV, src=syn.dst, dst=syn.src,
                   sport=syn.dport, dport=syn.sport, flags=flags, seq=0x1234,
                   ack=(syn.seq + 1) % 2**32, opt=opt, partial=False, **fields)


def is_left_alone(world, syn):
    """The server gets a RST that it takes, and nothing is left behind."""
    got = world.s.receive(2 * lab.SLOW)
    assert got and got.flags == "R" and got.seq == (syn.seq + 1) % 2**32
    assert (got.src, got.sport, got.dst, got.dport) == (syn.src, syn.sport, syn.dst, syn.dport)
    ended(world)


def ended(world):
    lab.wait_until("the probe is over", lambda: world.conns() == [])
    assert set(world.active().values()) == {(0, 0)}
    assert sum(busy for _, busy in world.lips().values()) == 0
    world.quiet()


def offered(world):
    """What the service tells a client that can everything."""
    return Guarded(world, TCP, 45000).syn().opt


@pytest.mark.parametrize("method", [FULLNAT, MASQ], ids=["fullnat", "masq"])
def test_new_server(world, probed, method):
    """From a LIP, or from the director's own address: once, and what it says is known."""
    probed(method=method)
    syn = probe(world)
    here = world.plan.director[1].split("/")[0]
    assert syn.src == here if method == MASQ else syn.src in world.plan.lips
    world.s.send(answer(world, syn, opt=mss(1000) + wscale(3)))
    is_left_alone(world, syn)
    assert offered(world) == mss(1000) + wscale(7)
    assert world.s.receive(1.5) is None, "it is asked once"
    assert count("synproxy_probed") == 1 and world.stats()["conns"] == 0


def test_server_that_comes_back(world, probed):
    """Weight from 0: it may have learned something."""
    probed()
    syn = probe(world)
    world.s.send(answer(world, syn, opt=mss(1000)))
    is_left_alone(world, syn)
    world.edit("-e", None, "-w", 0)
    world.edit("-e", None, "-w", 5)
    syn = probe(world)
    world.s.send(answer(world, syn))
    is_left_alone(world, syn)
    assert offered(world) == OFFER
    world.edit("-e", None, "-w", 6)
    assert world.s.receive(1) is None, "it had not been away"


def test_synproxy_turned_on(world, probed):
    """Servers that were there before are asked now."""
    probed(synproxy=0)
    assert world.s.receive(1) is None
    world.edit_service(synproxy=1)
    syn = probe(world)
    world.s.send(answer(world, syn))
    is_left_alone(world, syn)


def test_lip_comes_later(world, probed):
    """Without one nobody can be asked, but soon after."""
    probed(lips=[])
    assert world.s.receive(1) is None
    world.add_lip(world.plan.lips[0])
    assert probe(world).src == world.plan.lips[0]


def test_server_under_pressure_recovers(world, probed):
    """Its own cookies say MSS only: it is asked again until it is what it was."""
    probed()
    syn = probe(world)
    world.s.send(answer(world, syn))
    is_left_alone(world, syn)
    Guarded(world, TCP, 40000).handshake(server=mss(1460))
    assert offered(world) == mss(1460)
    for opt in (mss(1460), OFFER):          # it is still busy; and then no more
        syn = probe(world, seconds=9)
        world.s.send(answer(world, syn, opt=opt))
        got = world.s.receive(2 * lab.SLOW)
        assert got and got.flags == "R"
        assert offered(world) == opt
    assert world.s.receive(5.5) is None, "it was asked again though it has recovered"


def test_several_servers(world, probed):
    """Each of them; with weight 0 none."""
    a, b, c = world.plan.servers
    probed(servers={a: 1, b: 0, c: 1})
    assert {probe(world).dst, probe(world).dst} == {a, c}


def test_silent_server(world, probed):
    """SYNs as often as for a client, but one with ECN; then it is left alone."""
    sysctl("net.ipv4.vs.synproxy_syn_retry", 1)
    probed(servers=world.plan.servers[:1])
    syn = probe(world)
    assert not probe(world, flags="S").differences(syn.but(flags="S"))
    lab.wait_until("the probe is over", lambda: world.conns() == [])
    ended(world)
    world.c.silent()
    assert count("synproxy_redialled") == 0


def test_server_refuses(world, probed):
    """Its RST ends it; the director says nothing to anybody."""
    probed()
    syn = probe(world)
    world.s.send(answer(world, syn, "RA", b""))
    ended(world)
    world.c.silent()


def test_nobody_listens(world, probed):
    """An ICMP error is nobody's."""
    probed()
    syn = probe(world)
    world.s.send(report(world, world.s, syn, 20, "port"))
    lab.wait_until("it was counted", lambda: count("drop_dialling") == 1)
    world.c.silent()


def test_not_by_sysctl(world, probed):
    """synproxy_probe 0: the first client finds out."""
    probed(probe=0)
    assert world.s.receive(1.5) is None


def test_service_goes_meanwhile(world, probed):
    """The probe ends by itself, and nothing is left behind."""
    sysctl("net.ipv4.vs.synproxy_syn_retry", 0)
    probed()
    probe(world)
    world.delete_service()
    lab.wait_until("the probe is over", lambda: world.conns() == [])


def test_namespace_goes_meanwhile(world, probed):
    """So do those who ask."""
    probed(servers=world.plan.servers)
    probe(world)
