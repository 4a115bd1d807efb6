from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.application.mining import miner as mining
from fedcoin.application.mining import task_evaluator
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.incentive.payout import compute_deposit
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.transaction_pb2 import CommitShapley, DeclineTask, RevealShapley
from tests.support import mining_campaign, onnx_graphs
from tests.support.keys import ALICE
from tests.support.mining_campaign import CLASSES, PIXELS
from tests.support.mining_site import MiningSite, OpenMiningSite
from tests.support.recording_workers import RecordingExecutor
from tests.support.waiting import let_others_run, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL
SETTLED = block_pb2.TASK_PHASE_SETTLED
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC


async def exact_values(site: MiningSite, task_id: bytes, terms: task_pb2.OpenTask) -> NDArray[Any]:
    """Return the exact values in nano-utility, from the same worker."""
    from fedcoin.application.mining.task_evaluator import Assignment

    n = site.job.clients
    masks = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 == 1
    async with site.jobs.opened(Assignment(task_id, terms, site.job.model_id), 1) as utility:
        counts = await utility(masks)
    table = {row.tobytes(): count for row, count in zip(masks, counts.tolist(), strict=True)}
    estimate = shapley.estimate(lambda rows: [table[row.tobytes()] for row in rows], n, "exact")
    return estimate.values * 1e9 / terms.evaluation.size


