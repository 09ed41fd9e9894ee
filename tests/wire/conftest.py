# SPDX-License-Identifier: GPL-2.0
"""A world for each case, and the evidence of those that fail."""

import os
import re
import zlib

import pytest

pytest.register_assert_rewrite("world", "director", "lib.tap", "lib.packet", "lib.netlink")

from lib import lab, tap  # noqa: E402
from addresses import IP4, IP6  # noqa: E402
from world import ROUTER_SYSCTLS, World  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def loaded():
    """The module, with a small table, for each namespace gets its own."""
    lab.sh("modprobe", "tun")
    lab.hold_hooks()
    lab.unload()
    lab.load(**lab.SMALL_TABLE)
    lab.hold_lookahead()
    with lab.sysctls(ROUTER_SYSCTLS):
        yield
    lab.unload()


def pytest_generate_tests(metafunc):
    """Cases of a file that says BOTH_FAMILIES happen in a world of each."""
    if "world" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_FAMILIES", False):
        metafunc.parametrize("world", [IP4, IP6], ids=["ip4", "ip6"], indirect=True)


def pytest_collection_modifyitems(config, items):
    """On a slow kernel each of those happens in one family only: by its name, in which.

    With FNAT_FAMILIES=both in both, as on other kernels, and in files that say "always".
    """
    if lab.SLOW == 1 or os.environ.get("FNAT_FAMILIES") == "both":
        return

    def is_left_out(item):
        family = getattr(item, "callspec", None) and item.callspec.params.get("world")
        if family is None or getattr(item.module, "BOTH_FAMILIES", None) is not True:
            return False
        name = item.nodeid.replace("ip4", "").replace("ip6", "")
        return (family is IP6) != zlib.crc32(name.encode()) % 2

    left_out = [item for item in items if is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def world(request):
    """The director's namespace; if the case fails, all that went over its wires."""
    made = World(getattr(request, "param", IP4))
    try:
        yield made
        if getattr(request.node, "failed", False):
            print(tap.story(made.log[-40:]))
            print({k: n for k, n in lab.counters(ns=None).items() if n})
            print(made.ipvsadm("-Ln", check=False).stdout)
            name = re.sub(r"[^\w.-]+", "_", request.node.name)
            tap.save_pcap(made.log, lab.OUT / "pcap" / f"{name}.pcap")
    finally:
        made.close()
