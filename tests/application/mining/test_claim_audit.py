"""Honest machines whose models answer by rounding errors, and miners that use them as a pretext.

Another machine sums in another order. Here it is one whose hidden units are in another order: the
same model, whose float32 sums are rounded differently.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.mining import rounding_spread
from fedcoin.application.mining.claim_audit import SPREADS, audit_claims
from fedcoin.application.mining.task_evaluator import TaskUtility
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.audit import EvidenceClaims, compare_counts, find_disputed
from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import task_pb2
from tests.conftest import ReportAttack
from tests.support.small_models import all_coalitions, mlp_spec, write_job

HIDDEN, CLASSES, CLIENTS = 64, 10, 3
SPEC = mlp_spec((64,), (HIDDEN,), CLASSES)
FIRST, FIRST_BIAS, LAST, LAST_BIAS = (weight.name for weight in SPEC.weights)
PER_TEN_THOUSAND = 2
TOLERANCE = 1
"""The answers by which honest machines may differ, of so many examples."""
ALONE = 1
"""The row of the hostile client's coalition."""
Weights = dict[str, NDArray[Any]]
DIGITS = load_dataset("digits")
X = (np.concatenate([DIGITS.x_train, DIGITS.x_test]).reshape(-1, 64) / 16).astype(np.float32)
Y = np.concatenate([DIGITS.y_train, DIGITS.y_test]).astype(np.int64)


def fitted(seed: int) -> Weights:
    """Fit the last layer to a part of the digits by least squares, on random first weights."""
    rows = np.random.default_rng(seed).choice(len(DIGITS.y_train), 300, replace=False)
    first = (np.random.default_rng(0).standard_normal((64, HIDDEN)) / 6).astype(np.float32)
    hidden = np.maximum(DIGITS.x_train[rows].reshape(-1, 64) / 16 @ first, 0).astype(np.float64)
    wanted = np.eye(CLASSES)[DIGITS.y_train[rows]] - 0.1
    last = np.linalg.solve(hidden.T @ hidden + 5 * np.eye(HIDDEN), hidden.T @ wanted)
    return {
        FIRST: first,
        FIRST_BIAS: np.zeros(HIDDEN, np.float32),
        LAST: last.astype(np.float32),
        LAST_BIAS: np.zeros(CLASSES, np.float32),
    }


def with_equal_columns(model: Weights) -> Weights:
    """Let all classes have the same output, up to the last digit of each weight."""
    column = np.repeat(model[LAST][:, :1], CLASSES, axis=1)
    signs = np.sign(np.random.default_rng(1).standard_normal(column.shape))
    return {**model, LAST: (column * (1 + 1.2e-7 * signs)).astype(np.float32)}


