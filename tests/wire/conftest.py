# SPDX-License-Identifier: GPL-2.0
"""A world for each case, and the evidence of those that fail."""

import collections
import os
import re
import zlib

import pytest

pytest.register_assert_rewrite("world", "director", "lib.tap", "lib.packet", "lib.netlink",
                               "proxied")

from lib import lab, tap  # noqa: E402
from lib.packet import TCP  # noqa: E402
from addresses import IP4, IP6  # noqa: E402
from proxied import Guarded  # noqa: E402
from world import ROUTER_SYSCTLS, World  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def loaded():
    """The module, with small tables."""
    lab.sh("modprobe", "tun")
    lab.hold_hooks()
    lab.reload(lab.SMALL)
    with lab.sysctls(ROUTER_SYSCTLS):
        yield
    lab.unload()


def pytest_generate_tests(metafunc):
    """Cases of a file that says BOTH_FAMILIES happen in a world of each."""
    if "world" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_FAMILIES", False):
        metafunc.parametrize("world", [IP4, IP6], ids=["ip4", "ip6"], indirect=True)


# So many of a case that happens in a world of its own with many sets of numbers.
SETS = 4


def pytest_collection_modifyitems(config, items):
    """On a slow kernel each of those happens in one family only: by its name, in which.

    And with some of its sets of numbers, by theirs. With FNAT_FAMILIES=both with all and in
    both, as on other kernels, and in both in files that say "always".
    """
    if lab.SLOW == 1 or os.environ.get("FNAT_FAMILIES") == "both":
        return

    def by_name(item):
        return zlib.crc32(item.nodeid.replace("ip4", "").replace("ip6", "").encode())

    def is_of_the_other_family(item):
        family = getattr(item, "callspec", None) and item.callspec.params.get("world")
        if family is None or getattr(item.module, "BOTH_FAMILIES", None) is not True:
            return False
        return (family is IP6) != by_name(item) % 2

    left_out = {item.nodeid for item in items if is_of_the_other_family(item)}
    sets = collections.defaultdict(list)
    for item in items:
        if "world" in item.fixturenames and item.nodeid not in left_out:
            sets[item.nodeid.partition("[")[0]].append(item)
    for alike in sets.values():
        left_out.update(item.nodeid for item in sorted(alike, key=by_name)[SETS:])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


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


@pytest.fixture
def guarded(world):
    """A service that the SYN proxy guards; makes its flows."""
    world.service(synproxy=1)
    return lambda sport=40000, **kw: Guarded(world, TCP, sport, **kw)
