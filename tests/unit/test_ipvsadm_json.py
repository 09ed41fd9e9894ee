# SPDX-License-Identifier: GPL-2.0
"""ipvsadm --json: every listing as one document."""
import errno
import ipaddress
import json
import subprocess

import pytest

from fake_kernel import ACTIVE, HAS_OFFER, HAS_SYNPROXY, PROXY_STATS, u8, u16, u32, u64
from ipvsadm import TOOLS, VIP, compile_c
from test_ipvsadm_conn import MARK, MASQ, PROC, SIX, WEB, list_all

BIG = [2**64 - 2**40 - i for i in range(10)]
NAMES = ["conns", "in_packets", "out_packets", "in_bytes", "out_bytes"]
STATS = {"stats": dict(zip(NAMES, BIG[:5])), "rates": dict(zip(NAMES, BIG[5:]))}
DEST = {"family": "ipv4", "forwarding": "fullnat", "weight": 1, "upper_threshold": 0,
        "lower_threshold": 0, "active_conns": 0, "inactive_conns": 0,
        "persistent_conns": 0, "tunnel": None, **STATS}
SERVICE = {"family": "ipv4", "scheduler": "rr", "scheduler_flags": [],
           "persistence": None, "one_packet": False, "est_timeout": 0,
           "synproxy": "disable", "synproxy_active": False, "synproxy_offer": {},
           "synproxy_stats": {"syn_cnt": 0, "ok_ack": 0, "bad_ack": 0}, **STATS, "destinations": []}


def document(host, line, **kwargs):
    """What ipvsadm LINE --json says; no name may be there twice."""
    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)
    return json.loads(host.ok(f"{line} --json", **kwargs), object_pairs_hook=unique)


@pytest.fixture
def big(host):
    """Numbers that no float holds."""
    host.kernel.features |= HAS_SYNPROXY | HAS_OFFER
    host.kernel.stats = host.kernel.dest_stats = dict(enumerate(BIG, 1))
    return host


def test_services(big):
    """Everything that any view shows, whatever the view; sorted; exact."""
    big.table(
        "-A -t [2001:db8::1]:80 -s mh -p 60 -M 64 -b mh-fallback,mh-port -j auto -V 90 "
        "--synproxy-offer ttl=9,sack=0",
        "-A -f 4294967295 -s rr -p 360 -M 255.255.255.0 -o --pe sip",
        f"-A -t {VIP} -s rr", f"-a -t {VIP} -r 10.1.0.2:8080 -b -w 3 -x 9 -y 5",
        f"-a -t {VIP} -r 10.1.0.1 -i --tun-type gue --tun-port 99 --tun-csum")
    said = document(big, "-L")
    assert said == {"version": "1.2.1", "conn_tab_size": 4096, "synproxy_key_age": None, "services": [
        {**SERVICE, "protocol": "tcp", "address": "10.0.0.1", "port": 80, "destinations": [
            {**DEST, "address": "10.1.0.1", "port": 80, "forwarding": "tunnel",
             "tunnel": {"type": "gue", "port": 99, "checksum": "csum"}},
            {**DEST, "address": "10.1.0.2", "port": 8080, "weight": 3,
             "upper_threshold": 9, "lower_threshold": 5}]},
        {**SERVICE, "protocol": "tcp", "address": "2001:db8::1", "port": 80,
         "family": "ipv6", "scheduler": "mh", "scheduler_flags": ["mh-fallback", "mh-port"],
         "persistence": {"timeout": 60, "netmask": "64", "engine": None},
         "synproxy": "auto", "synproxy_offer": {"sack": 0, "ttl": 9}, "est_timeout": 90},
        {**SERVICE, "fwmark": 4294967295, "one_packet": True,
         "persistence": {"timeout": 360, "netmask": "255.255.255.0", "engine": "sip"}}]}
    for view in ("--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info",
                 "-n", "--exact"):
        assert document(big, f"-L {view}") == said
    assert document(big, f"-L -t {VIP}") == {**said, "services": said["services"][:1]}
    for dest in said["services"][0]["destinations"]:
        assert document(big, "-L --nosort")["services"][2]["destinations"].count(dest) == 1


@pytest.mark.parametrize("mode, says, active", [
    ("auto", 0, False), ("auto", 1, True), ("enable", 1, True), ("enable", None, True),
    ("disable", 0, False)])
def test_synproxy_is_active(host, mode, says, active):
    """As the kernel says; one that does not say so has no auto."""
    host.kernel.features |= HAS_SYNPROXY
    host.kernel.says = {} if says is None else {ACTIVE: u32(says)}
    host.table(f"-A -t {VIP} -j {mode}")
    [service] = document(host, "-L")["services"]
    assert (service["synproxy"], service["synproxy_active"]) == (mode, active)


def test_synproxy_stats(host):
    """Exact."""
    host.kernel.says = {PROXY_STATS: {i: u64(n) for i, n in enumerate(BIG[:3], 1)}}
    host.table(f"-A -t {VIP}")
    assert document(host, "-L")["services"][0]["synproxy_stats"] == dict(
        zip(("syn_cnt", "ok_ack", "bad_ack"), BIG))


def test_connections(host):
    """Filters apply; what a connection has not is null."""
    host.kernel.conns = [WEB, MASQ, MARK, SIX]
    conns = document(host, "-L -c")["connections"]
    assert conns[0] == {
        "protocol": "tcp", "family": "ipv4", "state": "ESTABLISHED", "expires": 90,
        "client": {"address": "203.0.113.7", "port": 40000},
        "virtual": {"address": "10.0.0.1", "port": 80},
        "local": {"address": "10.2.0.1", "port": 1025},
        "destination": {"address": "10.1.0.1", "port": 8080}, "fwmark": None}
    assert conns[1]["local"] is None and conns[2]["fwmark"] == 3
    assert conns[3]["local"] == {"address": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                                 "port": 65535}
    assert document(host, "-L -c -f 3")["connections"] == [conns[2]]


