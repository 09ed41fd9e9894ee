# SPDX-License-Identifier: GPL-2.0
"""What Debian's ipvsadm saves of our module, it restores.

It knows Masq for FULLNAT, so net.ipv4.vs.fullnat_masq is 1 here.
"""

import re

import pytest

from e2e.conftest import RS1, RS2, VIP
from lib import lab

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "twos", "dh", "sh", "mh",
              "lblc", "lblcr")


def block(service, options):
    """The lines of SERVICE (-t or -u, and where) with two servers, as -S prints them."""
    return (f"-A {service} {options}\n"
            f"-a {service} -r {RS1}:80 -m -w 3\n"
            f"-a {service} -r {RS2}:8080 -m -w 0\n")


def any_port(rules):
    """RULES with servers that are spoken to on whatever port the client chose."""
    return re.sub(r"(-r [\d.]+):\d+", r"\1:0", rules)


# What stock ipvsadm 1.31 can say, in the words it saves it in.
PLAIN = [block(f"{proto} {VIP}:80", f"-s {name}")
         for proto in ("-t", "-u") for name in SCHEDULERS]
FLAGS = [block(f"-t {VIP}:80", f"-s {name} -b {flags}")
         for name in ("sh", "mh")
         for flags in (f"{name}-fallback", f"{name}-port", f"{name}-fallback,{name}-port")]
EDGES = [
    f"-A -t {VIP}:1 -s rr\n",                                           # no server
    f"-A -u {VIP}:65535 -s rr\n-a -u {VIP}:65535 -r {RS1}:65535 -m -w 65535\n",
    f"-A -t {VIP}:80 -s rr\n-a -t {VIP}:80 -r {RS1}:1 -m -w 1\n",
    "".join(block(f"{proto} {VIP}:{port}", "-s wlc")
            for proto, port in (("-t", 53), ("-u", 53), ("-t", 80))),
]

PERSISTENT = [
    block(f"-t {VIP}:80", "-s rr -p 360"),
    block(f"-t {VIP}:80", "-s sh -p 1 -b sh-port"),
    block(f"-u {VIP}:80", "-s wlc -p 86400 -M 255.255.255.0"),
    block(f"-t {VIP}:80", "-s rr -p 60 -M 128.0.0.0"),
]
MARKS = [any_port(block("-f 1", "-s rr")), any_port(block("-f 2147483647", "-s wrr -p 300"))]
ALL_PORTS = [any_port(block(f"{proto} {VIP}:0", "-s rr -p 360")) for proto in ("-t", "-u")]
ONE_PACKET = [block(f"-u {VIP}:80", "-s rr -o")]

CASES = [*PLAIN, *FLAGS, *EDGES, *PERSISTENT, *MARKS, *ALL_PORTS, *ONE_PACKET]


@pytest.fixture
def masq(director):
    """A director on which Masq means FULLNAT."""
    lab.sh("sysctl", "-qw", "net.ipv4.vs.fullnat_masq=1", ns="director")


def stock(*args, **kw):
    """What Debian's ipvsadm prints for ARGS."""
    done = lab.ipvsadm(*args, stock=True, **kw)
    assert not done.stderr, done.stderr
    return done.stdout


def different(got, wanted):
    """The lines that only one of them has."""
    return set(got.splitlines()) ^ set(wanted.splitlines())


def test_every_rule_goes_round(masq):
    """Restored, saved, cleared and restored again: the same words each time."""
    # Every service on an address of its own, so that all are there at once.
    rules = "".join(text.replace(VIP, f"198.51.100.{i}") for i, text in enumerate(CASES, 1))
    stock("-R", stdin=rules)
    saved = stock("-S", "-n")
    assert not different(saved, rules)
    assert saved.count("\n") == rules.count("\n")
    assert lab.ipvsadm("-L", "-n").stdout.count(" FullNat ") == rules.count(" -m ")
    stock("-C")
    assert stock("-S", "-n") == ""
    stock("-R", stdin=saved)
    assert stock("-S", "-n") == saved


def test_thresholds_survive_edits_by_stock(masq):
    """Stock saves no thresholds, but what it sets is there, and ours saves it."""
    stock("-A", "-t", f"{VIP}:80", "-s", "wlc")
    stock("-a", "-t", f"{VIP}:80", "-r", f"{RS1}:80", "-m", "-x", "2000", "-y", "1000")
    line = f"-a -t {VIP}:80 -r {RS1}:80 -b -w 1 -x 2000 -y 1000"
    saved = lab.ipvsadm("-S", "-n").stdout
    assert line in saved.splitlines(), saved
    listed = stock("-L", "-n", "--thresholds")
    assert f"{RS1}:80" in listed and " 2000 " in listed and " 1000 " in listed
    lab.ipvsadm("-C")
    lab.ipvsadm("-R", stdin=saved)
    assert stock("-L", "-n", "--thresholds") == listed
    stock("-e", "-t", f"{VIP}:80", "-r", f"{RS1}:80", "-m", "-x", "0")
    assert "-x" not in lab.ipvsadm("-S", "-n").stdout


def test_timeouts(masq):
    """--set, read back by both tools; 0 leaves what was."""
    for said, kept in ((("100", "50", "25"), "100 50 25"),
                       (("0", "0", "0"), "100 50 25"),
                       (("0", "7", "0"), "100 7 25"),
                       (("2147483", "0", "1"), "2147483 7 1")):
        stock("--set", *said)
        for tool in (True, False):
            told = lab.ipvsadm("-L", "--timeout", stock=tool).stdout
            assert told.strip().endswith(f": {kept}"), told
