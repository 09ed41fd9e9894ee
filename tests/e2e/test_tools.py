# SPDX-License-Identifier: GPL-2.0
"""What operators type: ours and Debian's ipvsadm, modprobe, /proc."""

import re

from e2e.conftest import LIPS, RS1, RS2, VIP
from lib import lab

SVC = f"{VIP}:80"


def saved():
    return lab.ipvsadm("-S", "-n").stdout


def test_save_clear_restore_is_the_same(director):
    """Everything that can be said comes back, LIPs and the pool included."""
    lab.ipvsadm("-R", stdin=f"""\
-A -t {SVC} -s wrr
-P -t {SVC} -z {LIPS}
-a -t {SVC} -r {RS1}:80 -b -w 3 -x 2000 -y 1000
-a -t {SVC} -r {RS2}:8080 -b -w 0
-A -u {VIP}:53 -s lc
-a -u {VIP}:53 -r {RS1}:53 -b
-A -t {VIP}:443 -s wlc
-P -z 10.99.0.1
""")
    before = saved()
    assert before.count("\n") == 8, before
    lab.ipvsadm("-C")
    assert saved() == ""
    lab.ipvsadm("-R", stdin=before)
    assert saved() == before


EVERY_OPTION = [
    f"-A -t {VIP}:0 -s rr -p 360",
    f"-A -t {VIP}:80 -s wrr -p 100 -M 255.255.255.0 -V 77",
    f"-A -t {VIP}:443 -s sh -b sh-fallback,sh-port",
    f"-A -t {VIP}:444 -s mh -b mh-fallback,mh-port -V 2147483",
    f"-A -t {VIP}:445 -s rr -j auto --synproxy-offer mss=1400,wscale=0,sack=1,timestamp=0,ttl=255",
    *(f"-A -t {VIP}:{1000 + i} -s {name}" for i, name in enumerate(
        "rr wrr lc wlc lblc lblcr dh sh mh sed nq fo ovf twos".split())),
    f"-A -u {VIP}:53 -s lc -o",
    f"-A -u {VIP}:54 -s lc -p 5 -o",
    "-A -f 7 -s wlc -p 10 -M 255.255.0.0",
    "-A -f 4294967295 -s nq -o -V 5",
    f"-a -t {VIP}:0 -r {RS1}:0 -b -w 1",
    f"-a -t {VIP}:80 -r {RS1}:80 -b -w 3 -x 2000 -y 1000",
    f"-a -t {VIP}:80 -r {RS2}:8080 -b -w 0",
    f"-a -u {VIP}:53 -r {RS1}:53 -b -w 65535",
    f"-a -f 7 -r {RS1}:0 -b -w 1",
    f"-a -f 4294967295 -r {RS2}:99 -b -w 1",
    f"-P -t {VIP}:80 -z 10.99.0.1",
    "-P -f 7 -z 10.99.0.2",
    "-P -z 10.99.0.3",
]


def test_save_and_restore_every_option(director):
    """Of every kind of service: each line comes out as it went in, round and round."""
    lab.ipvsadm("-R", stdin="\n".join(EVERY_OPTION) + "\n")
    before = saved()
    assert sorted(before.splitlines()) == sorted(EVERY_OPTION)
    for _ in range(2):
        lab.ipvsadm("-C")
        lab.ipvsadm("-R", stdin=before)
        assert saved() == before
    lab.ipvsadm("-C")


def test_stock_ipvsadm_lists_and_edits(web):
    """Debian's ipvsadm, unmodified: listing, editing, statistics, its own dests."""
    listed = lab.ipvsadm("-Ln", stock=True).stdout
    assert "size=4194304" in listed
    assert re.search(rf"-> {re.escape(RS1)}:80 +Masq +1 ", listed), listed
    lab.ipvsadm("-e", "-t", SVC, "-r", f"{RS1}:80", "-m", "-w", "7", stock=True)
    lab.ipvsadm("-E", "-t", SVC, "-s", "wlc", stock=True)
    assert re.search(rf"-> {re.escape(RS1)}:80 +FullNat +7 ", lab.ipvsadm("-Ln").stdout)
    for view in (("--stats",), ("--rate",), ("--thresholds",), ("--timeout",), ("-c",)):
        lab.ipvsadm("-Ln", *view, stock=True)
    lab.ipvsadm("-Z", stock=True)
    lab.ipvsadm("--set", "100", "50", "25", stock=True)
    assert "100 50 25" in lab.ipvsadm("-L", "--timeout", stock=True).stdout
    lab.ipvsadm("-d", "-t", SVC, "-r", f"{RS1}:80", stock=True)
    lab.ipvsadm("-A", "-t", f"{VIP}:81", "-s", "rr", stock=True)
    lab.ipvsadm("-D", "-t", f"{VIP}:81", stock=True)


