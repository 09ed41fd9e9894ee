# SPDX-License-Identifier: GPL-2.0
"""What is new of a service: the timeout of its established connections."""
from fake_kernel import (EST_TIMEOUT, HAS_FULLNAT, HAS_LADDR, NEW_SERVICE, SERVICE,
                         SET_SERVICE, u32)
from ipvsadm import VIP


def service_line(host, *views):
    """The line of the only service in a listing."""
    return host.run("-Ln", *views).stdout.splitlines()[3].rstrip()


def test_established_timeout_is_sent_when_given_and_only_then(host):
    """In -A and -E, by either word; 0 is a value like any other."""
    host.table(f"-A -t {VIP} -V 90", f"-E -t {VIP} --est-timeout 2147483",
               f"-E -t {VIP} -s rr", f"-E -t {VIP} --vsestablish-timeout 0",
               "-A -u 10.0.0.1:53")
    sent = [r.attrs[SERVICE].get(EST_TIMEOUT)
            for r in host.kernel.sent(NEW_SERVICE, SET_SERVICE)]
    assert sent == [u32(90), u32(2147483), None, u32(0), None]


def test_established_timeout_is_listed_unless_0(host):
    """In every listing that shows flags, and it survives a plain -E."""
    host.table(f"-A -t {VIP} -s rr -p 60 -V 90", f"-E -t {VIP} -s wrr")
    assert service_line(host) == f"TCP  {VIP} wrr est 90"
    assert service_line(host, "--thresholds").endswith(" est 90")
    host.table(f"-E -t {VIP} -s wrr -V 0")
    assert service_line(host) == f"TCP  {VIP} wrr"


def test_established_timeout_needs_a_kernel_that_has_it(host):
    """A stock kernel, or an ip_vs_fullnat from before, would ignore it silently."""
    host.kernel.features = HAS_FULLNAT | HAS_LADDR
    assert host.fails(f"-A -t {VIP} -V 90") == (
        2, "This ip_vs_fullnat has no established timeout of a service: load a "
           "newer one\n")
    host.kernel.features = None
    assert host.fails(f"-A -t {VIP} -V 90") == (
        2, "This kernel's IPVS has no established timeout of a service: remove "
           "ip_vs and load ip_vs_fullnat\n")
    assert not host.kernel.services
