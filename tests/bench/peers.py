# SPDX-License-Identifier: GPL-2.0
"""What the bench compares: ways to bring a packet through one Linux director.

Each sets up what it needs in a fresh director; every one gets the kindest
configuration we know (tables of 2^20 entries unless asked for defaults, SNAT
that may keep the client's port).
"""

import pathlib

import director
from director import RS, VIP
from lib import lab
from lib.netlink import Family, attr, be16, ip, nest, number, string, u16, u32

# Of the family IPVS; see include/uapi.
SET_SERVICE, GET_INFO, SERVICE, FEATURES, SYNPROXY_BIT = 2, 15, 1, 64, 1 << 4
HOOK = """table ip empty { chain pre {
    type filter hook prerouting priority -201; policy drop; }; }"""
DROP = """table netdev zero { chain ingress {
    type filter hook ingress devices = { c0, s0 } priority 0; policy drop; }; }"""
NAT = """table ip lb {{
    chain pre {{ type nat hook prerouting priority dstnat;
        ip daddr {vip} meta l4proto {{ tcp, udp }} th dport 80 dnat to {rs}:80; }}
    chain post {{ type nat hook postrouting priority srcnat;
        ip daddr {rs} snat to {lips}; }}
}}"""
FLOWTABLE = """table ip lb {
    flowtable ft { hook ingress priority 0; devices = { c0, s0 }; }
    chain forw { type filter hook forward priority 0;
        ct state established meta l4proto { tcp, udp } flow add @ft; }
}"""
SNAT = """table ip lb {{
    chain post {{ type nat hook postrouting priority srcnat;
        ip daddr {rs} snat to {lips}; }}
}}"""
SYNPROXY = """table ip lb {{
    chain raw {{ type filter hook prerouting priority raw;
        iif c0 ip daddr {vip} tcp dport 80 tcp flags syn / fin,syn,rst,ack notrack; }}
    chain inp {{ type filter hook input priority 0;
        ip daddr {vip} tcp dport 80 ct state invalid,untracked
            synproxy mss 1460 wscale 7 timestamp sack-perm;
        ip daddr {vip} tcp dport 80 ct state invalid drop; }}
    chain pre {{ type nat hook prerouting priority dstnat; }}
    chain out {{ type nat hook output priority -100;
        ip daddr {vip} tcp dport 80 dnat to {rs}:80; }}
    chain post {{ type nat hook postrouting priority srcnat;
        ip daddr {rs} snat to {lips}; }}
}}"""


DEFAULTS = {}                   # of conntrack, as this kernel had them


class Cannot(Exception):
    """A peer cannot do what was asked; says why."""


def fill(rules, local):
    """RULES with addresses put in."""
    lips = director.lips(local)
    assert local <= 250 or "lips" not in rules
    span = lips[0] if local == 1 else f"{lips[0]}-{lips[-1]}"
    return rules.format(vip=VIP, rs=RS, lips=span)


def conntrack(fair):
    """Tables of 2^20, or the defaults as they were; nothing times out meanwhile."""
    for name, kind in (("buckets", 1 << 20), ("max", 8 << 20)):
        path = pathlib.Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}")
        default = DEFAULTS.setdefault(name, path.read_text())
        path.write_text(f"{kind}\n" if fair else default)
    lab.sh("sysctl", "-qw", *(f"net.netfilter.nf_{name}=3600" for name in (
        "conntrack_udp_timeout", "conntrack_udp_timeout_stream", "flowtable_udp_timeout")),
           ns="director")


def drop_setup(local, fair):
    """The zero line."""
    director.nft(DROP)


def forward_setup(local, fair):
    """Nothing but routes."""


def nft_setup(local, fair):
    """nft dnat + snat."""
    director.nft(fill(NAT, local))
    conntrack(fair)


def flowtable_setup(local, fair):
    """The same, and established flows by way of a flowtable."""
    nft_setup(local, fair)
    director.nft(FLOWTABLE)


def synproxy_setup(local, fair):
    """nft's SYN proxy in front of the same."""
    director.nft(fill(SYNPROXY, local))
    conntrack(fair)
    lab.sh("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0", "net.ipv4.tcp_syncookies=1",
           "net.ipv4.tcp_timestamps=1", ns="director")


