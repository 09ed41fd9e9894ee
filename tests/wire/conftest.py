# SPDX-License-Identifier: GPL-2.0
"""A world for each case, and the evidence of those that fail."""

import re

import pytest

pytest.register_assert_rewrite("world", "director", "lib.tap", "lib.packet", "lib.netlink")

from lib import lab, tap  # noqa: E402
from addresses import IP4, IP6  # noqa: E402
from world import World  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def loaded():
    """The module, with a small table, for each namespace gets its own."""
    lab.sh("modprobe", "tun")
    lab.unload()
    lab.load(**lab.SMALL_TABLE)
    yield
    lab.unload()


def pytest_generate_tests(metafunc):
    """Cases of a file that says BOTH_FAMILIES happen in a world of each."""
    if "world" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_FAMILIES", False):
        metafunc.parametrize("world", [IP4, IP6], ids=["ip4", "ip6"], indirect=True)


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
