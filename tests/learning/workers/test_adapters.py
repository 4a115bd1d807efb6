"""Adapters (LoRA) of a transformer are valued exactly, in a worker of bounded memory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model.frozen_weights import freeze_weights
from fedcoin.learning.workers.jobs import load_evaluator
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import task_pb2
from tests.support.frozen_jobs import freeze_job
from tests.support.small_models import all_coalitions, write_job
from tests.support.transformer_graphs import Transformer

SMALL = Transformer(vocabulary=40, length=5, width=16, blocks=2, heads=4, rank=2, classes=3)
LARGE = Transformer(vocabulary=30_522, length=16, width=768, blocks=6, heads=12, rank=8, classes=4)
"""66 million parameters, the sizes of DistilBERT (Sanh et al., arXiv:1910.01108)."""

ALL_BLOCKS, LAST_BLOCKS = ["*lora*", "head*"], ["block[45].lora*", "head*"]
CLIENTS, EXAMPLES = 8, 32


def texts(network: Transformer, examples: int) -> tuple[NDArray[Any], NDArray[Any]]:
    generator = np.random.default_rng(4)
    x = generator.integers(0, network.vocabulary, (examples, network.length)).astype(np.int32)
    return x, generator.integers(0, network.classes, examples)


@pytest.mark.parametrize("patterns", [ALL_BLOCKS, ["block1.lora*"], ["block0.q.w"]])
def test_a_small_transformer_is_valued_as_with_whole_updates(
    patterns: list[str], tmp_path: Path
) -> None:
    owners = [SMALL.weights(seed) for seed in range(4)]
    job = write_job(tmp_path, SMALL.spec(), owners[0], owners[1:], *texts(SMALL, 200))
    frozen, whole = freeze_job(job, patterns)
    counts = [load_evaluator(given).evaluate(all_coalitions(3)) for given in (frozen, whole)]
    assert len(set(counts[1].tolist())) > 2
    # The parts may be computed in another order than the whole.
    assert np.abs(counts[0] - counts[1]).max() <= 1


def write_adapters(folder: Path, patterns: list[str]) -> UtilityJob:
    """Write the large network's job: the clients changed its adapters and its last layer."""
    spec = LARGE.spec()
    raw = spec.SerializeToString(deterministic=True)
    divided = freeze_weights(raw, encode_tensors(LARGE.weights(0)), patterns)
    x, y = texts(LARGE, EXAMPLES)
    for name, content in (
        ("model", divided.spec),
        ("base", divided.trained),
        ("frozen", divided.frozen),
        ("evaluation", encode_tensors({"x": x, "y": y})),
    ):
        (folder / name).write_bytes(content)
    base = LARGE.weights(0)
    names = list(decode_tensors(divided.trained))
    for client in range(CLIENTS):
        generator = np.random.default_rng(client)
        update = {
            name: base[name] + 0.02 * generator.standard_normal(base[name].shape).astype("f4")
            for name in names
        }
        (folder / f"update{client}").write_bytes(encode_tensors(update))
    return UtilityJob(
        job_id=b"adapters",
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / f"update{client}" for client in range(CLIENTS)),
        num_samples=(100,) * CLIENTS,
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        frozen=folder / "frozen",
    )


def look_at(pid: int) -> tuple[int, str]:
    """Return a process' largest resident memory so far, in bytes, and what it has loaded."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return 1024 * peak, Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("patterns", [ALL_BLOCKS, LAST_BLOCKS], ids=["all blocks", "last two"])
async def test_eight_clients_adapters_are_valued_exactly_within_a_gigabyte(
    patterns: list[str], tmp_path: Path
) -> None:
    job = write_adapters(tmp_path, patterns)
    pool = WorkerPool(processes=1)
    try:
        await pool.start()
        began = time.monotonic()
        await pool.open_job(job)
        loaded = time.monotonic()
        counts = await pool.evaluate(job.job_id, all_coalitions(CLIENTS)[1:])
        done = time.monotonic()
        peak, maps = look_at(pool.pids[0])
    finally:
        await pool.stop()
    figures = {
        "trained": patterns,
        "update_bytes": job.updates[0].stat().st_size,
        "load_s": round(loaded - began, 1),
        "evaluate_s": round(done - loaded, 1),
        "peak_MiB": peak >> 20,
    }
    print(json.dumps(figures))
    assert len(counts) == 255
    assert len(set(counts.tolist())) > 2
    assert peak < 1_000_000_000
    assert "tensorflow" not in maps
