"""Sampled tasks of many clients through the whole chain: mined, proved, audited and paid.

Worker, evidence and blocks are real; the network is tiny, so that evaluating it is cheap.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.contract.state import records
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.messages.transactions import decode_transaction
from fedcoin.incentive.proof.audit import list_claims
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import block_pb2, task_pb2
from tests.support.mining_campaign import EXAMPLES
from tests.support.mining_site import MiningSite

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC
LEAVES = 44


async def settle(here: MiningSite, samples: int) -> bytes:
    """Run one task with this many samples of each miner, from its campaign to its payment."""
    await here.job.open_campaign()
    here.start(*here.chain.miners)
    sampling = task_pb2.Sampling(schedule=ANTITHETIC, max_samples=samples)
    opening = await here.job.open_task(
        sampling=sampling, commit_window_ms=3_600_000, reveal_window_ms=3_600_000
    )
    # No block is produced while the miners evaluate.
    for _ in range(1_000):
        await here.chain.run()
        if here.chain.task(opening.hash).closed_height:
            break
    return opening.hash


@pytest.mark.parametrize(
    ("clients", "samples", "difficulty", "most_bytes", "most_share"),
    [
        (20, 480, 20_000_000, 14_000, 0.1),
        pytest.param(50, 2_000, 10_000_000, 30_000, 0.025, marks=pytest.mark.slow),
        pytest.param(100, 5_000, 8_000_000, 64_000, 0.01, marks=pytest.mark.slow),
    ],
)
async def test_many_clients(
    tmp_path: Path,
    worker: WorkerPool,
    clients: int,
    samples: int,
    difficulty: int,
    most_bytes: int,
    most_share: float,
) -> None:
    # D asks for more samples than are allowed, and a miner with the maximum is still an inlier.
    here = MiningSite(
        tmp_path,
        worker,
        clients=clients,
        schedule=ANTITHETIC,
        miners=2,
        challenge_leaves=LEAVES,
        initial_difficulty_nano=difficulty,
    )
    try:
        task_id = await settle(here, samples)
        task = here.chain.task(task_id)
        assert task.phase == block_pb2.TASK_PHASE_SETTLED
        mean = task.settlement.mean_shapley_nano
        assert len(mean) == clients
        for miner in here.chain.miners:
            transaction = decode_transaction(
                evidence(here, task_id, miner.address), here.chain.chain.genesis.identity
            )
            shown = transaction.body.reveal_shapley.evidence
            plan = build_plan(terms_of(here, task_id), task_id, miner.public_key)
            mined = plan.evaluations(shown.samples)
            assert (shown.samples, len(shown.leaves)) == (samples, LEAVES)
            assert mined == samples * clients
            assert len(transaction.raw) < most_bytes
            # The two end points are evaluated once for all leaves, whose last coalitions are the
            # grand one.
            audited = len(list_claims(shown, plan).coalitions)
            assert audited == LEAVES * (clients - 1) + 2
            assert audited < most_share * mined
            # The values add up to the grand coalition's count minus the empty one's.
            due = (shown.grand_count - shown.empty_count) * 10**9 / EXAMPLES
            assert abs(sum(mean) - due) <= 1
        check_payments(here, task_id)
    finally:
        await here.close()


def evidence(here: MiningSite, task_id: bytes, miner: bytes) -> bytes:
    """Return a miner's transaction with the reveal."""
    place = here.chain.store.index.find_reveal(task_id, miner)
    assert place is not None
    stored = here.chain.store.block(place.height)
    assert stored is not None
    return block_pb2.Block.FromString(stored.raw).transactions[place.position]


def terms_of(here: MiningSite, task_id: bytes) -> task_pb2.OpenTask:
    terms = records.TERMS.get(here.chain.store, task_id)
    assert terms is not None
    return terms


def check_payments(here: MiningSite, task_id: bytes) -> None:
    """Check that the task's whole price was paid, and that payouts follow the values."""
    height = here.chain.task(task_id).closed_height
    receipts = [decode_receipt(raw) for raw in here.chain.store.receipts(height)]
    paid = [r.payment for r in receipts if r.HasField("payment") and r.payment.task_id == task_id]
    kinds = block_pb2.PaymentKind
    deposits = {
        kinds.PAYMENT_KIND_DEPOSIT_RETURNED,
        kinds.PAYMENT_KIND_DEPOSIT_BURNED,
        kinds.PAYMENT_KIND_TASK_DEPOSIT_RETURNED,
    }
    prices = terms_of(here, task_id).prices
    whole = prices.training + prices.aggregation + prices.mining
    assert sum(p.amount for p in paid if p.kind not in deposits) == whole
    trained = [p for p in paid if p.kind == kinds.PAYMENT_KIND_TRAINING]
    assert sum(p.amount for p in trained) == prices.training
    by_value = sorted(trained, key=lambda p: p.shapley_nano)
    assert [p.amount for p in by_value] == sorted(p.amount for p in trained)
