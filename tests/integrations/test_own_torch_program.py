"""The example program with PyTorch trains in a client's round."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: make test-integrations")

from fedcoin.application.client.own_program import OwnProgram, RoundWork, train_by_program
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.training_pool import TrainingPool
from tests.support.paths import ROOT
from tests.support.training_site import materials

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
async def test_the_torch_program_learns_the_digits(tmp_path: Path) -> None:
    digits = load_dataset("digits", scale=16)
    np.savez(tmp_path / "mine.npz", x_train=digits.x_train, y_train=digits.y_train)
    given, lines = materials(), list[str]()
    work = RoundWork(1, 1, given.model, given.weights, TrainingPlan(5, 32, 0.1, 0), 0)
    script = str(ROOT / "examples/train_torch.py")
    program = OwnProgram((sys.executable, script, str(tmp_path / "mine.npz")), 200)
    pool = TrainingPool()
    try:
        trained = await train_by_program(program, work, pool, lines.append)
    finally:
        await pool.stop()
    assert trained.num_samples == 1437
    assert lines[0].startswith("epoch 1: loss ")
    for name, raw in (
        ("model", given.model),
        ("update", trained.tensors),
        ("shard", given.evaluation.shards[0]),
    ):
        (tmp_path / name).write_bytes(raw)
    workers = WorkerPool()
    await workers.start()
    try:
        right = await workers.measure_model(
            tmp_path / "model", tmp_path / "update", tmp_path / "shard"
        )
    finally:
        await workers.stop()
    assert right > 200  # of 360, with 5 epochs from random weights
