# SPDX-License-Identifier: GPL-2.0
"""A host with a played kernel for each case."""
import pytest

from fake_kernel import PRELOAD
from ipvsadm import IPVSADM, Host, compile_c


@pytest.fixture(autouse=True)
def built():
    """Nothing here can be tried without the tool."""
    if not IPVSADM.exists():
        pytest.skip("run make -C tools/ipvsadm first")


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """The library that leads netlink sockets to the played kernel."""
    return compile_c(tmp_path_factory.mktemp("preload") / "preload.so",
                     PRELOAD, "-shared", "-fPIC", "-ldl")


@pytest.fixture
def host(tmp_path, preload):
    """A host of its own for each case."""
    return Host(tmp_path, preload)
