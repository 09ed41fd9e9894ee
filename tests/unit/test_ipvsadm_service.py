# SPDX-License-Identifier: GPL-2.0
"""What is new of a service: SYN proxy, timeout of its established connections."""
import pytest

from fake_kernel import (ACTIVE, EST_TIMEOUT, HAS_FULLNAT, HAS_LADDR, HAS_OFFER,
                         HAS_PROXY_STATS, HAS_SYNPROXY, NEW_SERVICE, OFFER, PROXY_STATS,
                         SERVICE, SET_SERVICE, SYNPROXY, u32, u64)
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


def test_synproxy_is_sent_when_given_and_only_then(host):
    """In -A and -E; a plain -E leaves it as it is."""
    host.kernel.features |= HAS_SYNPROXY
    host.table(f"-A -t {VIP} -j enable", f"-E -t {VIP} --synproxy auto",
               f"-E -t {VIP} -s rr", f"-E -t {VIP} -j disable", "-A -u 10.0.0.1:53")
    sent = [r.attrs[SERVICE].get(SYNPROXY)
            for r in host.kernel.sent(NEW_SERVICE, SET_SERVICE)]
    assert sent == [u32(1), u32(2), None, u32(0), None]


@pytest.mark.parametrize("mode, shown", [("enable", " synproxy"), ("disable", ""),
                                         ("auto", " synproxy auto")])
def test_synproxy_is_listed_and_saved_unless_off(host, mode, shown):
    """As a flag word, and as the option that restores it."""
    host.kernel.features |= HAS_SYNPROXY
    host.table(f"-A -t {VIP} -s rr -j {mode} -V 5", f"-E -t {VIP} -s wrr")
    assert service_line(host) == f"TCP  {VIP} wrr est 5{shown}"
    saved = "" if mode == "disable" else f" -j {mode}"
    assert host.ok("-Sn") == f"-A -t {VIP} -s wrr -V 5{saved}\n"


def test_synproxy_shows_what_auto_does(host):
    """At rest or active, which nothing saves; the others say it themselves."""
    host.kernel.features |= HAS_SYNPROXY
    host.table(f"-A -t {VIP} -s rr -j auto")
    for active, shown in ((0, "auto"), (1, "auto active")):
        host.kernel.says[ACTIVE] = u32(active)
        assert service_line(host) == f"TCP  {VIP} rr synproxy {shown}"
        assert host.ok("-Sn") == f"-A -t {VIP} -s rr -j auto\n"
    host.table(f"-E -t {VIP} -s rr -j enable")
    assert service_line(host) == f"TCP  {VIP} rr synproxy"


@pytest.mark.parametrize("words, shown", [
    ("mss=1400,wscale=0,sack=1,timestamp=0,ttl=255", None), ("ttl=9,mss=216", "mss=216,ttl=9"),
    ("default", "")])
def test_offer_is_listed_and_saved(host, words, shown):
    """In one order; kept by an -E without it, given back by default."""
    host.kernel.features |= HAS_OFFER
    shown = words if shown is None else shown
    host.table(f"-A -t {VIP} -s rr --synproxy-offer {words}", f"-E -t {VIP} -s wrr")
    assert service_line(host) == f"TCP  {VIP} wrr" + (shown and f" offer {shown}")
    assert host.ok("-Sn") == f"-A -t {VIP} -s wrr" + (shown and f" --synproxy-offer {shown}") + "\n"
    host.table(f"-E -t {VIP} -s rr --synproxy-offer default")
    assert host.kernel.sent(SET_SERVICE)[-1].attrs[SERVICE][OFFER] == b""
    assert host.ok("-Sn") == f"-A -t {VIP} -s rr\n"


def test_offer_needs_a_kernel_that_has_it(host):
    """One from before would ignore it silently."""
    assert host.fails(f"-A -t {VIP} --synproxy-offer ttl=9") == (
        2, "This ip_vs_fullnat has no offer of a service's own: load a newer one\n")


