# SPDX-License-Identifier: GPL-2.0
"""Who is who in the world of a wire case; world.py draws it."""

from lib.packet import TCP, UDP

CLIENT, VIP = "192.0.2.2", "198.51.100.1"
SERVERS = ("10.10.0.2", "10.10.0.3", "10.10.0.4")
LIPS = ("10.99.0.1", "10.99.0.2", "10.99.0.3", "10.99.0.4")
PORT = {TCP: 80, UDP: 53}

# Of the director's devices, of hosts on the cables, and of the next router on
# the servers' side, which gets what the director does not take for its own.
CLIENT_DEV, SERVER_DEV = "02:00:00:00:00:0c", "02:00:00:00:00:05"
ROUTER = "10.10.0.9"
MACS = {CLIENT: "02:00:00:00:01:02", ROUTER: "02:00:00:00:02:09",
        **{ip: f"02:00:00:00:02:{ip.split('.')[-1]:0>2}" for ip in SERVERS}}
NEIGHBOURS = [f"192.0.2.{i}" for i in range(3, 10)]     # of the client, behind its MAC
