# SPDX-License-Identifier: GPL-2.0
"""What ipvsadm sends for services and servers, and what the kernel says to it."""
import errno

import pytest

from fake_kernel import (DEST, GET_LADDR, GET_SERVICE, DEL_LADDR, NEW_DEST, NEW_LADDR,
                         be16, u32)
from ipvsadm import VIP

def test_fullnat_on_the_wire_and_in_the_list(host):
    host.table(f"-A -t {VIP} -s sh -b sh-port",
               f"-a -t {VIP} -r 10.1.0.1:8080 -b -w 3",
               f"-a -t {VIP} -r 10.1.0.2 --fullnat",
               f"-ab -t {VIP} -r 10.1.0.3",
               f"--add-server -t {VIP} -r 10.1.0.4 -m")
    dests = [r.attrs[DEST] for r in host.kernel.sent(NEW_DEST)]
    assert [d[3] for d in dests] == [u32(5), u32(5), u32(5), u32(0)]
    assert [d[2] for d in dests] == [be16(port)
                                     for port in (8080, 80, 80, 80)]
    lines = host.ok("-Ln").splitlines()
    assert lines[3] == f"TCP  {VIP} sh (sh-port)"
    assert [line.split()[2] for line in lines[4:]] == ["FullNat"] * 3 + ["Masq"]
    assert lines[4].rstrip() == \
        "  -> 10.1.0.1:8080                FullNat 3      0          0"


def test_lists_are_sorted_as_numbers(host):
    """Addresses and marks that differ by more than an int holds, too."""
    vips = ["10.0.0.1", "192.0.2.1", "255.0.0.1"]
    six = ["[2001:db8::1]", "[fe80::1]"]
    marks = ["1", "2147483648", "4294967295"]
    host.table(*(f"-A -t {vip}:80" for vip in vips[::-1] + six[::-1]),
               *(f"-A -f {mark}" for mark in marks[::-1]),
               *(f"-a -f 1 -r {vip}:80 -m" for vip in vips[::-1]))
    words = [line.split()[1] for line in host.ok("-Ln").splitlines()[3:]]
    assert words == [f"{vip}:80" for vip in vips + six] + [
        "1", *(f"{vip}:80" for vip in vips), *marks[1:]]


BIG = [2**63 + i for i in range(10)]


@pytest.mark.parametrize("view, numbers", [("--stats", BIG[:5]), ("--rate", BIG[5:])])
def test_64_bit_numbers_of_service_and_server(host, view, numbers):
    """Exact to the last digit, each in its column."""
    host.table(f"-A -t {VIP}", f"-a -t {VIP} -r 10.1.0.1 -m")
    host.kernel.stats = host.kernel.dest_stats = dict(enumerate(BIG, 1))
    lines = host.ok(f"-Ln {view} --exact").splitlines()
    assert lines[3].split()[-5:] == lines[4].split()[-5:] == list(map(str, numbers))


@pytest.mark.parametrize("view", ["--stats", "--rate"])
def test_large_numbers_are_rounded_for_servers_too(host, view):
    """In columns that line up."""
    host.table(f"-A -t {VIP}", f"-a -t {VIP} -r 10.1.0.1 -m")
    host.kernel.stats = host.kernel.dest_stats = dict.fromkeys(range(1, 11), 5000000001)
    lines = host.ok(f"-Ln {view}").splitlines()
    assert lines[3][33:] == lines[4][33:] == "    5000M" * 5


@pytest.mark.parametrize("line, cmds", [
    ("-P -z 10.2.0.1", [NEW_LADDR]), ("-Q -z 10.2.0.1", [DEL_LADDR]),
    ("-G", [GET_LADDR]), (f"-G -t {VIP}", [GET_LADDR, GET_SERVICE]),
    (f"-a -t {VIP} -r 10.1.0.1 -b", [NEW_DEST])])
def test_stock_kernel_is_told_nothing_of_ours(host, line, cmds):
    host.kernel.features = None
    done = host.run(*line.split())
    assert done.returncode == 2
    assert done.stderr == ("This kernel's IPVS has no FULLNAT: remove ip_vs "
                           "and load ip_vs_fullnat\n")
    assert not host.kernel.sent(*cmds)


def test_stock_kernel_is_served_as_ever(host):
    host.kernel.features = None
    host.table(f"-A -t {VIP} -s rr", f"-a -t {VIP} -r 10.1.0.1 -m")
    assert host.ok("-Sn") == (f"-A -t {VIP} -s rr\n"
                              f"-a -t {VIP} -r 10.1.0.1:80 -m -w 1\n")
    host.table("-C")
    assert not host.kernel.services


@pytest.mark.parametrize("cap", [False, True])
@pytest.mark.parametrize("code, sentence, text", [
    (errno.EEXIST, "10.2.0.1 is there",
     "Local address already exists: 10.2.0.1 is there"),
    (errno.ESRCH, "", "Service not defined"),
    (errno.EINVAL, "10.2.0.1 is the VIP", "Invalid argument: 10.2.0.1 is the VIP"),
    (errno.EINVAL, "", "Invalid operation.  Possibly wrong module version, "
                       "address not unicast, ..."),
    (errno.EADDRINUSE, "%s%n", "Address already in use: %s%n"),
    (errno.ENOSPC, "x" * 900, "No space left on device: " + "x" * 255)])
def test_sentence_follows_the_error(host, cap, code, sentence, text):
    host.kernel.cap = cap
    host.kernel.said[NEW_LADDR] = (code, sentence)
    done = host.run("-P", "-t", VIP, "-z", "10.2.0.1")
    assert (done.returncode, done.stderr) == (255, text + "\n")


def test_sentence_of_success_is_a_warning(host):
    host.kernel.said[NEW_LADDR] = (0, "nobody answers ARP for 10.2.0.1")
    done = host.run("-P", "-z", "10.2.0.1")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "", "Warning: nobody answers ARP for 10.2.0.1\n")


def test_dump_that_fails_at_its_end(host):
    host.table("-P -z 10.2.0.1")
    host.kernel.dump_error = (errno.ENOMEM, "out of skbs")
    done = host.run("-G")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Cannot allocate memory: out of skbs\n"