def test_connections_of_a_stock_kernel(host):
    """From /proc, which knows no local address."""
    host.kernel.features = None
    host.conn_file.write_text(PROC)
    first, second = document(host, "-L -c")["connections"]
    assert first == {
        "protocol": "tcp", "family": "ipv4", "state": "ESTABLISHED", "expires": 898,
        "client": {"address": "203.0.113.7", "port": 40000},
        "virtual": {"address": "10.0.0.1", "port": 80}, "local": None,
        "destination": {"address": "10.1.0.1", "port": 8080}, "fwmark": None}
    assert second["destination"] == {"address": "10.1.0.1", "port": 80}
    assert second["client"] == {"address": "2001:db8::7", "port": 5}


def test_local_addresses(host):
    """Of each service and of the default pool, or of one service."""
    host.table("-A -u 10.0.0.1:53", "-A -f 2 -6", "-P -f 2 -6 -z 2001:db8::9",
               "-P -z 10.3.0.1")
    host.kernel.pool[ipaddress.ip_address("10.3.0.1")] = (2**64 - 1, 5, 64510, 1)
    udp = {"default": False, "protocol": "udp", "address": "10.0.0.1", "port": 53,
           "family": "ipv4", "local_addresses": []}
    mark = {"default": False, "fwmark": 2, "family": "ipv6", "local_addresses": [
        {"address": "2001:db8::9", "family": "ipv6", "conflicts": 0, "conns": 0,
         "ports_used": None, "ports_free": None}]}
    assert document(host, "-G") == {"pools": [udp, mark, {
        "default": True, "local_addresses": [
            {"address": "10.3.0.1", "family": "ipv4", "conflicts": 2**64 - 1, "conns": 5,
             "ports_used": 64510, "ports_free": 1}]}]}
    assert document(host, "-G -f 2 -6") == {"pools": [mark]}


def test_timeouts_and_daemons(host):
    """A daemon's interface has the name that root gave it."""
    assert document(host, "-L --timeout") == {
        "timeouts": {"tcp": 900, "tcp_fin": 120, "udp": 300}}
    host.kernel.daemons = [
        {1: u32(1), 2: b'"\\\n\x01\xff/\0', 3: u32(7), 4: u16(1472), 5: bytes([224, 0, 0, 81]),
         7: u16(8848), 8: u8(1)}, {1: u32(2), 2: b"eth0\0", 3: u32(0)}]
    first, second = document(host, "-L --daemon")["daemons"]
    assert first == {"state": "master", "interface": '"\\\n\x01\xff/', "sync_id": 7,
                     "sync_maxlen": 1472, "group": "224.0.0.81", "port": 8848, "ttl": 1}
    assert second == {"state": "backup", "interface": "eth0", "sync_id": 0,
                      "sync_maxlen": None, "group": None, "port": None, "ttl": None}


@pytest.mark.parametrize("line, said", [
    ("-L", {"version": "1.2.1", "conn_tab_size": 4096, "synproxy_key_age": None, "services": []}),
    ("-L -c", {"connections": []}), ("-L --daemon", {"daemons": []}),
    ("-G", {"pools": [{"default": True, "local_addresses": []}]})])
def test_nothing_to_list_is_a_document_too(host, line, said):
    assert document(host, line) == said


def test_a_failure_leaves_an_incomplete_document(host):
    """So that nobody takes half of the connections for all of them."""
    host.kernel.conns = [WEB]
    host.kernel.dump_error = (errno.ENOMEM, "out of skbs")
    done = host.run("-L", "-c", "--json")
    assert (done.returncode, done.stderr) == (1, "Cannot allocate memory: out of skbs\n")
    with pytest.raises(ValueError):
        json.loads(done.stdout)
    host.kernel.dump_error = None
    with open("/dev/full", "w") as full:
        done = subprocess.run([TOOLS / "ipvsadm", "-L", "-c", "--json"], env=host.env,
                              stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        1, "cannot write all of it: No space left on device\n")


def test_many_connections_are_streamed(host):
    """A line each, in as much memory as for forty."""
    host.kernel.conns = [WEB] * 40
    few, little = list_all(host, "--json")
    host.kernel.repeat = 5000
    many, much = list_all(host, "--json")
    assert (few, many) == (41, 200001)
    assert much < little + 4096, f"{little} KiB for forty, {much} KiB for 200,000"


WRITER = r"""
#include <stddef.h>
#include "json.h"

int main(int argc, char **argv)
{
	json_open(NULL, '[');
	while (*++argv)
		json_string(NULL, *argv);
	json_open(NULL, '['); json_close();
	json_open(NULL, '{'); json_null("a"); json_bool("b", 4); json_close();
	json_signed(NULL, -5);
	json_close();
	return json_end();
}
"""


def test_the_writer_escapes_what_must_be(tmp_path):
    """Every byte that a name may have."""
    writer = compile_c(tmp_path / "writer", WRITER, TOOLS / "ipvsadm-1.31/json.c",
                       f"-I{TOOLS}/ipvsadm-1.31", "-fsanitize=address,undefined")
    names = [bytes([byte, 0x41]) for byte in range(1, 256)]
    done = subprocess.run([writer, *names], capture_output=True, check=True)
    assert json.loads(done.stdout.decode("ascii")) == [
        *(name.decode("latin-1") for name in names), [], {"a": None, "b": True}, -5]