def test_stock_masq_means_fullnat_where_it_is_told_so(director):
    """net.ipv4.vs.fullnat_masq: stock tools can add dests, too."""
    lab.ipvsadm("-A", "-t", SVC, "-s", "rr")
    add = ("-a", "-t", SVC, "-r", f"{RS1}:80", "-m")
    lab.ipvsadm(*add, stock=True)
    assert re.search(r":80 +Masq +1 ", lab.ipvsadm("-Ln").stdout)
    lab.ipvsadm("-d", *add[1:-1], stock=True)
    lab.sh("sysctl", "-qw", "net.ipv4.vs.fullnat_masq=1", ns="director")
    lab.ipvsadm(*add, stock=True)
    assert "FullNat" in lab.ipvsadm("-Ln").stdout


def test_errors_are_sentences(director):
    """What the kernel has to say reaches the operator."""
    lab.ipvsadm("-A", "-t", SVC, "-s", "rr")
    for args, sentence in (
            (("-A", "-t", f"{VIP}:81", "-s", "nope"), "No such scheduler"),
            (("-A", "-t", "[fe80::1]:80", "-s", "rr"), "link-local"),
            (("-A", "-u", f"{VIP}:82", "-s", "rr", "-j", "enable"), "UDP has no SYN"),
            (("-P", "-t", SVC, "-z", "192.0.2.1"), "/32"),
            (("-P", "-t", SVC, "-z", "224.0.0.9"), "unicast"),
            (("-a", "-t", SVC, "-r", f"{VIP}:80", "-b"), "VIP"),
            (("-a", "-t", SVC, "-r", f"{RS1}:80", "-i"), "Tunnel is not available")):
        done = lab.ipvsadm(*args, check=False)
        assert done.returncode, args
        assert sentence in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert lab.ipvsadm("-S", "-n").stdout == f"-A -t {SVC} -s rr\n"


def test_lip_that_nobody_answers_for_warns(director):
    """Added all the same, with a word of warning."""
    lab.ipvsadm("-A", "-t", SVC, "-s", "rr")
    done = lab.ipvsadm("-P", "-t", SVC, "-z", "10.99.0.77")
    assert "ARP" in done.stderr
    assert "10.99.0.77" in lab.laddrs()[SVC]


def test_in_tree_ip_vs_is_refused_while_we_are_there(director):
    """By the loader, without a warning; and the other way round."""
    refused = lab.sh("modprobe", "ip_vs", check=False)
    assert refused.returncode
    assert "ip_vs_fullnat" in lab.out("sh", "-c", "dmesg | grep 'duplicate symbol' | tail -n 1")
    lab.unload()
    lab.sh("modprobe", "ip_vs")
    try:
        refused = lab.sh("insmod", lab.MODULE, check=False)
        assert refused.returncode
        assert "WARNING" not in lab.out("dmesg")
    finally:
        lab.sh("rmmod", "ip_vs")
    lab.load()


def test_module_needs_no_conntrack(module):
    """Neither nf_conntrack nor ip_vs."""
    depends = lab.out("modinfo", "-F", "depends", lab.MODULE).strip()
    lab.figure(f"modinfo: the module depends on {depends or 'nothing'}")
    assert not re.search("conntrack|ip_vs|nf_nat", depends)


def test_connection_is_at_most_256_bytes(module):
    """As the slab allocator sees it, on a kernel that does not add to it."""
    if lab.SLOW > 1:
        return  # lockdep and KASAN make every spinlock and object larger
    row = lab.out("grep", "^fnat_conn ", "/proc/slabinfo").split()  # needs slab_nomerge
    lab.figure(f"slabinfo: a connection takes {row[3]} bytes")
    assert int(row[3]) <= 256
