"""Jobs whose clients are grouped, in real worker processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.model.look_alikes import group_weights
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import task_pb2
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    write_job,
)

SPEC = mlp_spec()
GROUPS = (0, 1, 0, 3, 1, 0)
"""Six clients: three of one player, two of another, and one alone."""


@pytest.fixture
async def worker() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool()
    await pool.start()
    yield pool
    await pool.stop()


def written(folder: Path, updates: list[int], groups: tuple[int, ...] = ()) -> UtilityJob:
    """Write the job of an equal average of random updates, by their seeds."""
    x, y = evaluation(SPEC, 300)
    weights = [random_weights(SPEC, seed) for seed in updates]
    counts = group_weights(groups or tuple(range(len(updates))))
    job = write_job(
        folder,
        SPEC,
        random_weights(SPEC, 0),
        weights,
        x,
        y,
        counts,
        averaging=task_pb2.AVERAGING_FIXED_DENOMINATOR,
        job_id=bytes(folder.name, "ascii"),
    )
    return replace(job, groups=groups, similarity_limit=0.95 if groups else 0.0)


async def test_copies_leave_the_game_of_the_originals_as_it_is(
    worker: WorkerPool, tmp_path: Path
) -> None:
    """A copier changes no coalition's count, whatever the coalition: so no value either."""
    alone = written(tmp_path / "alone", [1, 2, 4])
    copied = written(tmp_path / "copied", [1, 2, 1, 4, 2, 1], GROUPS)
    await worker.open_job(alone)
    await worker.open_job(copied)
    coalitions = all_coalitions(6)
    counts = await worker.evaluate(copied.job_id, coalitions)
    expected = await worker.evaluate(alone.job_id, coalitions[:, [0, 1, 3]])
    # The weights differ in the last digits, by which an example may be told apart.
    assert np.abs(counts - expected).max() <= 1
    assert len(set(counts.tolist())) > 4
    # Whoever is not the first of its group adds exactly nothing.
    for member in (2, 4, 5):
        without = coalitions.copy()
        without[:, member] = False
        np.testing.assert_array_equal(await worker.evaluate(copied.job_id, without), counts)


async def test_an_aggregate_is_the_average_of_the_groups(
    worker: WorkerPool, tmp_path: Path
) -> None:
    job = written(tmp_path / "copied", [1, 2, 1, 4, 2, 1], GROUPS)
    weights = [random_weights(SPEC, seed) for seed in (1, 2, 4)]
    aggregate = tmp_path / "aggregate"
    aggregate.write_bytes(encode_tensors(federated_average(weights, [1, 1, 1])))
    await worker.check_job(job, aggregate, 300)
    counted = await worker.measure_model(job.model, aggregate, job.evaluation)
    await worker.open_job(job)
    (grand,) = await worker.evaluate(job.job_id, np.ones((1, 6), np.bool_))
    assert abs(counted - grand) <= 1
    per_address = [random_weights(SPEC, seed) for seed in (1, 2, 1, 4, 2, 1)]
    aggregate.write_bytes(encode_tensors(federated_average(per_address, [1] * 6)))
    with pytest.raises(RefusalError) as caught:
        await worker.check_job(job, aggregate, 300)
    assert caught.value.code is LearningCode.WRONG_AGGREGATE


@pytest.mark.parametrize("groups", [(0, 1, 0, 3, 1, 5), (0, 0, 0, 3, 0, 0)])
async def test_other_groups_are_refused(
    worker: WorkerPool, tmp_path: Path, groups: tuple[int, ...]
) -> None:
    """A copy apart from its original, and an honest client among copies of another one."""
    job = written(tmp_path / "wrong", [1, 2, 1, 4, 2, 1], groups)
    weights = [random_weights(SPEC, seed) for seed in (1, 2, 1, 4, 2, 1)]
    aggregate = tmp_path / "aggregate"
    aggregate.write_bytes(encode_tensors(federated_average(weights, group_weights(groups))))
    with pytest.raises(RefusalError) as caught:
        await worker.check_job(job, aggregate, 300)
    assert caught.value.code is LearningCode.WRONG_GROUPS
