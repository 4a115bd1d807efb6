"""What open tasks cost a block, at their largest number."""

from __future__ import annotations

import time

import pytest

from fedcoin.contract.tasks.room_rent import MAX_OPEN_TASKS
from fedcoin.v1.transaction_pb2 import CommitShapley
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_chain import LedgerChain

WINDOW_MS = 100_000
MINERS = 20
MAX_MS = 100


@pytest.mark.slow
def test_all_open_tasks_together_cost_a_block_less_than_100_ms() -> None:
    """Idle, and when all commit windows and then all challenge windows close in one block."""
    chain = LedgerChain.create(MINERS, balance=100_000 * FDC, max_block_bytes=3_000_000)
    job = LedgerCampaign(chain)
    terms = job.campaign_terms(budget=10, rounds=1)
    openings = [chain.sign(ALICE, terms, ahead=i) for i in range(MAX_OPEN_TASKS)]
    chain.produce(*openings)
    tasks = []
    for ahead, opening in enumerate(openings):
        job.campaign_id = opening.hash
        task = job.task_terms(round=1, commit_window_ms=WINDOW_MS, reveal_window_ms=WINDOW_MS)
        tasks.append(chain.sign(BOB, task, ahead=ahead))
    chain.produce(*tasks)

    def milliseconds(after_ms: int = 10) -> float:
        start = time.process_time()
        chain.ledger.execute(chain.context(after_ms=after_ms), [])
        return (time.process_time() - start) * 1e3

    assert milliseconds() < MAX_MS
    deposit = chain.genesis.parameters.commit_deposit
    commits = [
        CommitShapley(task_id=task.hash, commitment=b"c" * 32, deposit=deposit) for task in tasks
    ]
    for miner in chain.miners[: MINERS * 6 // 10]:
        chain.produce(*(chain.sign(miner, commit, ahead=i) for i, commit in enumerate(commits)))
    for _ in range(MINERS):
        chain.produce()
    assert milliseconds() < MAX_MS
    assert milliseconds(WINDOW_MS) < MAX_MS
    chain.produce(after_ms=WINDOW_MS)
    for _ in range(MINERS):
        chain.produce()
    assert milliseconds(WINDOW_MS) < MAX_MS
