from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.mining import task_evaluator
from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.application.node import block_auditor as auditing
from fedcoin.application.node import left_out_updates
from fedcoin.application.node.block_auditor import Auditor
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import decode_update
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.evaluation.job import Coalitions, Counts
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.worker_slot import overdue_error
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.transaction_pb2 import (
    CommitShapley,
    RegisterReceipt,
    RevealShapley,
    Transfer,
    TransferOutput,
)
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.mining_site import CountingWorker, MiningSite, OpenMiningSite
from tests.support.small_models import recurrent_spec
from tests.support.waiting import let_others_run, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVEAL = block_pb2.TASK_PHASE_REVEAL
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
SALT = b"s" * 32


async def expect(code: Enum, check: Any) -> RefusalError:
    with pytest.raises(RefusalError) as refused:
        await check
    assert refused.value.code is code, refused.value
    assert refused.value.field
    return refused.value


async def in_block(here: MiningSite, *transactions: Transaction) -> Sequence[Transaction]:
    """Put transactions into a valid block; returns them as decoded from it."""
    here.chain.now_ms += 10
    proposer = here.chain.chain.ledger.proposer(0)
    draft = await here.chain.chain.build(proposer.address, transactions)
    assert not draft.refused, [refused.hash.hex() for refused in draft.refused]
    return (await here.chain.chain.check(draft.block, round=0)).transactions


# --- tasks ---


