# SPDX-License-Identifier: GPL-2.0
"""ipvsadm --synproxy-key: where a key may come from, and where it may not be seen."""
import errno
import json

import pytest

from fake_kernel import (DEL_KEY, GET_INFO, HAS_FULLNAT, HAS_KEY, HAS_LADDR, KEY, SET_KEY)
from ipvsadm import plain

DIGITS = "00112233445566778899aabbccddeeFF"
BYTES = bytes.fromhex(DIGITS)
NO_KEY = ("There is no key in `{}': it is 32 hex digits, as of openssl rand -hex 16\n")


@pytest.fixture
def keyed(host):
    """A host whose kernel takes a key."""
    host.kernel.features |= HAS_KEY
    return host


def test_from_a_file_and_from_stdin_and_away_again(keyed, tmp_path):
    """Sent as it is, in 16 bytes."""
    (tmp_path / "key").write_text(DIGITS + "\n")
    keyed.ok(f"--synproxy-key {tmp_path}/key")
    assert keyed.kernel.key == BYTES
    keyed.ok("--synproxy-key random")
    assert keyed.kernel.key is None
    keyed.ok("--synproxy-key -", stdin=DIGITS)
    assert keyed.kernel.key == BYTES
    assert [set(r.attrs) for r in keyed.kernel.sent(SET_KEY, DEL_KEY)] == [{KEY}, set(), {KEY}]


def test_file_that_is_called_random(keyed, tmp_path):
    """Has a path."""
    (tmp_path / "random").write_text(DIGITS)
    keyed.ok(f"--synproxy-key {tmp_path}/random")
    assert keyed.kernel.key == BYTES


@pytest.mark.parametrize("text", [
    "", "\n", DIGITS[1:], DIGITS + "0", "0x" + DIGITS, f"{DIGITS} {DIGITS}", f" {DIGITS}",
    DIGITS.replace("f", "g").replace("F", "G"), DIGITS[:16] + "\n" + DIGITS[16:]])
def test_what_is_no_key(keyed, text):
    """One sentence with a remedy, in which what was read does not stand."""
    assert keyed.fails("--synproxy-key -", stdin=text) == (2, NO_KEY.format("-"))
    assert keyed.kernel.requests == []


def test_file_that_cannot_be_read(tmp_path):
    """Nobody asks the kernel."""
    for name, why in ((tmp_path / "none", errno.ENOENT), (tmp_path, errno.EISDIR)):
        done = plain(f"--synproxy-key {name}")
        said = {errno.ENOENT: "No such file or directory", errno.EISDIR: "Is a directory"}[why]
        assert (done.returncode, done.stderr) == (
            2, f"cannot read the key from `{name}': {said}\n")


def test_not_on_the_command_line():
    """ps would show it; the message does not repeat it."""
    done = plain(f"--synproxy-key {DIGITS}")
    assert done.returncode == 2 and DIGITS not in done.stderr
    assert done.stderr == ("A key does not belong on the command line, where ps shows it: give a "
                           "file, or - for stdin\n")


def test_in_rules(keyed, tmp_path):
    """A file may be named there; stdin is where the rules come from. None is saved."""
    (tmp_path / "key").write_text(DIGITS)
    keyed.ok("-R", stdin=f"--synproxy-key {tmp_path}/key\n-A -f 1 -s rr\n")
    assert keyed.kernel.key == BYTES
    assert keyed.ok("-Sn") == "-A -f 1 -s rr\n"
    done = keyed.run("-R", stdin="--synproxy-key -\n")
    assert (done.returncode, done.stderr) == (
        2, "line 1: The rules come from stdin: give a file for the key\n")


def test_that_there_is_one_is_told(keyed):
    """Since when, in JSON; none: null."""
    def age():
        return json.loads(keyed.ok("-L --json"))["synproxy_key_age"]
    assert age() is None
    keyed.ok("--synproxy-key -", stdin=DIGITS)
    assert age() == 3600


def test_too_many_at_once(keyed):
    """The kernel's sentence."""
    keyed.kernel.said[SET_KEY] = (errno.EBUSY, "try again in six minutes")
    assert keyed.fails("--synproxy-key -", stdin=DIGITS) == (
        255, "Too many keys at once: try again in six minutes\n")


def test_a_kernel_that_takes_none(host):
    """An older ip_vs_fullnat; a stock one."""
    host.kernel.features = HAS_FULLNAT | HAS_LADDR
    assert host.fails("--synproxy-key random") == (
        2, "This ip_vs_fullnat has no settable key of the SYN proxy: load a newer one\n")
    host.kernel.features = None
    assert host.fails("--synproxy-key random") == (
        2, "This kernel's IPVS has no settable key of the SYN proxy: remove ip_vs and load "
           "ip_vs_fullnat\n")
    assert not host.kernel.sent(SET_KEY, DEL_KEY) and host.kernel.sent(GET_INFO)
