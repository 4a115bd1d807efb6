"""What falls due in one block is bounded: the next blocks do the rest, and nothing is lost."""

from __future__ import annotations

import pytest

from fedcoin.contract.actions import bonds
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.contract.tasks import lifecycle
from fedcoin.v1.transaction_pb2 import Unbond
from tests.conftest import ReportAttack
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    SETTLED,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain


def assert_a_new_ledger_agrees(chain: LedgerChain) -> None:
    """Execute the next block by a ledger that starts from the state alone, as from a snapshot."""
    state = MemoryState(dict(chain.state.scan(b"")))
    fresh = Ledger(state, chain.genesis).execute(chain.context(), [])
    assert fresh.app_hash == chain.ledger.execute(chain.context(), []).app_hash


@pytest.mark.attack
def test_coins_return_in_blocks_of_a_limited_number(
    monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    limit = bonds.MAX_RELEASES
    monkeypatch.setattr(bonds, "MAX_RELEASES", 2)
    chain = LedgerChain.create(5)
    for amount in (1_000, 2_000):
        chain.produce(*(chain.sign(miner, Unbond(amount=amount)) for miner in chain.miners))
    before = {miner: chain.balance(miner) for miner in chain.miners}
    chain.produce(after_ms=chain.genesis.parameters.unbonding_ms)
    returned = [payment.amount for payment in chain.payments()]
    while len(returned) < 10:
        # A block is due at once, and the last validator's coins are not lost.
        deadline = chain.ledger.next_deadline_ms()
        assert deadline is not None
        assert deadline <= chain.time_ms
        assert_a_new_ledger_agrees(chain)
        chain.produce()
        paid = [payment.amount for payment in chain.payments()]
        assert len(paid) == 2
        returned += paid
    assert returned == [1_000] * 5 + [2_000] * 5
    proposer_fees = sum(chain.balance(miner) - before[miner] for miner in chain.miners)
    assert proposer_fees == 5 * 3_000
    assert chain.ledger.next_deadline_ms() is None
    report_attack(
        "have the bonds of 15,420 newcomers, which displaced each other, return at one moment",
        "a block that takes a second, nine times what a block may take",
        f"{limit} return in each block, the earliest first",
    )


def open_tasks(chain: LedgerChain, count: int) -> list[LedgerCampaign]:
    """Open the tasks of several campaigns in one block."""
    jobs = [LedgerCampaign(chain) for _ in range(count)]
    terms = jobs[0].campaign_terms(rounds=1)
    openings = [chain.sign(ALICE, terms, ahead=i) for i in range(count)]
    chain.produce(*openings)
    tasks = []
    for ahead, (job, opening) in enumerate(zip(jobs, openings, strict=True)):
        job.campaign_id = opening.hash
        job.terms = job.task_terms(round=1, sampling=job.sampled(2))
        tasks.append(chain.sign(BOB, job.terms, ahead=ahead))
        job.task_id = tasks[-1].hash
    chain.produce(*tasks)
    return jobs


@pytest.mark.parametrize("phase", [COMMIT, CHALLENGE, REVEAL])
def test_windows_close_in_blocks_of_a_limited_number(
    phase: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All miners act in three tasks; when all windows are over, a block closes one of them."""
    chain = LedgerChain.create(4)
    jobs = open_tasks(chain, 3)
    trees = [
        {miner: job.tree(miner, additive(1, 2, 3), 2) for miner in chain.miners} for job in jobs
    ]
    steps = {COMMIT: LedgerCampaign.commit, CHALLENGE: LedgerCampaign.open}
    steps[REVEAL] = LedgerCampaign.reveal
    for present, step in steps.items():
        if present == phase:
            monkeypatch.setattr(lifecycle, "MAX_CLOSED_RECORDS", 0)
        for job, tree in zip(jobs, trees, strict=True):
            chain.produce(*(step(job, miner, one) for miner, one in tree.items()))
        if present == phase:
            break
    assert [job.task.phase for job in jobs] == [phase] * 3
    monkeypatch.setattr(lifecycle, "MAX_CLOSED_RECORDS", 1)
    for closed in range(1, 4):
        # A block is due at once.
        assert chain.ledger.needs_block()
        assert_a_new_ledger_agrees(chain)
        chain.produce()
        assert [job.task.phase != phase for job in jobs].count(True) == closed
    if phase == REVEAL:
        while chain.ledger.needs_block():
            chain.produce()
        assert [job.task.phase for job in jobs] == [SETTLED] * 3
    assert not chain.ledger.needs_block()
    assert not chain.penalties