async def test_a_sound_task_passes_once_for_pool_and_vote(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    opening = here.chain.sign(here.job.server, here.job.terms())
    await here.pool.submit(opening)
    await here.auditor.check_transaction(opening)
    await here.auditor.check_block(await in_block(here, opening))
    assert here.worker.checked == 1


async def test_a_model_that_takes_for_ever_is_refused_before_anything_is_evaluated(
    site: OpenMiningSite, report_attack: ReportAttack
) -> None:
    here = site()
    # A few thousand weights, and a million steps for each example.
    raw = recurrent_spec(1_000_000, units=64).SerializeToString(deterministic=True)
    here.job.model_id = here.store.put(raw)
    await here.job.open_campaign()
    opening = here.chain.sign(here.job.server, here.job.terms())
    for _ in range(2):
        refusal = await expect(LearningCode.TOO_SLOW, here.auditor.check_transaction(opening))
    assert "multiply-adds" in refusal.message
    assert (here.worker.checked, here.worker.asked, here.worker.opened) == (1, 0, set())
    report_attack(
        "Open a task whose model has 5,000 weights and takes a million steps for each example",
        "every miner's workers, without end",
        "refused by each voter (`TOO_SLOW`); nothing is evaluated",
    )


async def test_a_validator_without_a_package_says_that_it_cannot_audit(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal says nothing about the task, and so does not stay when the package comes."""
    here = site()
    await here.job.open_campaign()
    opening = here.chain.sign(here.job.server, here.job.terms())
    with monkeypatch.context() as patch:

        async def refuse(*_: Any) -> None:
            raise RefusalError(LearningCode.MISSING_PACKAGE, "install it", field="model")

        patch.setattr(here.worker, "check_job", refuse)
        await expect(LearningCode.MISSING_PACKAGE, here.auditor.check_transaction(opening))
    assert LearningCode.MISSING_PACKAGE in auditing.TRANSIENT_CODES
    await here.auditor.check_transaction(opening)


async def test_a_task_that_no_machine_can_mine_in_its_window_is_refused(
    site: OpenMiningSite,
) -> None:
    here = site()
    raw = recurrent_spec(1_000_000).SerializeToString(deterministic=True)
    here.job.model_id = here.store.put(raw)
    await here.job.open_campaign()
    short = here.chain.sign(here.job.server, here.job.terms(commit_window_ms=2_000))
    await expect(LearningCode.TOO_SLOW, here.auditor.check_transaction(short))


async def test_a_task_that_is_replaced_while_it_is_looked_into(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    opening = here.chain.sign(here.job.server, here.job.terms())
    looking = asyncio.create_task(here.pool.submit(opening))
    await until(lambda: here.pool.get(opening.hash) is not None)
    transfer = Transfer(outputs=[TransferOutput(recipient=ALICE.address, amount=5)])
    nonce, fee = opening.body.nonce, 2 * opening.body.fee
    instead = here.chain.sign(here.job.server, transfer, nonce=nonce, fee=fee)
    await here.pool.submit(instead)
    await looking
    assert here.pool.ready() == here.pool.pending() == [instead]
    assert instead.hash.hex() in (here.pool.dropped_reason(opening.hash) or "")
    await here.chain.produce()
    assert not here.pool.pending()


async def test_a_campaign_and_its_task_in_one_block(site: OpenMiningSite) -> None:
    here = site()
    campaign = here.chain.sign(here.job.requester, here.job.campaign())
    here.job.campaign_id = campaign.hash
    opening = here.chain.sign(here.job.server, here.job.terms())
    await expect(LedgerCode.UNKNOWN_CAMPAIGN, here.auditor.check_transaction(opening))
    await here.auditor.check_block(await in_block(here, campaign, opening))


async def test_a_task_waits_for_its_campaign(site: OpenMiningSite) -> None:
    here = site()
    opening_campaign = await here.chain.submit(here.job.requester, here.job.campaign())
    here.job.campaign_id = opening_campaign.hash
    opening = here.chain.sign(here.job.server, here.job.terms())
    check = asyncio.create_task(here.auditor.check_transaction(opening))
    await let_others_run()
    assert not check.done()
    await here.chain.produce()
    await check


async def test_other_transactions_are_none_of_its_business(site: OpenMiningSite) -> None:
    here = site()
    outputs = [TransferOutput(recipient=BOB.address, amount=5)]
    transfer = here.chain.sign(ALICE, Transfer(outputs=outputs))
    await here.auditor.check_transaction(transfer)
    await here.auditor.check_block(await in_block(here, transfer))


def changed(weights: Mapping[str, NDArray[Any]], **arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {**weights, **arrays}


async def unsound_task(here: MiningSite, what: str) -> Transaction:
    """A task whose artifacts exist, with one fault."""
    job, terms = here.job, {}
    good = job.weights[0]
    nan = np.full((6, 3), np.nan, dtype=np.float32)
    updates: dict[str, dict[str, NDArray[Any]]] = {
        "nan": changed(good, kernel=nan),
        "shape": changed(good, kernel=good["kernel"][:-1]),
        "dtype": changed(good, kernel=good["kernel"].astype(np.int32)),
        "names": {"other": good["kernel"]},
    }
    if what in updates:
        job.weights[0] = updates[what]
        job.update_ids[0] = here.store.put(encode_tensors(updates[what]))
    elif what == "aggregate":
        terms["aggregate"] = job.base_id
    elif what == "labels":
        x = np.zeros((120, 6), dtype=np.float32)
        job.evaluation_id = here.store.put(encode_tensors({"x": x, "y": np.full(120, 3)}))
    elif what == "junk":
        job.update_ids[0] = here.store.put(b"junk")
    elif what == "size":
        shard = task_pb2.EvaluationShard(artifact=job.evaluation_id, size=119)
        terms["evaluation"] = shard  # type: ignore[assignment]
    elif what == "missing":
        here.store.remove(job.base_id)
    await job.open_campaign()
    return here.chain.sign(job.server, job.terms(**terms))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("nan", LearningCode.NOT_FINITE),
        ("shape", LearningCode.WRONG_SHAPE),
        ("dtype", LearningCode.WRONG_DTYPE),
        ("names", LearningCode.WRONG_NAMES),
        ("aggregate", LearningCode.WRONG_AGGREGATE),
        ("labels", LearningCode.LABEL_OUT_OF_RANGE),
        ("size", LearningCode.WRONG_SIZE),
        ("junk", DataCode.BAD_TENSOR),
        ("missing", DataCode.UNKNOWN_ARTIFACT),
    ],
)
async def test_an_unsound_task_gets_no_vote(
    site: OpenMiningSite, what: str, code: Enum, report_attack: ReportAttack
) -> None:
    here = site()
    opening = await unsound_task(here, what)
    await expect(code, here.pool.submit(opening))
    assert here.pool.ready() == []
    await expect(code, here.auditor.check_block(await in_block(here, opening)))
    # A verdict is final, while a missing artifact may arrive, and is looked for again.
    assert here.worker.checked == (0 if what == "missing" else 1)
    assert len(here.fetched) == (2 if what == "missing" else 0)
    report_attack(
        f"a coordinator opens a task with a wrong artifact ({what})",
        "no more than now",
        f"no vote: `{code.name}`",
    )


async def with_registered_receipts(here: MiningSite, clients: int = 3) -> None:
    """Open a campaign whose server goes away after it signed receipts for updates."""
    job, window = here.job, 3_600_000
    job.receipt_window_ms = window
    await job.open_campaign()
    coins = [TransferOutput(recipient=key.address, amount=5 * FDC) for key in job.keys]
    await here.chain.submit(ALICE, Transfer(outputs=coins))
    await here.chain.produce()
    genesis_hash = here.chain.chain.genesis.hash
    for number in range(clients):
        update = job.update(number)
        receipt = sign_receipt(decode_update(update, genesis_hash), 1, job.server, genesis_hash)
        action = RegisterReceipt(update=update, receipt=receipt)
        await here.chain.submit(job.keys[number], action)
    await here.chain.produce()
    here.chain.now_ms += window
    await here.chain.produce()


def task_of_client(here: MiningSite, *numbers: int) -> Transaction:
    """Sign the task of the first of some clients, with the updates of all of them."""
    job = here.job
    average = federated_average([job.weights[n] for n in numbers], [1] * len(numbers))
    terms = job.terms(
        aggregate=here.store.put(encode_tensors(average)),
        updates=[job.update(number) for number in numbers],
        averaging=task_pb2.AVERAGING_EQUAL,
        commit_window_ms=30_000,
    )
    return here.chain.sign(job.keys[numbers[0]], terms)


@pytest.mark.parametrize("fault", ["missing", "nan"])
async def test_a_client_leaves_a_registered_update_out(
    site: OpenMiningSite, fault: str, report_attack: ReportAttack
) -> None:
    """It may when the weights are missing or unsound, not when they could be valued."""
    here = site()
    job = here.job
    job.update_ids[2] = here.store.put(
        encode_tensors(changed(job.weights[2], bias=np.full(3, np.nan, dtype=np.float32)))
    )
    await with_registered_receipts(here)
    if fault == "missing":
        here.store.remove(job.update_ids[2])
    selfish = task_of_client(here, 0)
    await expect(LedgerCode.RECEIPT_LEFT_OUT, here.pool.submit(selfish))
    await expect(
        LedgerCode.RECEIPT_LEFT_OUT, here.auditor.check_block(await in_block(here, selfish))
    )
    fair = task_of_client(here, 0, 1)
    await here.auditor.check_block(await in_block(here, fair))
    report_attack(
        f"a client opens the round alone, or a registered update that is {fault} keeps it from it",
        "only the server could open it",
        "voters refuse a task that lacks a sound registered update, and no other",
    )


async def test_many_registered_updates_whose_weights_nobody_has(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    """A server registers them so that voters wait for each before they vote for a client's task."""
    monkeypatch.setattr(left_out_updates, "LEFT_OUT_SECONDS", 0.05)
    here = site(clients=10)
    await with_registered_receipts(here, clients=10)
    for number in range(1, 10):
        here.store.remove(here.job.update_ids[number])
    waiting, most = 0, 0

    async def ensure(limits: Mapping[bytes, int], timeout_s: float, room: bytes) -> bool:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(timeout_s)
        waiting -= 1
        return False

    jobs = TaskJobs(here.worker, here.store, ensure)
    auditor = Auditor(here.chain.chain, jobs, artifact_seconds=0.2)
    await auditor.check_block(await in_block(here, task_of_client(here, 0)))
    assert most == 9
    report_attack(
        "a server registers receipts for 127 updates whose weights nobody has, so that voters look"
        " for them before they vote for a client's task",
        "only the server could open it",
        "16 at a time: 40 s for all of them, where one after the other took 635 s",
    )


async def test_a_missing_artifact_may_come_later(site: OpenMiningSite) -> None:
    here = site()
    content = here.store.read(here.job.base_id)
    opening = await unsound_task(here, "missing")
    await expect(DataCode.UNKNOWN_ARTIFACT, here.auditor.check_transaction(opening))
    here.store.put(content)
    await here.auditor.check_transaction(opening)


# --- reveals ---


class Round:
    """A task in its reveal phase, all miners' honest samples, and what each committed to."""

    def __init__(self, here: MiningSite, terms: task_pb2.OpenTask, task_id: bytes) -> None:
        self.here, self.terms, self.task_id = here, terms, task_id
        self.trees: dict[bytes, EvidenceTree] = {}

    async def samples(self, miner: KeyPair, count: int) -> tuple[NDArray[Any], int, int]:
        plan = build_plan(self.terms, self.task_id, miner.public_key)
        assignment = Assignment(self.task_id, self.terms, self.here.job.model_id)
        n = plan.clients
        async with self.here.jobs.opened(assignment, 1) as utility:
            ends = await utility(np.array([[True] * n, [False] * n]))
            rows = [await utility(plan.coalitions(leaf)) for leaf in range(count)]
        return np.stack(rows), int(ends[0]), int(ends[1])

    async def commit(self, miner: KeyPair, utilities: NDArray[Any], grand: int, empty: int) -> None:
        plan = build_plan(self.terms, self.task_id, miner.public_key)
        tree = build_evidence_tree(plan, utilities, grand, empty)
        self.trees[miner.address] = tree
        action = CommitShapley(
            task_id=self.task_id,
            attempt=0,
            commitment=compute_commitment(
                tree.build_opening(), SALT, self.task_id, 0, miner.address
            ),
            deposit=compute_deposit(
                self.here.chain.chain.genesis.parameters.commit_deposit,
                self.terms.prices.mining,
                winner_takes_all=True,
            ),
        )
        await self.here.chain.submit(miner, action)

    async def open(self, miner: KeyPair) -> None:
        sums = self.trees[miner.address].build_opening()
        action = RevealShapley(task_id=self.task_id, salt=SALT, evidence=sums)
        await self.here.chain.submit(miner, action)

    def reveal(self, miner: KeyPair) -> Transaction:
        task, tree = self.here.chain.task(self.task_id), self.trees[miner.address]
        q = self.here.chain.chain.genesis.parameters.challenge_leaves
        due = draw_challenged_leaves(task.challenge, miner.public_key, tree.samples, q)
        action = RevealShapley(task_id=self.task_id, salt=SALT, evidence=tree.prove(due))
        return self.here.chain.sign(miner, action)


async def revealing(
    site: OpenMiningSite, forge: Callable[[NDArray[Any], int, int], tuple[NDArray[Any], int, int]]
) -> tuple[MiningSite, Round, KeyPair]:
    """Let three miners commit; the first commits to what `forge` makes of its samples."""
    here = site(schedule=PERMUTATION)
    await here.job.open_campaign()
    opening = await here.job.open_task()
    round = Round(here, here.job.terms(), opening.hash)
    liar, *others = here.chain.miners
    await round.commit(liar, *forge(*await round.samples(liar, 60)))
    for miner in others:
        await round.commit(miner, *await round.samples(miner, 60))
    await here.chain.produce()
    for miner in here.chain.miners:
        await round.open(miner)
    await here.chain.produce()
    assert here.chain.task(opening.hash).phase == REVEAL
    return here, round, liar


async def test_an_honest_reveal_passes_once_for_pool_and_vote(site: OpenMiningSite) -> None:
    here, round, miner = await revealing(site, lambda *samples: samples)
    asked = here.worker.asked
    transaction = round.reveal(miner)
    await here.pool.submit(transaction)
    await here.auditor.check_block(await in_block(here, transaction))
    # 44 leaves of 4 prefixes, without the grand coalition, and the two end points.
    assert here.worker.asked - asked == 44 * 3 + 2
    assert [ready.hash for ready in here.pool.ready()] == [transaction.hash]


async def test_a_validator_whose_workers_were_too_busy_says_that_it_cannot_audit(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal says nothing about the reveal, which is audited when the machine has time."""
    here, round, miner = await revealing(site, lambda *samples: samples)
    transaction = round.reveal(miner)
    with monkeypatch.context() as patch:

        async def miss_the_time(*_: Any, **__: Any) -> None:
            raise overdue_error("while evaluating coalitions", 1.0)

        patch.setattr(here.worker, "evaluate", miss_the_time)
        await expect(LearningCode.OVERDUE, here.auditor.check_transaction(transaction))
    assert LearningCode.OVERDUE in auditing.TRANSIENT_CODES
    await here.auditor.check_transaction(transaction)


def raise_first_prefixes(
    utilities: NDArray[Any], grand: int, empty: int
) -> tuple[NDArray[Any], int, int]:
    utilities[:, 0] = np.minimum(utilities[:, 0] + 10, 120)
    return utilities, grand, empty


FORGERS = {
    "leaves": (raise_first_prefixes, "leaf "),
    "grand": (lambda u, g, e: (u, g - 5, e), "the grand coalition"),
    "empty": (lambda u, g, e: (u, g, e + 5), "the empty coalition"),
}


@pytest.mark.attack
@pytest.mark.parametrize("what", FORGERS)
async def test_a_forged_reveal_gets_no_vote(
    site: OpenMiningSite, what: str, report_attack: ReportAttack
) -> None:
    forge, named = FORGERS[what]
    here, round, liar = await revealing(site, forge)
    transaction = round.reveal(liar)
    refusal = await expect(IncentiveCode.AUDIT_FAILED, here.pool.submit(transaction))
    assert named in refusal.message
    assert here.pool.ready() == []
    asked = here.worker.asked
    await expect(
        IncentiveCode.AUDIT_FAILED, here.auditor.check_block(await in_block(here, transaction))
    )
    assert here.worker.asked == asked
    honest = round.reveal(here.chain.miners[1])
    await here.auditor.check_block(await in_block(here, honest))
    block = await in_block(here, honest, transaction)
    await expect(IncentiveCode.AUDIT_FAILED, here.auditor.check_block(block))
    report_attack(
        f"a miner forges its evidence ({what})",
        "no more than now",
        "no vote: `AUDIT_FAILED`",
    )


async def test_what_cannot_be_audited_does_not_hide_a_forged_reveal(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge, _ = FORGERS["leaves"]
    here, round, liar = await revealing(site, forge)
    honest, forged = round.reveal(here.chain.miners[1]), round.reveal(liar)
    block = await in_block(here, honest, forged)
    assert block[0].hash == honest.hash
    evaluate = here.worker.evaluate
    for transactions, code in (
        (block, IncentiveCode.AUDIT_FAILED),
        (block[:1], ApplicationCode.PROCESS_FAILED),
    ):
        calls = itertools.count()

        async def fail_once(
            job_id: bytes,
            coalitions: Coalitions,
            *,
            urgent: bool = False,
            calls: Iterator[int] = calls,
        ) -> Counts:
            if next(calls) == 0:
                raise WorkerError("the worker died")
            return await evaluate(job_id, coalitions)

        monkeypatch.setattr(here.worker, "evaluate", fail_once)
        await expect(code, here.auditor.check_block(transactions))


async def test_counts_within_the_tolerance_pass(site: OpenMiningSite) -> None:
    def off_by_one(
        utilities: NDArray[Any], grand: int, empty: int
    ) -> tuple[NDArray[Any], int, int]:
        # 120 examples at 2 in 10,000: a tolerance of one right answer, rounded up.
        return np.maximum(utilities - 1, 0), grand, empty

    here, round, miner = await revealing(site, off_by_one)
    await here.auditor.check_transaction(round.reveal(miner))


async def test_a_reveal_for_an_unknown_task_is_refused(site: OpenMiningSite) -> None:
    here = site()
    action = RevealShapley(task_id=bytes(32), salt=SALT)
    # An opening has no leaves to evaluate.
    await here.auditor.check_transaction(here.chain.sign(here.chain.miners[0], action))
    action.evidence.leaves.add()
    reveal = here.chain.sign(here.chain.miners[0], action)
    await expect(LedgerCode.UNKNOWN_TASK, here.auditor.check_transaction(reveal))


async def test_a_worker_that_cannot_say_is_asked_again(site: OpenMiningSite) -> None:
    here, round, miner = await revealing(site, lambda *samples: samples)
    broken = WorkerPool()
    await broken.stop()
    worker = CountingWorker(broken, here.chain)
    auditor = Auditor(here.chain.chain, TaskJobs(worker, here.store, here.ensure))
    transaction = round.reveal(miner)
    for _ in range(2):
        refusal = await expect(
            ApplicationCode.PROCESS_FAILED, auditor.check_transaction(transaction)
        )
        assert "worker" in refusal.message
    worker.worker = here.worker.worker  # As after a restart of the worker.
    await auditor.check_transaction(transaction)


async def test_two_callers_at_once_share_the_work(site: OpenMiningSite) -> None:
    here, round, miner = await revealing(site, lambda *samples: samples)
    asked = here.worker.asked
    transaction = round.reveal(miner)
    checks = [here.auditor.check_transaction(transaction) for _ in range(5)]
    await asyncio.gather(*checks)
    assert here.worker.asked - asked == 44 * 3 + 2


async def test_a_cancelled_caller_leaves_the_work_to_the_next(site: OpenMiningSite) -> None:
    here, round, miner = await revealing(site, lambda *samples: samples)
    transaction = round.reveal(miner)
    first, second = (
        asyncio.create_task(here.auditor.check_transaction(transaction)) for _ in range(2)
    )
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled() or first.done()


async def test_verdicts_are_bounded(site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "MAX_VERDICTS", 3)
    here = site()
    for number in range(10):
        reveal = RevealShapley(task_id=bytes([number]) * 32, salt=SALT)
        reveal.evidence.leaves.add()
        signed = here.chain.sign(here.chain.miners[0], reveal)
        await expect(LedgerCode.UNKNOWN_TASK, here.auditor.check_transaction(signed))
    assert here.auditor.num_verdicts == 3


# --- jobs ---


async def test_idle_jobs_are_closed_the_oldest_first(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_evaluator, "MAX_IDLE_JOBS", 1)
    here = site()
    await here.job.open_campaign()
    terms = here.job.terms()
    one, two = (Assignment(bytes([number]) * 32, terms, here.job.model_id) for number in (1, 2))
    async with here.jobs.opened(one, 1), here.jobs.opened(two, 1), here.jobs.opened(one, 1):
        assert here.worker.opened == {one.task_id, two.task_id}
        await here.jobs.forget(two.task_id)
        assert two.task_id in here.worker.opened
    assert here.worker.opened == {one.task_id}
    await here.jobs.forget(one.task_id)
    await here.jobs.forget(one.task_id)
    assert here.worker.opened == set()
