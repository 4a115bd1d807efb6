"""A worker process that computes with TensorFlow, and one that does not start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.diagnosis.finding import Level
from fedcoin.application.diagnosis.worker_checks import check_workers


@pytest.mark.slow
async def test_a_worker_computes_with_tensorflow(tmp_path: Path) -> None:
    sandbox, worker = await check_workers(MinerConfig(sandbox="off"), Home(tmp_path))
    assert sandbox.level is worker.level is Level.OK
    assert "TensorFlow 2." in worker.text


async def test_a_worker_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox, worker = await check_workers(MinerConfig(), Home(tmp_path))
    assert (sandbox.level, worker.level) == (Level.WARNING, Level.WRONG)
    (required, _) = await check_workers(MinerConfig(sandbox="require"), Home(tmp_path))
    assert required.level is Level.WRONG