def that_cancels(model: Weights) -> Weights:
    """Let pairs of hidden units cancel but for rounding, at 100 million times their size."""
    first, last = model[FIRST] * np.float32(1e8), model[LAST].copy()
    first[:, HIDDEN // 2 :] = first[:, : HIDDEN // 2]
    last[HIDDEN // 2 :] = -last[: HIDDEN // 2]
    return {**model, FIRST: first, LAST: last}


def with_one_answer(model: Weights) -> Weights:
    """Give all examples one answer: of two classes with the same sum the one rounding prefers."""
    column = 1 + np.random.default_rng(0).random(HIDDEN, np.float32)
    last = np.zeros((HIDDEN, CLASSES), np.float32)
    last[:, np.bincount(Y).argmin()] = column
    last[:, np.bincount(Y).argmax()] = np.random.default_rng(1).permutation(column)
    still = {FIRST: np.zeros((64, HIDDEN), np.float32), FIRST_BIAS: np.ones(HIDDEN, np.float32)}
    return {**model, **still, LAST: last}


def reordered(model: Weights, seed: int) -> Weights:
    """Put the hidden units into another order."""
    order = np.random.default_rng(seed).permutation(HIDDEN)
    return {**model, FIRST: model[FIRST][:, order], LAST: model[LAST][order]}


def sent_for(bad: Weights) -> Weights:
    """Return the update with which the average of the base and this client alone is `bad`."""
    base = fitted(0)
    return {
        name: (base[name] + CLIENTS * (bad[name].astype(np.float64) - base[name])).astype("<f4")
        for name in base
    }


def write(folder: Path, bad: Weights, order: Callable[[Weights], Weights] = dict) -> UtilityJob:
    """Write the job of a client whose model alone is `bad`, and of two usual clients."""
    base, *updates = (order(model) for model in (fitted(0), sent_for(bad), fitted(1), fitted(2)))
    averaging = task_pb2.AVERAGING_EQUAL
    return write_job(folder, SPEC, base, updates, X, Y, averaging=averaging, job_id=b"a")


def claims_of(counts: NDArray[Any]) -> EvidenceClaims:
    """Return claims of all coalitions; which leaves show them is of no importance here."""
    rows = np.arange(len(counts))
    return EvidenceClaims(all_coalitions(CLIENTS), counts, rows, rows)


def claims_elsewhere(folder: Path, bad: Weights, seed: int) -> EvidenceClaims:
    """Return the claims of an honest miner whose machine sums in another order."""
    job = write(folder, bad, lambda model: reordered(model, seed))
    return claims_of(jobs.load_evaluator(job).evaluate(all_coalitions(CLIENTS)))


@asynccontextmanager
async def auditor(job: UtilityJob) -> AsyncIterator[TaskUtility]:
    """Open a job in a worker process."""
    pool = WorkerPool()
    try:
        await pool.open_job(job)
        yield TaskUtility(pool, job)
    finally:
        await pool.stop()


@pytest.fixture
def fixed_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every measurement change the same digits."""
    seeds = itertools.cycle(range(1, rounding_spread.ROUNDINGS + 1))
    monkeypatch.setattr(rounding_spread, "draw_seed", seeds.__next__)


@pytest.mark.parametrize("attack", [with_equal_columns, with_one_answer, that_cancels])
async def test_an_honest_machine_is_believed(
    attack: Callable[[Weights], Weights],
    tmp_path: Path,
    report_attack: ReportAttack,
    fixed_seeds: None,
) -> None:
    bad = attack(fitted(0))
    job = write(tmp_path / "auditor", bad)
    async with auditor(job) as utility:
        own = await utility(all_coalitions(CLIENTS))
        claims = next(
            claims
            for claims in (claims_elsewhere(tmp_path / str(seed), bad, seed) for seed in range(9))
            if len(find_disputed(claims, own, TOLERANCE))
        )
        # The other coalitions have usual models.
        assert find_disputed(claims, own, TOLERANCE).tolist() == [ALONE]
        with pytest.raises(RefusalError):
            compare_counts(claims, own, TOLERANCE)
        await audit_claims(claims, utility, len(Y), PER_TEN_THOUSAND)
    report_attack(
        f"a client's update alone answers by rounding errors (`{attack.__name__}`)",
        "honest miners with other processors are refused and lose their deposits",
        "the audit allows for the rounding errors of this coalition alone",
    )


async def test_a_forger_cannot_use_it_as_a_pretext(tmp_path: Path, fixed_seeds: None) -> None:
    job = write(tmp_path, that_cancels(fitted(0)))
    async with auditor(job) as utility:
        (spread,) = await utility.measure_spread(all_coalitions(CLIENTS)[[ALONE]])
        own = await utility(all_coalitions(CLIENTS))
        allowed = own.copy()
        allowed[ALONE] += SPREADS * spread + TOLERANCE
        await audit_claims(claims_of(allowed), utility, len(Y), PER_TEN_THOUSAND)
        for row, lie in ((ALONE, SPREADS * spread + TOLERANCE + 1), (ALONE + 1, -TOLERANCE - 1)):
            forged = allowed.copy()
            forged[row] = own[row] + lie
            with pytest.raises(RefusalError) as caught:
                await audit_claims(claims_of(forged), utility, len(Y), PER_TEN_THOUSAND)
            assert caught.value.code is IncentiveCode.AUDIT_FAILED


async def test_a_usual_model_leaves_no_room(tmp_path: Path) -> None:
    """The largest difference decides, and of forged evidence nothing else is looked into."""
    looked: list[int] = []

    class Counting(TaskUtility):
        async def measure_spread(self, coalitions: Coalitions) -> Counts:
            looked.append(len(coalitions))
            return await super().measure_spread(coalitions)

    job, pool = write(tmp_path, fitted(1)), WorkerPool()
    try:
        await pool.open_job(job)
        utility = Counting(pool, job)
        claimed = await utility(all_coalitions(CLIENTS))
        await audit_claims(claims_of(claimed), utility, len(Y), PER_TEN_THOUSAND)
        assert not looked
        claimed[2:] -= 9
        with pytest.raises(RefusalError, match="6 of 8 coalitions"):
            await audit_claims(claims_of(claimed), utility, len(Y), PER_TEN_THOUSAND)
        assert looked == [1]
    finally:
        await pool.stop()


def test_no_bound_of_magnitudes_tells_such_updates_apart() -> None:
    """What nearly ties is no larger than what other clients send."""
    largest = max(float(np.abs(array).max()) for array in fitted(1).values())
    sent = sent_for(with_equal_columns(fitted(0)))
    assert max(float(np.abs(array).max()) for array in sent.values()) < CLIENTS * largest
