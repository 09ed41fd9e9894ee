# SPDX-License-Identifier: GPL-2.0
"""ipvsadm's command line: what it refuses before there is a kernel, and its help."""
import re

import pytest

from ipvsadm import TOOLS, TOP, VIP, plain

CONN_ONLY = ("The '{}' option selects connections: the 'list' command needs '-c' "
             "with it")
ONE_FAMILY = ("All addresses must be of one family, and -f needs -6 behind it to "
              "mean IPv6")
USAGE_ERRORS = {
    "-P": "You need to supply the 'laddr' option for the 'add-laddr' command",
    f"-P -t {VIP}":
        "You need to supply the 'laddr' option for the 'add-laddr' command",
    f"-Q -t {VIP}":
        "You need to supply the 'laddr' option for the 'del-laddr' command",
    f"-a -t {VIP} -b": "You need to supply the 'real-server' option for the "
                       "'add-server' command",
    f"-a -t {VIP} -r 10.1.0.1 -z 10.2.0.1":
        "Illegal 'laddr' option with the 'add-server' command",
    f"-G -t {VIP} -z 10.2.0.1":
        "Illegal 'laddr' option with the 'get-laddr' command",
    f"-P -t {VIP} -z 10.2.0.1 -n":
        "Illegal 'numeric' option with the 'add-laddr' command",
    f"-P -t {VIP} -z 10.2.0.1 --fullnat":
        "Illegal 'forwarding-method' option with the 'add-laddr' command",
    f"-A -t {VIP} --fullnat":
        "Illegal 'forwarding-method' option with the 'add-service' command",
    f"-a -t {VIP} -r 10.1.0.1 --sched-flags flag-1":
        "Illegal 'sched-flags' option with the 'add-server' command",
    f"-a -t {VIP} -r 10.1.0.1 -b -m":
        "multiple 'forwarding-method' options specified",
    f"-a -t {VIP} -r 10.1.0.1 -b sh-port": "unexpected argument sh-port",
    f"-A -t {VIP} -s rr -b sh-port":
        "incompatible scheduler flag `sh-port'",
    f"-P -t {VIP} -z 2001:db8::1": "The local address is IPv6 but the service "
                                   "is IPv4: both must be of one family",
    "-P -t [2001:db8::1]:80 -z 10.2.0.1":
        "The local address is IPv4 but the service is IPv6: both must be of "
        "one family",
    "-P -z 2001:db8::1 -f 1": "The local address is IPv6 but the service is "
                              "IPv4: add -6 after -f if it is an IPv6 service",
    "-P -z 10.2.0.1 -z 10.2.0.2": "multiple 'laddr' options specified",
    f"-A -t {VIP} -V 5 --est-timeout 5": "multiple 'est-timeout' options specified",
    f"-a -t {VIP} -r 10.1.0.1 -V 5":
        "Illegal 'est-timeout' option with the 'add-server' command",
    f"-a -t {VIP} -r 10.1.0.1 -j enable":
        "Illegal 'synproxy' option with the 'add-server' command",
    f"-A -t {VIP} -j enable --synproxy enable":
        "multiple 'synproxy' options specified",
    **{f"-E -t {VIP} -j {word}":
        f"illegal SYN proxy mode `{word}': give enable, disable or auto"
       for word in ("enableX", "en", "Enable", "on", "1", "autoo")},
    **{f"-A -t {VIP} --synproxy-offer {words}":
        f"illegal offer `{wrong}' of the SYN proxy: give default, or some of mss=216 to 65535, "
        "wscale=0|1, sack=0|1, timestamp=0|1 and ttl=1 to 255, with commas"
       for words, wrong in (("mss", "mss"), ("mss=", "mss="), ("mss=215", "mss=215"),
                            ("mss=65536", "mss=65536"), ("ttl=9,wscale=7", "wscale=7"),
                            ("ttl=0", "ttl=0"), ("ttl=9,", ""), ("sack=1,sack=1", "sack=1"),
                            ("sack=-1", "sack=-1"), ("speed=1", "speed=1"), ("default,ttl=9", "default"))},
    "-L --synproxy-offer default": "Illegal 'synproxy-offer' option with the 'list' command",
    "-S --json": "Illegal 'json' option with the 'save' command",
    f"-A -t {VIP} --json": "Illegal 'json' option with the 'add-service' command",
    "-L --client 10.9.0.1": CONN_ONLY.format("client"),
    f"-L -t {VIP} -r 10.1.0.1": CONN_ONLY.format("real-server"),
    "-L -z 10.2.0.1 -n": CONN_ONLY.format("laddr"),
    "-L --timeout -r 10.1.0.1": CONN_ONLY.format("real-server"),
    f"-L --timeout -t {VIP}": "options conflicts in the list command",
    f"-L -c -t {VIP} --stats": "options conflicts in the list command",
    "-L -c --synproxy-stats": "options conflicts in the list command",
    "-G --synproxy-stats": "Illegal 'synproxy-stats' option with the 'get-laddr' command",
    f"-A -t {VIP} --client 10.9.0.1":
        "Illegal 'client' option with the 'add-service' command",
    "-L -c -r 10.1.0.1:99999": "illegal real server address[:port] specified",
    "-L -c -z 10.2.0.1-9": "illegal local address[:port] specified",
    "-L -c --client 1234": "illegal client address[:port] specified",
    "-L -c --client [2001:db8::1": "illegal client address[:port] specified",
    "-L -c -r 10.1.0.1 --client 2001:db8::1": ONE_FAMILY,
    f"-L -c -t {VIP} -z [2001:db8::1]:80": ONE_FAMILY,
    "-L -c -f 1 -r 2001:db8::1": ONE_FAMILY,
    **{f"-A -t {VIP} -V {word}":
        f"illegal established timeout `{word}': give seconds, 0 to 2147483"
       for word in ("-1", "+5", "5s", "0x10", "2147484", "99999999999", "1e3", "1.5")},
}


@pytest.mark.parametrize("line", USAGE_ERRORS)
def test_usage_error_is_one_sentence_without_a_kernel(line):
    done = plain(line)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == USAGE_ERRORS[line] + "\n"


def test_help_and_version_need_no_kernel():
    done = plain("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("--fullnat", "-b", "--laddr", "-z", "--add-laddr", "-P|Q",
                 "--del-laddr", "--get-laddr", "-G", "--sched-flags"):
        assert word in done.stdout
    assert "FULLNAT" in plain("--version").stdout


def test_every_option_is_described():
    """Help, manual and completion know each that the tool takes."""
    source = (TOOLS / "ipvsadm-1.31/ipvsadm.c").read_text(encoding="latin-1")
    options = {f"--{name}" for name in
               re.findall(r"\{ \"([a-z0-9-]+)\", (?:'|for_server)", source)}
    assert len(options) > 60
    for text in (plain("--help").stdout,
                 (TOOLS / "ipvsadm.8").read_text(encoding="latin-1"),
                 (TOP / "tools/ipvsadm/ipvsadm.bash-completion").read_text()):
        assert not options - set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


@pytest.mark.parametrize("words", ["add virtual service", "-j enable|disable|auto",
                                   "without a service to the default pool",
                                   "of all services and the default pool"])
def test_help_says(words):
    assert words in plain("--help").stdout
