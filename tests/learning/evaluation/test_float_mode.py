"""Subnormal floats are zero in a worker, in all of its threads and in onnxruntime."""

from __future__ import annotations

import ctypes
import operator
import platform
import subprocess
import sys

import pytest

from fedcoin.learning.evaluation import float_mode
from fedcoin.learning.workers.process import WorkerProcess
from tests.conftest import ReportAttack

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="other systems take as long as they take, until miner.request_seconds",
)

PRODUCTS = """
import time
from threading import Thread
from fedcoin.learning.evaluation.float_mode import are_subnormals_flushed, flush_subnormals
FIRST
import numpy as np

def product(scale, other, width):
    left = np.full((width, width), scale, np.float32)
    return left @ np.full((width, width), other, np.float32)

print(float(np.abs(product(1e-20, 1e-20, 512)).max()), float(product(1e-40, 1e9, 8).max()))
thread = Thread(target=lambda: print(are_subnormals_flushed()))
thread.start()
thread.join()
SECOND
"""

SESSION = """
from tests.support.onnx_graphs import mlp_spec
from fedcoin.learning.evaluation.onnx_evaluator import start_session
start_session(mlp_spec().onnx)
print(are_subnormals_flushed())
"""


def printed(first: str, second: str = "") -> list[str]:
    """Return the words that a fresh interpreter prints, with two threads of the BLAS."""
    script = PRODUCTS.replace("FIRST", first).replace("SECOND", second)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_products_are_zero_in_all_threads_and_stay_so() -> None:
    assert printed("flush_subnormals()", SESSION) == ["0.0", "0.0", "True", "True"]


def test_a_process_that_is_no_worker_keeps_its_mode() -> None:
    small, large, thread, session = printed("", SESSION)
    assert float(small) > 0
    assert float(large) > 0
    assert (thread, session) == ("False", "False")


async def test_a_worker_takes_them_for_zero(report_attack: ReportAttack) -> None:
    process = WorkerProcess()
    await process.start()
    try:
        assert await process.call(operator.mul, sys.float_info.min, 0.5) == 0
    finally:
        await process.stop()
    assert sys.float_info.min / 2 > 0
    report_attack(
        "weights or inputs near 10^-38, or whose products are, keep workers busy",
        "200 times the time that the multiply-adds say",
        "the usual time: subnormal numbers are zero in workers",
    )


class _Library:
    """A C library whose `fesetenv` has no effect."""

    def fegetenv(self, environment: object) -> int:
        return 0

    def fesetenv(self, environment: object) -> int:
        return 0


@pytest.fixture
def other_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: _Library())


def test_what_has_no_effect_is_not_claimed(
    other_library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert float_mode.flush_subnormals() is False
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert float_mode.flush_subnormals() is False
