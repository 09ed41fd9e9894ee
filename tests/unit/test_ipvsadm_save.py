# SPDX-License-Identifier: GPL-2.0
"""Saving, clearing and restoring the table."""
import ipaddress

import pytest

from fake_kernel import (DEL_LADDR, FLUSH, GET_INFO, HAS_OFFER, HAS_SYNPROXY, NEW_DEST, NEW_SERVICE)
from ipvsadm import IPVSADM, RESTORE, SAVE

SAVED = """\
-P -z 10.3.0.1-10.3.0.3
-P -z 10.3.0.5
-P -z 2001:db8::ffff-2001:db8::1:0
-A -t 10.0.0.1:80 -s sh -b sh-port
-P -t 10.0.0.1:80 -z 10.2.0.9
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -b -w 1
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 2 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.1.0.3:80 -i -w 1 --tun-type gue --tun-port 99 --tun-csum -x 7
-A -t [2001:db8::1]:80 -s wlc -p 90 -M 64 -V 2147483 -j enable
-P -t [2001:db8::1]:80 -z 2001:db8::8-2001:db8::9
-a -t [2001:db8::1]:80 -r [2001:db8::10]:80 -b -w 1
-A -f 3 -s rr -p 60 -M 255.255.255.0 -o -V 90 -j auto --synproxy-offer mss=1400,ttl=9
-P -f 3 -z 10.2.0.9
-A -f 4294967295 -6 -s rr
-P -f 4294967295 -6 -z 2001:db8::1
"""


def test_save_clear_restore(host):
    """Every word of a service, a server and a local address comes back."""
    host.kernel.features |= HAS_SYNPROXY | HAS_OFFER
    host.ok("-R", stdin=SAVED)
    assert host.ok("-Sn") == SAVED
    saved = host.ok("-n", tool=SAVE)
    assert saved == SAVED
    host.ok("", tool=RESTORE, stdin=saved)
    assert host.ok("-Sn") == SAVED
    host.ok("-C")
    assert host.ok("-Sn") == "" and not host.kernel.pool


@pytest.mark.parametrize("flags", ["sh -b flag-3", "mh -b mh-port,flag-3", "rr -b flag-3"])
def test_third_flag_of_a_scheduler(host, flags):
    host.table(f"-A -t 10.0.0.1:80 -s {flags}")
    assert host.ok("-Sn") == f"-A -t 10.0.0.1:80 -s {flags}\n"


def test_flags_without_a_word(host):
    status, said = host.fails("-A -t 10.0.0.1:80 -s sh -b ,")
    assert status == 2 and "no scheduler flag" in said


def test_full_disk(host):
    """What was not written is no success."""
    host.table("-A -t 10.0.0.1:80 -s rr")
    done = host.run("-c", f'"{IPVSADM}" -Sn >/dev/full', tool="/bin/sh")
    assert done.returncode == 1 and "No space left" in done.stderr


def test_restore_that_will_not_do(host):
    """What was there before comes back."""
    host.table("-A -t 10.0.0.9:80 -s rr", "-a -t 10.0.0.9:80 -r 10.1.0.1:80 -b")
    before = host.ok("-Sn")
    done = host.run(tool=RESTORE, stdin="-A -t 10.0.0.1:80 -s rr\n"
                                        "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -b -w many\n")
    assert done.returncode and "line 2" in done.stderr and "put back" in done.stderr
    assert host.ok("-Sn") == before


def test_restore_onto_nothing_that_will_not_do(host):
    """There is nothing to put back: what could be restored stays."""
    done = host.run(tool=RESTORE, stdin="-A -t 10.0.0.1:80 -s rr\n-a nonsense\n")
    assert done.returncode and "put back" not in done.stderr
    assert host.ok("-Sn") == "-A -t 10.0.0.1:80 -s rr\n"


