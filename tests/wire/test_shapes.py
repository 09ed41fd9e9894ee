# SPDX-License-Identifier: GPL-2.0
"""Devices of every make on the way, and packets that are not ours alone."""

import contextlib
import pathlib
import socket

import pytest

from addresses import CLIENT_DEV, CLIENT_MAC, IP4, ROUTER_MAC, SERVER_DEV
from lib import lab
from lib.packet import TCP, UDP, VNET, Frame, fragments
from world import ip, sysctl

BOTH_FAMILIES = True

NOBODY = "00:00:00:00:00:00"
OUTER, ROUTER = "10.10.0.1", "10.10.0.9"    # ends of a tunnel, of IPv4 whatever is inside


@contextlib.contextmanager
def module(name):
    """NAME, if the kernel has it; it goes again if it came for this."""
    there = pathlib.Path("/sys/module", name).exists()
    if lab.sh("modprobe", name, check=False).returncode:
        pytest.skip(f"this kernel has no {name}")
    yield
    if not there:
        lab.wait_until(f"{name} goes", lambda: not lab.sh("rmmod", name, check=False).returncode)


def goes_on(flow, up=None, down=None):
    """The flow from its first packet to its last, which look like UP and DOWN."""
    up, down = up or {}, down or {}
    tcp = flow.proto == TCP
    flow.up("S", b"" if tcp else b"first", arrives=up)
    flow.down("SA", b"" if tcp else b"answer", arrives=down)
    flow.up("A", arrives=up)
    flow.up("PA", b"question", arrives=up)
    flow.down("PA", b"answer", arrives=down)
    flow.world.quiet()


def flows(world):
    """One of each protocol."""
    for proto in (TCP, UDP):
        world.service(proto)
        yield world.flow(proto)


def client_by(world, dev):
    """What the director says to the client it says by DEV, a lower part of which is tapc."""
    ip("address flush dev tapc", f"link set {dev} up", f"address add {world.plan.director[0]} dev {dev}",
       *(f"neigh replace {host} lladdr {CLIENT_MAC} dev {dev}"
         for host in (world.plan.client, *world.plan.neighbours)))


# --- in front of the device that IP knows ----------------------------------------

def test_bond(world):
    """The client's side is a bond's."""
    with module("bonding"):
        ip("link add bond0 type bond mode active-backup", "link set tapc down",
           "link set tapc master bond0")
        client_by(world, "bond0")
        for flow in flows(world):
            goes_on(flow)
        ip("link delete bond0")


def test_bridge(world):
    """Is a port of a bridge."""
    ip("link add br0 type bridge mcast_snooping 0", "link set tapc master br0")
    client_by(world, "br0")
    for flow in flows(world):
        goes_on(flow)


@pytest.fixture
def filtered(world):
    """A bridge that shows netfilter what passes, as hosts of containers have it."""
    with module("br_netfilter"):
        for table in ("iptables", "ip6tables"):
            sysctl(f"net.bridge.bridge-nf-call-{table}", 1)
        ip("link add br0 type bridge mcast_snooping 0", "link set tapc master br0")
        client_by(world, "br0")
        yield
        ip("link delete br0")


def test_bridge_with_netfilter(world, filtered):
    """What is for the host is ours, though the bridge's hooks have seen it before."""
    for flow in flows(world):
        goes_on(flow)


def test_bridge_to_another(world, filtered):
    """What is for another host on the bridge stays there, whatever its destination."""
    other = world.tap("tapx")
    ip("link set tapx master br0 up")
    for flow in flows(world):
        frame = flow.from_client("S" if flow.proto == TCP else "", b"", dmac="02:00:00:00:00:99")
        other.drain()
        with world.counted():
            world.c.send(frame)
            other.expect(frame)
            world.quiet()
    assert world.conns() == []


def test_fragments_by_a_bridge(world, filtered):
    """They are gathered where the packet is ours, not on the bridge."""
    world.service(UDP)
    flow = world.udp()
    whole = flow.from_client(payload=bytes(range(200)) * 5, df=False)
    for piece in fragments(whole, 512):
        world.c.send(piece)
    got = world.s.receive()
    assert got.payload == whole.payload or got.mf
    assert lab.counters(ns=None)["reassembled"] == 1


def test_vlans(world):
    """Tags are the device's affair, on either side."""
    plan = world.plan
    ip("link add link tapc name c.7 type vlan id 7", "link add link taps name s.8 type vlan id 8",
       "address flush dev tapc", "address flush dev taps", "link set c.7 up", "link set s.8 up",
       f"address add {plan.director[0]} dev c.7", f"address add {plan.director[1]} dev s.8",
       f"neigh add {plan.client} lladdr {CLIENT_MAC} dev c.7",
       f"neigh add {plan.servers[0]} lladdr {plan.macs[plan.servers[0]]} dev s.8")
    for flow in flows(world):
        tcp = flow.proto == TCP
        for flags, data in (("S", b"" if tcp else b"x"), ("A", b"tagged")):
            flow.up(flags, data, vlan=7, arrives=dict(vlan=8))
            flow.down("SA" if flags == "S" else "A", data, vlan=8, arrives=dict(vlan=7))
    world.quiet()


# --- devices without MAC addresses -----------------------------------------------

def test_tun_to_the_servers(world):
    """A device that carries IP and nothing else."""
    world.s = world.tun("tuns")
    ip("address flush dev taps", "link set tuns up", f"address add {world.plan.director[1]} dev tuns")
    for flow in flows(world):
        goes_on(flow, up=dict(smac=NOBODY, dmac=NOBODY))


