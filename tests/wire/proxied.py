# SPDX-License-Identifier: GPL-2.0
"""A flow through the SYN proxy, step by step."""

from lib import lab
from options import SACK_OK, mss, wscale
from world import Flow

OFFER = mss(1460) + SACK_OK + wscale(7)


class Guarded(Flow):
    """A flow whose handshake the SYN proxy takes part in, step by step."""

    def syn(self, opt=OFFER, **fields):
        """The client's SYN, and the cookie that comes back: its frame."""
        sent = self.world.c.send(self.from_client("S", opt=opt, **fields))
        got = self.world.c.receive(2 * lab.SLOW)
        assert got and got.flags == "SA", f"no SYN-ACK: {got}"
        self.next_c = (sent.seq + 1) % 2**32
        self.next_s = (got.seq + 1) % 2**32
        return got

    def ack(self, payload=b"", flags="A", **fields):
        """The client's ACK, and the SYN that its server gets: its frame."""
        self.early = [self.world.c.send(self.from_client(flags, payload, **fields))]
        self.next_c += len(payload)
        got = self.world.s.receive(2 * lab.SLOW)
        assert got and got.flags == "S", f"not dialled: {got}"
        self.lip, self.lport, self.rs = got.src, got.sport, got.dst
        self.asked = got.seq + 1
        self.shift = (self.asked - self.early[0].seq) % 2**32
        self.server_next = self.server_isn
        return got

    def more(self, flags="PA", payload=b"", **fields):
        """The client has more to say before its server has answered."""
        self.early.append(self.world.c.send(self.from_client(flags, payload, **fields)))
        self.next_c += len(payload)

    def answer(self, opt=OFFER, win=0x7210, **fields):
        """The server's SYN-ACK; all that the client sent arrives behind it.

        Its windows count as they are for a server that does not scale.
        """
        arrives = {} if b"\x03\x03" in opt else dict(win=65535)
        self.back = (self.server_isn + 1 - self.next_s) % 2**32
        self.world.s.send(self.from_server("SA", seq=self.server_isn, ack=self.asked, opt=opt,
                                           win=win, **fields))
        for sent in self.early:
            self.world.s.expect(self.at_server(sent, **arrives))
        self.early = []
        return self

    def handshake(self, opt=OFFER, server=OFFER, **fields):
        """All of it; the flow itself."""
        self.syn(opt)
        self.ack(**fields)
        return self.answer(server)

    server_isn = 0x77000000


def count(name):
    """The event NAME, so far."""
    return lab.counters(ns=None)[name]