def test_synproxy_stats(host):
    """A view of its own, without servers; large numbers as in others, exact ones if asked for."""
    host.kernel.features |= HAS_SYNPROXY | HAS_PROXY_STATS
    host.kernel.says = {ACTIVE: u32(1), PROXY_STATS: {1: u64(123456789012), 2: u64(2), 3: u64(3)}}
    host.table(f"-A -t {VIP} -j auto", f"-a -t {VIP} -r 10.1.0.1 -b", "-A -f 7 -j enable",
               "-A -u 10.0.0.1:53")
    title, *lines = host.ok("-L -n --synproxy-stats").splitlines()[1:]
    assert title.split()[-4:] == ["SYNproxy", "syn_cnt", "ok_ack", "bad_ack"]
    assert [line.split() for line in lines] == [
        ["TCP", VIP, "auto", "active", "123G", "2", "3"],
        ["UDP", "10.0.0.1:53", "disable", "123G", "2", "3"],
        ["FWM", "7", "enable", "123G", "2", "3"]]
    assert len({line.rindex("3") for line in (title.replace("bad_ack", "bad_ac3"), *lines)}) == 1
    assert "123456789012 " in host.ok(f"-L -t {VIP} --synproxy-stats --exact")


def test_synproxy_stats_need_a_kernel_that_has_them(host):
    """Zeros would be a lie."""
    assert host.fails("-L --synproxy-stats") == (
        2, "This ip_vs_fullnat has no statistics of the SYN proxy: load a newer one\n")


def test_synproxy_before_the_kernel_has_it(host):
    """The kernel answers in its own words; a stock one is not asked."""
    assert host.fails(f"-A -t {VIP} -j auto") == (
        255, "Operation not supported: no SYN proxy yet\n")
    host.kernel.features = None
    assert host.fails(f"-E -t {VIP} -j auto") == (
        2, "This kernel's IPVS has no SYN proxy: remove ip_vs and load "
           "ip_vs_fullnat\n")
    assert len(host.kernel.sent(NEW_SERVICE, SET_SERVICE)) == 1


def test_edit_takes_away_what_it_does_not_say_except_ours(host):
    """Upstream's words fall back to their defaults, -V and -j stay."""
    host.kernel.features |= HAS_SYNPROXY
    host.table("-A -u 10.0.0.1:53 -s sh -b sh-port -p 60 -M 255.255.0.0 --pe sip -o "
               "-V 5 -j auto", "-E -u 10.0.0.1:53 -p 90")
    assert host.ok("-Sn") == "-A -u 10.0.0.1:53 -s wlc -p 90 -V 5 -j auto\n"
    host.table("-E -u 10.0.0.1:53 -s rr")
    assert host.ok("-Sn") == "-A -u 10.0.0.1:53 -s rr -V 5 -j auto\n"


def test_services_by_mark_round_trip(host):
    """Of both families, with every word of a service and local addresses."""
    saved = """\
-A -f 7 -s rr -p 60 -M 255.255.0.0 --pe sip -o -V 90
-P -f 7 -z 10.2.0.1-10.2.0.9
-a -f 7 -r 10.1.0.1:0 -b -w 1
-A -f 7 -6 -s mh -p 60 -M 64 -o -b mh-port
-P -f 7 -6 -z 2001:db8::1
-a -f 7 -6 -r [2001:db8::a]:0 -b -w 1
"""
    host.ok("-R", stdin=saved)
    assert host.ok("-Sn") == saved
    host.table("-Q -f 7 -z 10.2.0.1-9", "-Q -f 7 -6 -z 2001:db8::1")
    assert [line.split() for line in host.ok("-G").splitlines()[1:]] == [
        ["FWM:7", "0"], ["FWM:7/ipv6", "0"], ["default", "0"]]
    assert host.ok("-Ln").splitlines()[3] == \
        "FWM  7 rr persistent 60 mask 255.255.0.0 pe sip ops est 90"
