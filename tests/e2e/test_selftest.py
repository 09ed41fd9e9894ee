# SPDX-License-Identifier: GPL-2.0
"""The kernel's own test of IPVS, tools/testing/selftests/netfilter/ipvs.sh, against this module.

It comes from the kernel's source as it is, see fetch-selftest; of the part behind its functions
each case has a line of its own.
"""

import pytest

from lib import lab

SCRIPT = lab.TOP / "build" / "selftest" / "ipvs.sh"
MAIN = "\nrun_tests() {"
# It gives its server a fifth of a second to start, which is little where nothing is fast.
PATIENCE = r"""
sleep() {
	[ "$1" = 0.2 ] || { command sleep "$1"; return; }
	until grep -q ':1F90 [0-9A-F]*:0000 0A' /proc/$server_pid/net/tcp /proc/$server_pid/net/tcp6
	do command sleep 0.1; done
}
"""


@pytest.fixture
def tools(tmp_path):
    """A directory for PATH: Debian's ipvsadm, and the nc that every test machine has."""
    (tmp_path / "nc").symlink_to(lab.out("which", "busybox").strip())
    (tmp_path / "ipvsadm").symlink_to(lab.STOCK_IPVSADM)
    return tmp_path


@pytest.mark.parametrize("mode", ["dr", "nat", "tun"])
def test_ipvs_sh(module, tools, tmp_path, mode):
    """Bytes from a client arrive at the server, by each forwarding method."""
    if mode == "tun":
        pytest.skip("this module has no Tunnel yet")
    if not SCRIPT.exists():
        pytest.skip("tests/e2e/fetch-selftest has not been run")
    functions, _, main = SCRIPT.read_text().partition(MAIN)
    assert f"test_{mode}()" in functions and f"test_{mode}\n" in main
    script = tmp_path / "ipvs.sh"
    script.write_text(f"{functions}\n{PATIENCE}\ntrap cleanup EXIT\ncleanup\nsetup\ntest_{mode}\n")
    # It waits for its server without end if nothing arrives there.
    done = lab.sh(f"PATH={tools}:$PATH timeout {90 * lab.SLOW} sh -x {script}",
                  check=False, timeout=100)
    assert not done.returncode, done.stdout + done.stderr
