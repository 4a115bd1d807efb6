"""A window stays open until validators with more than a third of the power had a turn in it."""

from __future__ import annotations

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.v1.transaction_pb2 import Unbond
from tests.support.genesis import FDC
from tests.support.ledger_campaign import CHALLENGE, COMMIT, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

GAME = additive(30, 20, 0)


def campaign(bonds: list[int]) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(len(bonds), bonds=bonds))
    job.open_campaign()
    job.open_task()
    return job


def round_of(job: LedgerCampaign, power: int) -> int:
    """Return the first round of the next height whose proposer has this power."""
    order = job.chain.ledger.proposer_order()
    return next(r for r in range(1_024) if order.proposer(r).power == power)


def power_of(job: LedgerCampaign, key: KeyPair) -> int:
    validator = job.chain.ledger.validators().by_address(key.address)
    return 0 if validator is None else validator.power


def test_proposers_of_little_power_cannot_close_a_window_however_many_they_are() -> None:
    """Twelve bonds of 1 FDC are more than a third of the validators, and 1.2 % of the power."""
    job = campaign([1_000 * FDC] * 3 + [FDC] * 12)
    chain = job.chain
    big = [k for k in chain.miners if power_of(job, k) == 1_000 * FDC]
    for _ in range(20):
        turn = round_of(job, FDC)
        chain.produce(after_ms=job.terms.commit_window_ms, round=turn)
        assert (job.task.phase, job.task.attempt) == (COMMIT, 0)
    assert 1 <= len(job.task.window_proposers) <= 12
    # Two honest proposers are enough; the first takes the commitments that were left out.
    commitments = [job.commit(m, job.tree(m, GAME)) for m in big]
    chain.produce(*commitments, round=round_of(job, 1_000 * FDC))
    while job.task.phase == COMMIT:
        chain.produce(round=round_of(job, 1_000 * FDC))
    assert (job.task.phase, job.task.attempt) == (CHALLENGE, 0)
    assert not job.task.window_proposers


def test_the_same_proposer_counts_once() -> None:
    job = campaign([3 * FDC, 3 * FDC, 4 * FDC])
    chain = job.chain
    for _ in range(6):
        turn = round_of(job, 4 * FDC)
        chain.produce(after_ms=job.terms.commit_window_ms, round=turn)
    # 4 of 10 is more than a third: one block was enough.
    assert job.task.attempt > 0
    job = campaign([3 * FDC, 3 * FDC, 3 * FDC])
    first = job.chain.ledger.proposer(0).address
    for _ in range(6):
        order = job.chain.ledger.proposer_order()
        turn = next(r for r in range(8) if order.proposer(r).address == first)
        job.chain.produce(after_ms=job.terms.commit_window_ms, round=turn)
        assert (job.task.phase, job.task.attempt) == (COMMIT, 0)


def test_the_block_that_opens_a_window_is_no_turn_in_it() -> None:
    job = campaign([3 * FDC, 3 * FDC])
    assert not job.task.window_proposers
    job.chain.produce(after_ms=job.terms.commit_window_ms)
    assert job.task.attempt == 1
    assert not job.task.window_proposers


def test_a_proposer_that_left_no_longer_counts() -> None:
    job = campaign([2 * FDC, 2 * FDC, 2 * FDC, 2 * FDC])
    chain = job.chain
    chain.produce()
    (first,) = job.task.window_proposers
    leave = chain.sign(chain.keys[first], Unbond(amount=2 * FDC))
    turn = next(r for r in range(8) if chain.ledger.proposer(r).address != first)
    chain.produce(leave, round=turn)
    assert first not in job.task.window_proposers
    assert len(job.task.window_proposers) == 1
