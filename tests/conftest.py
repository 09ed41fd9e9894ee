# SPDX-License-Identifier: GPL-2.0
"""Loads the module once for all cases in the VM, and reports each as it ends."""

import functools
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import lab  # noqa: E402

# In the VM, the directory it shares with the host; elsewhere, where tests/run says.
RESULTS = pathlib.Path(os.environ.get("FNAT_RESULTS", lab.OUT / "results"))


@functools.cache
def results():
    """The file of results, if there is a place for it: a line is there once it is written."""
    return RESULTS.open("a", buffering=1) if RESULTS.parent.is_dir() else None


def pytest_runtest_logreport(report):
    """A line per case: passed, failed or skipped, and its name."""
    if results() and (report.when == "call" or report.outcome != "passed"):
        results().write(f"{report.outcome} {report.nodeid}\n")


@functools.cache
def told_to_stop(_):
    """Whether the host has said so, by a file: asked no more than once a time."""
    return (lab.OUT / "stop").exists()


def pytest_runtest_setup(item):
    """Who waits for the run may have no more time."""
    if told_to_stop(time.monotonic() // 5):
        pytest.skip("out of time")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see whether their case failed (item.failed)."""
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
