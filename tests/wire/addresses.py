# SPDX-License-Identifier: GPL-2.0
"""Who is who in the world of a wire case, in either family; world.py draws it."""

import dataclasses

from lib.packet import TCP, UDP

PORT = {TCP: 80, UDP: 53}

# Of the director's devices, and of hosts on the cables.
CLIENT_DEV, SERVER_DEV = "02:00:00:00:00:0c", "02:00:00:00:00:05"
CLIENT_MAC, ROUTER_MAC = "02:00:00:00:01:02", "02:00:00:00:02:09"
SERVER_MACS = [f"02:00:00:00:02:{i:0>2}" for i in range(2, 5)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The addresses of one family."""

    client: str
    vip: str
    servers: tuple
    lips: tuple
    router: str             # on the servers' side: gets what the director does not take
    neighbours: list        # of the client, behind its MAC
    director: tuple         # addresses with their prefixes, towards client and servers
    host: int               # the length of a prefix of one host
    vips: str               # the prefix that the router would be asked for

    @property
    def macs(self):
        """{address: MAC}, of all but the neighbours."""
        return {self.client: CLIENT_MAC, self.router: ROUTER_MAC,
                **dict(zip(self.servers, SERVER_MACS))}


IP4 = Plan(client="192.0.2.2", vip="198.51.100.1", vips="198.51.100.0/24",
           servers=tuple(f"10.10.0.{i}" for i in range(2, 5)),
           lips=tuple(f"10.99.0.{i}" for i in range(1, 5)), router="10.10.0.9",
           neighbours=[f"192.0.2.{i}" for i in range(3, 10)],
           director=("192.0.2.1/24", "10.10.0.1/24"), host=32)

IP6 = Plan(client="2001:db8:c::2", vip="2001:db8:f::1", vips="2001:db8:f::/64",
           servers=tuple(f"2001:db8:10::{i}" for i in range(2, 5)),
           lips=tuple(f"2001:db8:99::{i}" for i in range(1, 5)), router="2001:db8:10::9",
           neighbours=[f"2001:db8:c::{i}" for i in range(3, 10)],
           director=("2001:db8:c::1/64", "2001:db8:10::1/64"), host=128)

CLIENT, VIP, SERVERS, LIPS, ROUTER = IP4.client, IP4.vip, IP4.servers, IP4.lips, IP4.router
MACS, NEIGHBOURS = IP4.macs, IP4.neighbours