def test_tun_from_the_client(world):
    """The same at the other side: there is no header to begin with, and one to be made."""
    world.c = world.tun("tunc")
    ip("address flush dev tapc", "link set tunc up", f"address add {world.plan.director[0]} dev tunc")
    for flow in flows(world):
        goes_on(flow, down=dict(smac=NOBODY, dmac=NOBODY))


class Tunnel:
    """The far end of a tunnel whose packets leave by taps, in the place of that."""

    def __init__(self, world):
        self.tap = world.s
        self.proto = 4 if world.plan is IP4 else 41

    def send(self, frame):
        self.tap.send(Frame(smac=ROUTER_MAC, dmac=SERVER_DEV, src=ROUTER, dst=OUTER,
                            proto=self.proto, payload=frame.packet()))
        return frame

    def receive(self, seconds=2.0):
        outer = self.tap.receive(seconds)
        if not outer:
            return None
        assert (outer.src, outer.dst, outer.proto) == (OUTER, ROUTER, self.proto), outer
        assert (outer.smac, outer.dmac) == (SERVER_DEV, ROUTER_MAC), outer
        parse = Frame.parse_packet if self.proto == 4 else Frame.parse_packet6
        return parse(outer.payload)

    def expect(self, wanted):
        got = self.receive(2 * lab.SLOW)
        assert got == wanted, got and got.differences(wanted)
        return got

    def silent(self, seconds=0.02):
        self.tap.silent(seconds)


def test_tunnel_to_the_servers(world):
    """A device that puts a header in front of ours, and has no MAC either."""
    kind = "ipip" if world.plan is IP4 else "sit"
    with module(kind):
        server = world.plan.servers[0]
        ip("address flush dev taps", f"address add {OUTER}/24 dev taps",
           f"neigh replace {ROUTER} lladdr {ROUTER_MAC} dev taps",
           f"link add tunnel type {kind} local {OUTER} remote {ROUTER}", "link set tunnel up",
           f"route add {server}/{world.plan.host} dev tunnel")
        world.s = Tunnel(world)
        for flow in flows(world):
            goes_on(flow, up=dict(smac=NOBODY, dmac=NOBODY))
        ip("link delete tunnel")


FOU = 5555      # a port of UDP behind which there is IP


def test_summed_by_a_device(world):
    """CHECKSUM_COMPLETE: the NIC has summed all it got and judged nothing.

    A tunnel in UDP makes it so of what is inside, by the outer checksum.
    """
    plan, inside = world.plan, 4 if world.plan is IP4 else 41
    with module("fou"):
        kind, client = "ipip" if plan is IP4 else "sit", "192.0.2.9"
        if plan is not IP4:
            ip("address add 192.0.2.1/24 dev tapc")
        ip(f"neigh replace {client} lladdr {CLIENT_MAC} dev tapc",
           f"fou add port {FOU} ipproto {inside}",
           f"link add tunnel type {kind} local 192.0.2.1 remote {client} encap fou"
           f" encap-sport {FOU} encap-dport {FOU} encap-csum", "link set tunnel up",
           f"route add {plan.client}/{plan.host} dev tunnel")

        def outer(frame):
            return Frame(smac=CLIENT_MAC, dmac=CLIENT_DEV, src=client, dst="192.0.2.1", proto=UDP,
                         sport=FOU, dport=FOU, payload=frame.packet())
        for flow in flows(world):
            for flags, payload, off in (("S", b"", 0), ("A", b"data", 0), ("A", b"corrupt", 7)):
                sent = flow.from_client(flags, payload or (b"" if flow.proto == TCP else b"x"),
                                        off=off)
                world.c.send(outer(sent))
                got = flow._learn(sent)
                assert got == flow.at_server(sent), got.differences(flow.at_server(sent))
                flow.next_c += flow._advance(flags, payload)
        ip("link delete tunnel", f"fou del port {FOU} ipproto {inside}")


# --- packets that others hold, too -----------------------------------------------

@contextlib.contextmanager
def listening(dev):
    """A socket such as tcpdump's, and what it has heard, as frames."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((dev, 0))
    sock.setblocking(False)

    def heard():
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = Frame.parse(bytes(VNET.size) + sock.recv(65536))
                found += [frame] if frame else []
        return found
    yield heard
    sock.close()


def test_somebody_listens(world):
    """He sees on each side what passed there: nobody changes a packet that he holds."""
    with listening("tapc") as at_client, listening("taps") as at_servers:
        for flow in flows(world):
            tcp = flow.proto == TCP
            sent = flow.from_client("S", b"" if tcp else b"first")
            got = flow.up("S", sent.payload)
            answer = flow.from_server("SA", b"" if tcp else b"answer")
            back = flow.down("SA", answer.payload)
            assert at_client() == [sent, back]
            assert at_servers() == [got, answer]
            for flags in ("A", "PA"):
                sent = flow.from_client(flags, b"data" * 300)
                got = flow.up(flags, sent.payload)
                assert (at_client(), at_servers()) == ([sent], [got])


def test_super_packet_that_somebody_holds(world):
    """The same of one that is cut up only at the door."""
    world.service()
    flow = world.tcp().establish()
    data = bytes(i % 251 for i in range(9000))
    with listening("tapc") as at_client:
        sent = world.c.send(flow.from_client("PA", data, partial=True, gso=1000))
        for i in range(9):
            assert world.s.receive().payload == data[i * 1000:(i + 1) * 1000]
        [held] = at_client()
        assert (held.src, held.dst, held.seq, held.payload) == (sent.src, sent.dst, sent.seq, data)
