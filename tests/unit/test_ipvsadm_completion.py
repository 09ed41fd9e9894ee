# SPDX-License-Identifier: GPL-2.0
"""What bash offers behind the first letters of an ipvsadm command."""
import subprocess

import pytest

from ipvsadm import IPVSADM, TOP

COMPLETION = TOP / "tools/ipvsadm/ipvsadm.bash-completion"
SCRIPT = f"""
source {COMPLETION}
COMP_LINE=$1 COMP_POINT=${{#1}}
complete -p ipvsadm >/dev/null && _ipvsadm
[ ${{#COMPREPLY[@]}} = 0 ] || printf '%s\\n' "${{COMPREPLY[@]}}"
"""
TABLE = """\
-P -z 10.3.0.1-10.3.0.9
-A -t 10.0.0.1:80 -s rr
-P -t 10.0.0.1:80 -z 10.2.0.9
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -b -w 1
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -b -w 1
-A -t 10.0.0.1:443 -s rr
-A -t [2001:db8::1]:80 -s rr
-A -u 10.0.0.1:53 -s rr
-A -f 3 -s rr
-A -f 4 -6 -s rr
-a -f 4 -6 -r [2001:db8::a]:0 -b -w 1
"""


def offered(host, line, env=()):
    """The words that bash offers at the end of ipvsadm LINE."""
    done = subprocess.run(
        ["bash", "-uc", SCRIPT, "bash", f"{IPVSADM} {line}"], capture_output=True,
        text=True, env=dict(host.env, **dict(env)), check=True, timeout=30)
    assert done.stderr == "", done
    return done.stdout.split()


@pytest.mark.parametrize("line, words", [
    ("--add", "--add-service --add-server --add-laddr"),
    ("-A -s w", "wrr wlc"), ("-A -t 10.0.0.9:80 --sched", "--scheduler --sched-flags"),
    ("-A -t 10.0.0.9:80 -j ", "enable disable auto"),
    ("-E -t 10.0.0.1:80 --synproxy a", "auto"), ("-E -t 10.0.0.1:80 --synproxy-offer d", "default"),
    ("-E -u 10.0.0.1:53 -b sh-", "sh-fallback sh-port"),
    ("-a -t 10.0.0.1:80 -r 10.1.0.3 -b --tun-t", "--tun-type"),
    ("-a -t 10.0.0.1:80 -r 10.1.0.3 -i --tun-type ", "ipip gue gre"),
    ("-L --js", "--json"), ("-G --", "--tcp-service --udp-service --sctp-service "
                                   "--fwmark-service --ipv6 --numeric --json"),
    ("--syn", "--synproxy-key"), ("--synproxy-key ra", "random"),
    ("-S ", "-n --numeric"), ("-C ", ""), ("--start-daemon ma", "master"),
    ("-A -t ", ""), ("-A -t 10.0.0.9:80 -V ", "")])
def test_words(host, line, words):
    """Commands, options of the command, and values that are words."""
    assert sorted(offered(host, line)) == sorted(words.split())


@pytest.mark.parametrize("line, words", [
    ("-D -t ", "10.0.0.1:80 10.0.0.1:443 [2001:db8::1]:80"),
    ("-a --tcp-service ", "10.0.0.1:80 10.0.0.1:443 [2001:db8::1]:80"),
    ("-E -t 10.0.0.1:4", "443"), ("-D -t [2001:db8::", "1]:80"), ("-Z -u ", "10.0.0.1:53"),
    ("-L -f ", "3 4"), ("-A -u ", ""), ("-d -t 10.0.0.1:80 -r ", "10.1.0.1:8080 10.1.0.2:80"),
    ("-e -t 10.0.0.1:80 --real-server 10.1.0.2", "10.1.0.2:80"),
    ("-d -t 10.0.0.1:443 -r ", ""), ("-d -f 4 -6 -r ", "[2001:db8::a]:0"),
    ("-a -t 10.0.0.1:80 -r ", ""), ("-Q -z ", "10.3.0.1-10.3.0.9"),
    ("-Q -t 10.0.0.1:80 -z ", "10.2.0.9"), ("-P -t 10.0.0.1:80 -z ", ""),
    ("-L -c -r ", "10.1.0.1:8080 10.1.0.2:80 [2001:db8::a]:0")])
def test_what_there_is(host, line, words):
    """Services, real servers and local addresses of the table."""
    host.ok("-R", stdin=TABLE)
    assert sorted(offered(host, line)) == sorted(words.split())


def test_files(host, tmp_path):
    """Where one may be named."""
    for name in ("secret", "secret-"):
        (tmp_path / name).touch()
    assert sorted(offered(host, f"--synproxy-key {tmp_path}/sec")) == [
        f"{tmp_path}/secret", f"{tmp_path}/secret-"]


def test_without_a_kernel_there_is_nothing_to_offer(host):
    """And nothing is said about it."""
    assert offered(host, "-D -t ", {"FAKE_KERNEL": ""}) == []
