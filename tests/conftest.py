"""Settings for all tests."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings

# Other processes share the cores, so an example may take any time.
settings.register_profile(
    "fedcoin", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fedcoin"))

# Tests must not depend on the settings of the person who runs them.
for name in [name for name in os.environ if name.startswith("FEDCOIN_")]:
    if name != "FEDCOIN_MNIST":
        del os.environ[name]

# A shell ignores SIGINT in its background jobs, and every process that the tests start would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The matrices of the tests are small: with several threads, OpenBLAS spends five times as long
# on waiting as on computing when other processes use the cores. It reads this once, on import.
assert "numpy" not in sys.modules
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

LONG_FIRST = ("e2e", "application", "learning", "testing", "shapley", "network")
"""Folders of tests from those whose files take longest. pytest-xdist hands out files in this
order, so that no process is left alone with a long file at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long files first, in the processes of pytest-xdist."""
    if hasattr(config, "workerinput"):
        folders = {name: index for index, name in enumerate(LONG_FIRST)}
        items.sort(key=lambda item: folders.get(item.nodeid.split("/")[1], len(folders)))