async def test_an_exact_task_is_mined_and_settled(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    here.start(*here.chain.miners)
    opening = await here.job.open_task()
    await here.chain.run()
    task = here.chain.task(opening.hash)
    assert task.phase == SETTLED
    await until(lambda: not here.worker.opened)
    truth = await exact_values(here, opening.hash, here.job.terms())
    np.testing.assert_allclose(task.settlement.mean_shapley_nano, truth, atol=1.01)
    for miner in here.chain.miners:
        record = here.chain.miner(opening.hash, miner)
        assert record is not None
        assert record.revealed
        assert record.evaluations == 16
        # The finished task leaves no file behind.
        assert here.folder_of(miner).task_ids() == []
    assert len(here.submitted) == 9


async def test_a_miner_goes_on_when_its_node_has_caught_up(site: OpenMiningSite) -> None:
    """Also when no further block comes: all may wait for what this miner has committed to."""
    here = site()
    await here.job.open_campaign()
    here.chain.chain.catching_up = True
    here.start(*here.chain.miners)
    await here.job.open_task()
    await let_others_run()
    assert not here.submitted
    height = here.chain.chain.height()
    here.chain.chain.catching_up = False
    await until(lambda: len(here.submitted) == 3)
    assert here.chain.chain.height() == height


async def test_a_task_whose_model_is_an_onnx_graph_is_mined_and_settled(
    site: OpenMiningSite,
) -> None:
    """onnxruntime evaluates it for mining and for the audits of voters."""
    here = site()
    values: list[NDArray[Any]] = []
    for spec in (mining_campaign.linear_spec(), onnx_graphs.linear_spec(PIXELS, CLASSES)):
        here.job.model_id = here.store.put(spec.SerializeToString(deterministic=True))
        terms = here.job.terms()
        values.append(await exact_values(here, bytes([len(values)]) * 32, terms))
    await here.job.open_campaign()
    here.start(*here.chain.miners)
    opening = await here.job.open_task()
    await here.chain.run()
    task = here.chain.task(opening.hash)
    assert task.phase == SETTLED
    assert all(record.revealed for record in here.chain.miner_states(opening.hash))
    np.testing.assert_allclose(task.settlement.mean_shapley_nano, values[1], atol=1.01)
    # The same network as Keras' JSON, which NumPy evaluates, is worth the same.
    np.testing.assert_array_equal(values[0], values[1])


async def test_a_miner_without_a_package_gives_a_task_up_at_once(
    site: OpenMiningSite, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site()
    await here.job.open_campaign()
    opening = await here.job.open_task()
    calls: list[UtilityJob] = []

    async def refuse(job: UtilityJob) -> None:
        calls.append(job)
        raise RefusalError(LearningCode.MISSING_PACKAGE, "install fedcoin[onnx]", field="model")

    monkeypatch.setattr(here.worker, "open_job", refuse)
    here.start(here.chain.miners[0])
    await until(lambda: "gave up" in caplog.text)
    assert len(calls) == 1
    assert caplog.text.count("install fedcoin[onnx]") == 1
    # It says so on the chain, once, and does nothing in the next attempt.
    await until(lambda: here.submitted)
    await here.chain.produce()
    await here.chain.produce(after_ms=10_000)
    task = here.chain.task(opening.hash)
    assert task.attempt == 1
    await here.chain.produce()
    assert [action_name(sent.body) for sent in here.submitted] == ["decline_task"]
    assert len(calls) == 1


@pytest.mark.parametrize("schedule", [PERMUTATION, ANTITHETIC])
async def test_a_sampled_task_stops_when_its_error_is_small(
    site: OpenMiningSite, schedule: task_pb2.Schedule.ValueType
) -> None:
    here = site(clients=5, schedule=schedule)
    await here.job.open_campaign()
    here.start(*here.chain.miners)
    sampling = task_pb2.Sampling(schedule=schedule, max_samples=5_000, truncation=2)
    opening = await here.job.open_task(sampling=sampling)
    await here.chain.run()
    task = here.chain.task(opening.hash)
    assert task.phase == SETTLED
    records = here.chain.miner_states(opening.hash)
    assert all(32 <= record.samples < 5_000 and record.inlier for record in records)
    truth = await exact_values(here, opening.hash, here.job.terms())
    off = np.linalg.norm(np.array(task.settlement.mean_shapley_nano) - truth)
    # Truncation error and sampling error both stay below D.
    assert off < task.difficulty_nano


@pytest.mark.parametrize("schedule", [task_pb2.SCHEDULE_EXACT, PERMUTATION])
async def test_a_node_evaluates_each_coalition_of_a_task_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: task_pb2.Schedule.ValueType
) -> None:
    """Mining, and the audits of every reveal, though the job is closed in between."""
    monkeypatch.setattr(task_evaluator, "MAX_IDLE_JOBS", 0)
    executor = RecordingExecutor(2)
    worker = WorkerPool(executor=executor)
    here = MiningSite(tmp_path, worker, clients=5, schedule=schedule)
    try:
        await here.job.open_campaign()
        here.start(*here.chain.miners)
        opening = await here.job.open_task()
        await here.chain.run()
        assert here.chain.task(opening.hash).phase == SETTLED
        records = here.chain.miner_states(opening.hash)
        assert len(records) == 3
        assert all(record.revealed for record in records)
    finally:
        await here.close()
        await worker.stop()
    assert here.worker.asked > 2 * len(executor.count_coalitions())
    # Once by each of the two processes, on its share of the examples.
    assert set(executor.count_coalitions().values()) == {2}


async def test_a_restarted_miner_reveals_what_it_committed_to(site: OpenMiningSite) -> None:
    here = site(schedule=PERMUTATION)
    await here.job.open_campaign()
    (first, *others) = here.chain.miners
    runs = here.start(first, *others)
    opening = await here.job.open_task()
    await until(lambda: len(here.submitted) == 3)
    runs[0].cancel()
    await asyncio.wait(runs[:1])
    await here.chain.produce()
    assert here.chain.task(opening.hash).phase == CHALLENGE
    here.start(first)
    await here.chain.run()
    assert here.chain.task(opening.hash).phase == SETTLED
    record = here.chain.miner(opening.hash, first)
    assert record is not None
    assert record.revealed


async def test_work_is_on_disk_before_the_commitment_is_sent(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    miner = here.chain.miners[0]
    seen: list[Any] = []

    async def submit(action: CommitShapley | RevealShapley | DeclineTask) -> Transaction:
        seen.append(here.folder_of(miner).load(action.task_id))
        raise asyncio.CancelledError  # The machine goes down.

    opening = await here.job.open_task()
    here.chain.owner.start(here.miner(miner, submit).run(), "miner")
    await until(lambda: seen)
    assert seen[0] is not None
    assert (seen[0].attempt, len(seen[0].salt)) == (0, 32)
    # After its restart the miner commits to the same evidence.
    here.start(*here.chain.miners)
    await until(lambda: len(here.submitted) == 3)
    again = here.folder_of(miner).load(opening.hash)
    assert again is not None
    assert again.salt == seen[0].salt


async def test_a_task_is_mined_again_with_the_same_samples(site: OpenMiningSite) -> None:
    here = site(schedule=PERMUTATION)
    await here.job.open_campaign()
    (alone, *others) = here.chain.miners
    here.start(alone)
    opening = await here.job.open_task()
    await until(lambda: here.submitted)
    await here.chain.produce()
    first = here.folder_of(alone).load(opening.hash)
    # A third of the power is no quorum: the window ends, and D doubles.
    difficulty = here.chain.task(opening.hash).difficulty_nano
    await here.chain.produce(after_ms=10_000)
    task = here.chain.task(opening.hash)
    assert (task.phase, task.attempt, task.difficulty_nano) == (COMMIT, 1, 2 * difficulty)
    asked = here.worker.asked
    await until(lambda: len(here.submitted) == 2)
    second = here.folder_of(alone).load(opening.hash)
    assert first is not None
    assert second is not None
    assert (second.attempt, second.salt != first.salt) == (1, True)
    assert (second.samples.utilities == first.samples.utilities).all()
    assert here.worker.asked == asked
    here.start(*others)
    await here.chain.run()
    assert here.chain.task(opening.hash).phase == SETTLED


async def test_a_miner_of_a_second_attempt_samples_for_the_first_ones_distance(
    site: OpenMiningSite,
) -> None:
    """For twice the distance a quarter of the samples would do, but would be below the minimum
    count.
    """
    here = site(schedule=PERMUTATION, clients=6, initial_difficulty_nano=8_000_000)
    await here.job.open_campaign()
    (alone, *others) = here.chain.miners
    here.start(alone)
    sampling = task_pb2.Sampling(schedule=PERMUTATION, max_samples=5_000)
    opening = await here.job.open_task(sampling=sampling)
    await until(lambda: here.submitted)
    await here.chain.produce()
    await here.chain.produce(after_ms=10_000)
    assert here.chain.task(opening.hash).attempt == 1
    here.start(*others)
    await here.chain.run()
    assert here.chain.task(opening.hash).phase == SETTLED
    first, *joined = here.chain.miner_states(opening.hash)
    assert 200 < first.samples < 5_000
    for record in joined:
        assert record.inlier
        assert record.samples > first.samples / 2


async def test_sampling_ends_before_the_window_does(site: OpenMiningSite) -> None:
    here = site(schedule=PERMUTATION, clients=6, initial_difficulty_nano=100_000)
    here.worker.ms_each = 4.0
    await here.job.open_campaign()
    here.start(here.chain.miners[0])
    opening = await here.job.open_task(
        sampling=task_pb2.Sampling(schedule=PERMUTATION, max_samples=100_000)
    )
    await until(lambda: here.submitted)
    task = here.chain.task(opening.hash)
    assert here.chain.clock() < task.deadline_ms
    work = here.folder_of(here.chain.miners[0]).load(opening.hash)
    assert work is not None
    assert 1 <= len(work.samples.utilities) < 100_000


async def test_an_incomplete_exact_task_is_not_committed_to(
    site: OpenMiningSite, caplog: pytest.LogCaptureFixture
) -> None:
    here = site(clients=8)
    here.worker.ms_each = 200.0
    await here.job.open_campaign()
    here.start(here.chain.miners[0])
    await here.job.open_task()
    await until(lambda: "too short" in caplog.text)
    assert not here.submitted


async def test_a_miner_that_lost_its_work_says_so(
    site: OpenMiningSite, caplog: pytest.LogCaptureFixture
) -> None:
    here = site()
    await here.job.open_campaign()
    (first, *others) = here.chain.miners
    runs = here.start(first, *others)
    opening = await here.job.open_task()
    await until(lambda: len(here.submitted) == 3)
    runs[0].cancel()
    await asyncio.wait(runs[:1])
    # With the commitment on the chain: before, a miner without its work would begin again.
    await here.chain.produce()
    here.folder_of(first).remove(opening.hash)
    # On the chain before the miner starts again: it would take its samples anew for a pending one.
    await here.chain.produce()
    here.start(first)
    await here.chain.run()
    await until(lambda: "lost" in caplog.text)
    record = here.chain.miner(opening.hash, first)
    assert record is not None
    assert not record.revealed


async def test_another_commitment_of_the_same_key_is_noticed(
    site: OpenMiningSite, caplog: pytest.LogCaptureFixture
) -> None:
    here = site(schedule=PERMUTATION)
    await here.job.open_campaign()
    (first, *others) = here.chain.miners
    opening = await here.job.open_task()
    deposit = compute_deposit(1, here.job.terms().prices.mining, winner_takes_all=True)
    foreign = CommitShapley(task_id=opening.hash, attempt=0, commitment=bytes(32), deposit=deposit)
    own: list[CommitShapley | RevealShapley | DeclineTask] = []

    async def submit(action: CommitShapley | RevealShapley | DeclineTask) -> Transaction:
        own.append(action)
        return await here.chain.submit(first, foreign)

    here.chain.owner.start(here.miner(first, submit).run(), "miner")
    here.start(*others)
    await here.chain.run()
    assert "another commitment" in caplog.text
    assert len(own) == 1


async def test_missing_artifacts_are_waited_for_and_then_given_up(
    site: OpenMiningSite, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "RETRY_SECONDS", 0.01)
    here = site()
    await here.job.open_campaign()
    await here.job.open_task()
    here.store.remove(here.job.update_ids[0])
    here.start(here.chain.miners[0])
    await until(lambda: "gave up" in caplog.text)
    assert len(here.fetched) == mining.MAX_TRIES
    assert here.job.update_ids[0] in here.fetched[0]
    assert "could not be fetched" in caplog.text
    assert not here.submitted


async def test_a_refused_submission_is_tried_again(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "RETRY_SECONDS", 0.01)
    here = site()
    await here.job.open_campaign()
    await here.job.open_task()
    calls: list[CommitShapley | RevealShapley | DeclineTask] = []
    miner = here.chain.miners[0]

    async def submit(action: CommitShapley | RevealShapley | DeclineTask) -> Transaction:
        calls.append(action)
        if len(calls) == 1:
            raise RefusalError(DataCode.TOO_LARGE, "not now", field="body")
        return await here.chain.submit(miner, action)

    here.chain.owner.start(here.miner(miner, submit).run(), "miner")
    await until(lambda: len(calls) == 2)
    assert calls[0] == calls[1]


async def test_a_miner_stops_at_once(site: OpenMiningSite) -> None:
    here = site(schedule=PERMUTATION, clients=8, initial_difficulty_nano=100_000)
    await here.job.open_campaign()
    (run,) = here.start(here.chain.miners[0])
    await here.job.open_task(
        sampling=task_pb2.Sampling(schedule=PERMUTATION, max_samples=100_000),
        commit_window_ms=3_600_000,
    )
    await until(lambda: here.worker.asked > 1_000)
    started = time.monotonic()
    run.cancel()
    await asyncio.wait([run])
    assert time.monotonic() - started < 0.5  # Long before all samples could be evaluated.
    assert not here.submitted


async def test_a_miner_without_a_bond_does_nothing(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    here.chain.owner.start(here.miner(ALICE).run(), "miner")
    here.start(*here.chain.miners)
    await here.job.open_task()
    await until(lambda: len(here.submitted) == 3)
    miners = {miner.address for miner in here.chain.miners}
    assert {transaction.sender for transaction in here.submitted} == miners


async def test_leftovers_of_closed_tasks_are_cleared(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    here.start(*here.chain.miners)
    opening = await here.job.open_task()
    await until(lambda: len(here.submitted) == 3)
    miner = here.chain.miners[0]
    work = here.folder_of(miner).load(opening.hash)
    assert work is not None
    await here.chain.run()
    folder = here.folder_of(miner)
    folder.save(opening.hash, work)
    folder.save(bytes(32), work)
    here.start(miner)
    # A task that this chain does not know may be in a later block.
    await until(lambda: folder.task_ids() == [bytes(32)])


async def test_no_more_tasks_than_fit_are_worked_on(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "MAX_TASKS", 0)
    here = site()
    await here.job.open_campaign()
    here.start(*here.chain.miners)
    await here.job.open_task()
    await let_others_run()
    assert here.worker.asked == 0


async def test_a_step_with_samples_is_tried_until_its_window_ends(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "RETRY_SECONDS", 0.001)
    here = site()
    await here.job.open_campaign()
    await here.job.open_task()
    calls = 0
    miner = here.chain.miners[0]

    async def submit(action: CommitShapley | RevealShapley | DeclineTask) -> Transaction:
        nonlocal calls
        calls += 1
        if calls <= 3 * mining.MAX_TRIES:
            raise RefusalError(LedgerCode.POOL_FULL, "the mempool is full", field="fee")
        return await here.chain.submit(miner, action)

    here.chain.owner.start(here.miner(miner, submit).run(), "miner")
    await until(lambda: calls > 3 * mining.MAX_TRIES)


async def test_a_task_below_the_floor_price_is_left_alone(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    miner = here.miner(here.chain.miners[0], floor_price=10**12)
    here.chain.owner.start(miner.run(), "miner")
    await here.job.open_task()
    await let_others_run()
    assert here.worker.asked == 0
    assert not here.fetched


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