def ipvs_setup(local, fair):
    """In-tree IPVS, Masq."""
    director.modprobe("ip_vs", *(["conn_tab_bits=20"] if fair else []))
    director.modprobe("ip_vs_rr")
    for kind in ("-t", "-u"):
        lab.ipvsadm("-A", kind, f"{VIP}:80", "-s", "rr", stock=True)
        lab.ipvsadm("-a", kind, f"{VIP}:80", "-r", f"{RS}:80", "-m", stock=True)
    lab.ipvsadm("--set", "900", "120", "3600", stock=True)


def ipvs_snat_setup(local, fair):
    """In-tree IPVS with conntrack, and SNAT after it."""
    ipvs_setup(local, fair)
    lab.sh("sysctl", "-qw", "net.ipv4.vs.conntrack=1", ns="director")
    director.nft(fill(SNAT, local))
    conntrack(fair)


def ours_setup(local, fair, **params):
    """This module, loaded with PARAMS."""
    lab.load(**params)
    for kind in ("-t", "-u"):
        lab.ipvsadm("-A", kind, f"{VIP}:80", "-s", "rr")
        for lip in director.lips(local):
            lab.ipvsadm("-P", kind, f"{VIP}:80", "-z", lip)
        lab.ipvsadm("-a", kind, f"{VIP}:80", "-r", f"{RS}:80", "-b")
    lab.ipvsadm("--set", "900", "120", "3600")


def lookahead_setup(always):
    """The same, but looking ahead ALWAYS or never, however many connections there are."""
    def setup(local, fair):
        ours_setup(local, fair)
        lab.sh("sysctl", "-qw", f"net.ipv4.vs.fullnat_lookahead={always}", ns="director")
    return setup


PEERS = {
    "drop": ("dropped at netdev ingress", drop_setup, True),
    "hook-accept": ("an empty PRE_ROUTING hook", lambda local, fair:
                    director.insmod("bench_hook"), True),
    "hook-drop": ("dropped at PRE_ROUTING", lambda local, fair: director.nft(HOOK), True),
    "forward": ("plain forwarding", forward_setup, True),
    "flowtable": ("nft flowtable, full NAT", flowtable_setup, True),
    "nft": ("nft dnat + snat", nft_setup, True),
    "nft-defaults": ("nft dnat + snat, defaults", nft_setup, False),
    "ipvs": ("IPVS NAT", ipvs_setup, True),
    "ipvs-defaults": ("IPVS NAT, defaults", ipvs_setup, False),
    "ipvs-snat": ("IPVS NAT + conntrack + SNAT", ipvs_snat_setup, True),
    "ipvs-snat-defaults": ("IPVS NAT + conntrack + SNAT, defaults", ipvs_snat_setup, False),
    "synproxy": ("nft synproxy", synproxy_setup, True),
    "haproxy": ("haproxy, TCP mode", None, True),
    "nginx": ("nginx stream", None, True),
    "ours": ("ours", ours_setup, True),
    "ours-ahead": ("ours, looking ahead", lookahead_setup(1), True),
    "ours-blind": ("ours, never looking ahead", lookahead_setup(0), True),
    "ours-synproxy": ("ours, SYN proxy", None, True),
}


def set_up(name, local=1, ready=lambda: None, link=director.veths):
    """A fresh director that works the way of NAME, with LOCAL LIPs and devices by LINK.

    READY is called when all is there but what is measured.
    """
    director.make(local, link)
    clear()
    ready()
    PEERS[name][1](local, PEERS[name][2])


def clear():
    """No load balancer's module stays; connections of a gone director take time to go."""
    def gone():
        director.modprobe("-qr", "ip_vs_rr", "ip_vs", check=False)
        for module in ("ip_vs_fullnat", "bench_hook"):
            lab.sh("rmmod", module, check=False)
        return not any(pathlib.Path(f"/sys/module/{m}").exists()
                       for m in ("ip_vs", "ip_vs_fullnat", "bench_hook"))
    lab.wait_until("the modules are gone", gone, 60, 0.2)


def has_synproxy():
    """Whether our module, which is loaded, says that it has a SYN proxy."""
    [(_, info)] = Family().request(GET_INFO)
    return bool(number(info.get(FEATURES, b"")) & SYNPROXY_BIT)


def protect():
    """Put our SYN proxy before the service; -E leaves all else as it is."""
    with director.entered():
        Family().request(SET_SERVICE, nest(
            SERVICE, attr(1, u16(2)), attr(2, u16(6)), attr(3, ip(VIP)), attr(4, be16(80)),
            attr(6, string("rr")), attr(7, u32(0) + u32(-1)), attr(8, 0), attr(9, u32(-1)),
            attr(64, 1)))