def test_restore_onto_a_pool_that_is_partly_there(host):
    host.table("-P -z 10.3.0.2", "-P -z 10.3.0.7")
    host.ok("-R", stdin="-P -z 10.3.0.1-4\n-P -z 10.3.0.7\n")
    assert host.ok("-Sn") == "-P -z 10.3.0.1-10.3.0.4\n-P -z 10.3.0.7\n"
    done = host.run("-P", "-z", "10.3.0.7")
    assert (done.returncode, done.stderr) == (
        255, "Local address already exists: 10.3.0.7 is why\n")


def test_saved_ranges_can_be_restored(host):
    base = ipaddress.ip_address("10.4.0.0")
    for i in range(5000):
        host.kernel.pool[base + i] = (0, 0)
    assert host.ok("-Sn") == ("-P -z 10.4.0.0-10.4.15.255\n"
                              "-P -z 10.4.16.0-10.4.19.135\n")
    host.ok("-C")
    assert not host.kernel.pool


def test_clear_without_pool_deletes_nothing(host):
    host.ok("-C")
    assert len(host.kernel.sent(FLUSH)) == 1
    assert not host.kernel.sent(DEL_LADDR)


TABLE = """\
# what was here before

-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.1.0.1:80 -b -w 1
"""


@pytest.mark.parametrize("line, status, said", [
    ("-A -t 10.0.0.1:80", 255, "Service already exists\n"),
    ("-d -t 10.0.0.1:80 -r 10.1.0.9:80", 255, "No such destination\n"),
    ("-a -t 10.0.0.1:80 -r 10.1.0.2:80 -b --frob", 255, "--frob: unknown option\n"),
    ("-P -z 10.3.0.1-0", 2, "illegal local address `10.3.0.1-0': the range ends before "
                            "it begins\n"),
    ("-A", 2, "You need to supply the 'service-address' option for the 'add-service' "
              "command\n"),
    ("--frob", 255, "Try `{0} -h' or '{0} --help' for more information.\n")])
def test_restore_says_which_line_failed(host, line, status, said):
    """And fails as a whole; only what can't be read stops it, as ever."""
    done = host.run("-R", stdin=TABLE + line + "\n-A -u 10.0.0.1:53 -s rr\n")
    said = said.format(done.args[0])
    assert (done.returncode, done.stderr) == (status, f"line 5: {said}")
    goes_on = "already" in said or "No such" in said or "unknown option" in said
    assert len(host.kernel.services) == (2 if goes_on else 1)


def test_restore_numbers_the_lines_of_the_file(host):
    """The script too, which leaves comments to ipvsadm -R."""
    host.kernel.said[NEW_DEST] = (0, "nobody answers ARP")
    done = host.run(tool=RESTORE, stdin=TABLE)
    assert (done.returncode, done.stderr) == (0, "line 4: Warning: nobody answers ARP\n")
    assert len(host.kernel.services) == 1


def test_restore_takes_a_last_line_without_its_end(host):
    """With and without blanks there, after a comment behind the words."""
    host.ok("-R", stdin="-A -f 1 -s rr # one\n-A -f 2 -s rr")
    host.ok("-R", stdin="-A -f 3 -s rr\n-A -f 4 -s rr  ")
    assert len(host.kernel.services) == 4


def test_restore_asks_the_kernel_once_per_line(host):
    """One socket, one look-up of the family and one GET_INFO for all of them."""
    host.ok("-R", stdin="".join(
        [f"-A -f {n} -s rr\n-a -f {n} -r 10.1.0.1 -b\n" for n in range(1, 201)]))
    assert host.kernel.sockets == 1
    assert len(host.kernel.requests) == 402
    assert len(host.kernel.sent("resolve")) == len(host.kernel.sent(GET_INFO)) == 1
    assert len(host.kernel.sent(NEW_SERVICE)) == len(host.kernel.sent(NEW_DEST)) == 200


def test_a_listing_of_many_services_uses_one_socket(host):
    """Requests with an answer, those without and dumps, one behind the other."""
    host.ok("-R", stdin="".join(f"-A -f {n} -s rr\n" for n in range(1, 51)))
    host.kernel.sockets = 0
    assert len(host.ok("-Ln").splitlines()) == 53
    assert len(host.ok("-G -f 7").splitlines()) == 2
    assert host.kernel.sockets == 2
