# SPDX-License-Identifier: GPL-2.0
"""Packets that user space has looked at first: they come in a process, not in softirq."""

import contextlib
import socket
import struct
import threading

import pytest

from abi import MASQ
from lib import lab
from lib.netlink import HEADER, REQUEST, attr, attrs
from lib.packet import TCP, UDP
from proxied import Guarded
from test_fwmark import nft
from world import sysctl

BOTH_FAMILIES = True

NUMBER = 7
# In front of the director's hooks, as rules of the raw table are.
QUEUE = f"""table inet first {{
    chain first {{ type filter hook prerouting priority -310; queue num {NUMBER}; }}
}}"""
NETFILTER, PACKET, VERDICT, CONFIG = 12, 0x300, 0x301, 0x302
BIND, META, ACCEPT = 1, 1, 1


class Queue:
    """Accepts all that comes to queue NUMBER of this namespace, until it is closed."""

    def __init__(self):
        self.accepted = 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
        self.socket.bind((0, 0))
        self.say(CONFIG, attr(1, struct.pack("!BxH", BIND, 0)))
        self.say(CONFIG, attr(2, struct.pack("!IB", 0, META)))
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def say(self, kind, data):
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, NUMBER) + data
        self.socket.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST, 0, 0) + body)

    def work(self):
        while message := self.socket.recv(65536):
            _, kind, *_ = HEADER.unpack_from(message)
            if kind == PACKET:
                number = attrs(message[HEADER.size + 4:])[1][:4]
                self.accepted += 1
                self.say(VERDICT, attr(2, struct.pack("!I", ACCEPT) + number))
            elif kind != 2:
                return


@pytest.fixture
def queue(world):
    """All that comes to the director goes by user space."""
    made = Queue()
    nft(QUEUE)
    yield made
    lab.sh("nft", "delete", "table", "inet", "first")
    with contextlib.suppress(OSError):
        made.socket.shutdown(socket.SHUT_RDWR)
    made.socket.close()


def talks(flow, queue):
    """Both ways, each packet by user space."""
    flow.up("PA", b"question")
    flow.down("PA", b"answer")
    assert queue.accepted >= 4


@pytest.mark.parametrize("proto", [TCP, UDP], ids=["tcp", "udp"])
def test_fullnat(world, queue, proto):
    """A connection begins, goes on, and with TCP ends."""
    world.service(proto)
    flow = world.flow(proto).open()
    flow.up("PA", b"question")
    flow.down("PA", b"answer")
    if proto == TCP:
        flow.up("FA")
        flow.down("FA")
        flow.up("A")
        assert flow.state() == "CLOSE"
    assert queue.accepted >= 3


def test_masq(world, queue):
    """What a server sends to the client is found by who sent it."""
    world.service(lips=(), method=MASQ)
    talks(world.masq().open(), queue)


def test_by_the_mark(world, queue):
    """The second hook, behind the mangle table."""
    nft("""table inet marks {
        chain marks { type filter hook prerouting priority mangle; meta mark set 9; }
    }""")
    world.service(mark=9, rport=80)
    talks(world.tcp(rport=80).open(), queue)


def test_syn_proxy(world, queue):
    """A cookie, a dial with a timer, and a splice."""
    world.service(synproxy=1)
    sysctl("net.ipv4.vs.synproxy_syn_retry", 1)
    flow = Guarded(world, TCP, 40000)
    flow.syn()
    first = flow.ack()
    again = world.s.receive(3 * lab.SLOW)
    assert again and not again.differences(first)
    flow.answer()
    talks(flow, queue)
