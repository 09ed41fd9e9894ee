# SPDX-License-Identifier: GPL-2.0
"""Saving, clearing and restoring the table."""
import ipaddress

from fake_kernel import DEL_LADDR, FLUSH, HAS_SYNPROXY
from ipvsadm import RESTORE, SAVE

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
-A -f 3 -s rr -p 60 -M 255.255.255.0 -o -V 90 -j auto
-P -f 3 -z 10.2.0.9
-A -f 4 -6 -s rr
-P -f 4 -6 -z 2001:db8::1
"""


def test_save_clear_restore(host):
    """Every word of a service, a server and a local address comes back."""
    host.kernel.features |= HAS_SYNPROXY
    host.ok("-R", stdin=SAVED)
    assert host.ok("-Sn") == SAVED
    saved = host.ok("-n", tool=SAVE)
    assert saved == SAVED
    host.ok("", tool=RESTORE, stdin=saved)
    assert host.ok("-Sn") == SAVED
    host.ok("-C")
    assert host.ok("-Sn") == "" and not host.kernel.pool


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
