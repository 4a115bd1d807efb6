"""Settings for all tests."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.file_order import group_of, order_files
from tests.support.paths import ROOT, TESTS

# Other processes share the cores, so an example may take any time.
settings.register_profile(
    "fedcoin", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fedcoin"))

# Tests must not depend on the settings of the person who runs them.
for name in [name for name in os.environ if name.startswith("FEDCOIN_")]:
    if name != "FEDCOIN_MNIST":
        del os.environ[name]

# Some machines keep Python from storing compiled modules. Every process that the tests start would
# compile this package again, and every process of pytest-xdist would rewrite every test.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell ignores SIGINT in its background jobs, and every process that the tests start would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The matrices of the tests are small: with several threads, OpenBLAS spends five times as long
# on waiting as on computing when other processes use the cores. It reads this once, on import.
assert "numpy" not in sys.modules
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

GIB = 1 << 30

PASSES_OVER_TENSORFLOW = pytest.StashKey[bool]()
"""Whether the garbage collector passes over the objects of TensorFlow in this process."""

ReportAttack = Callable[[str, str, str], None]
"""Reports an attack: what is tried, what it got in protocol 1, and what it gets now."""


@pytest.fixture
def report_attack(record_property: Callable[[str, object], None]) -> ReportAttack:
    """Report what an attack gets, for the table that `make threats` writes into docs/THREATS.md."""

    def report(attack: str, before: str, now: str) -> None:
        for name, value in (("attack", attack), ("before", before), ("now", now)):
            record_property(name, value)

    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Run four processes more than there are cores, or fewer where memory is short.

    Many tests wait for nodes in other processes, or for blocks and windows: over the whole suite a
    process of pytest-xdist keeps less than half a core busy. Returns None if a variable of
    pytest-xdist gives the number.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(cores, min(cores + 4, available_bytes() // (2 * GIB)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Hand out whole files with `--dist loadfile`, those that import TensorFlow all to one process.

    Returns None, which leaves the choice to pytest-xdist, with another `--dist`.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.partition("::")[0])

    return Scheduling(config, log)


def available_bytes() -> int:
    """Return the memory that new processes can use; 0 where the system does not tell it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return 0
    (kib,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return int(kib) << 10


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect tests without the garbage collector, and let it pass over them from then on.

    What is collected stays until the end, so that a collector would go through it for nothing.
    """
    gc.disable()
    try:
        if (worker := getattr(session.config, "workerinput", None)) and is_whole(session.config):
            import_share(int(worker["workerid"][2:]), worker["workercount"])
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Let the garbage collector pass over TensorFlow as well, once a test has imported it.

    Keras collects before each training, which takes 0.3 s with the objects of these modules.
    """
    if "tensorflow" in sys.modules and not item.config.stash.get(PASSES_OVER_TENSORFLOW, False):
        item.config.stash[PASSES_OVER_TENSORFLOW] = True
        gc.freeze()


def is_whole(config: pytest.Config) -> bool:
    """Tell whether all tests are collected."""
    return [Path(path).resolve() for path in config.args] == [TESTS]


def import_share(index: int, count: int) -> None:
    """Import every `count`-th test file.

    All processes collect all files in the same order. In a fresh checkout each would compile each
    of them; so each compiles some, and finds the others compiled.
    """
    for path in sorted(TESTS.rglob("test_*.py"))[index::count]:
        # What fails here fails again when it is collected, and is reported there.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that report an attack; order the files in the processes of pytest-xdist."""
    for item in items:
        if "report_attack" in getattr(item, "fixturenames", ()):
            item.add_marker("attack")
        elif item.get_closest_marker("attack"):
            raise pytest.UsageError(f"{item.nodeid} is an attack without the fixture report_attack")
    if hasattr(config, "workerinput"):
        paths = dict.fromkeys(path_of(item) for item in items)
        positions = {path: index for index, path in enumerate(order_files(list(paths)))}
        items.sort(key=lambda item: positions[path_of(item)])


def path_of(item: pytest.Item) -> str:
    """Return the file of a test, as in its node id."""
    return item.nodeid.partition("::")[0]
