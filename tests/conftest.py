# SPDX-License-Identifier: GPL-2.0
"""Loads the module once for all cases in the VM, and reports each as it ends."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import lab  # noqa: E402

# In the VM, the directory it shares with the host; elsewhere, where tests/run says.
RESULTS = pathlib.Path(os.environ.get("FNAT_RESULTS", lab.OUT / "results"))


def pytest_runtest_logreport(report):
    """A line per case: passed, failed or skipped, and its name."""
    if not RESULTS.parent.is_dir():
        return
    if report.when == "call" or report.outcome != "passed":
        with RESULTS.open("a") as f:
            f.write(f"{report.outcome} {report.nodeid}\n")


def pytest_runtest_setup(item):
    """Who waits for the run may have no more time: the host says so by a file."""
    if (lab.OUT / "stop").exists():
        pytest.skip("out of time")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see whether their case failed (item.failed)."""
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
