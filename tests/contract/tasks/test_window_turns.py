"""A window stays open until validators with more than a third of the power had a turn in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedcoin.contract.blocks.transition import apply_transaction
from fedcoin.contract.blocks.validation import make_header
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import STEPS_PER_ANSWER
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.tasks.window_turns import MAX_LEFT_OUT
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import build_block
from fedcoin.v1.transaction_pb2 import Unbond
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    SETTLE,
    LedgerCampaign,
    additive,
)
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


@pytest.mark.attack
def test_proposers_of_little_power_cannot_close_a_window_however_many_they_are(
    report_attack: ReportAttack,
) -> None:
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
    report_attack(
        "censors with 12 bonds of 1 FDC beside three of 1,000 FDC close windows early",
        "honest messages stay out of the window, and the deposits are lost",
        "the window stays open through all of their blocks; no deposit is lost",
    )


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


def leave_out_reveals(chain: LedgerChain, after_ms: int) -> None:
    """Make a block final whose proposer says that it left reveals out."""
    context = replace(chain.context(after_ms=after_ms), left_out_reveals=True)
    header = make_header(context, chain.hash, chain.genesis, chain.ledger.execute(context, []))
    block = build_block(header, context.last_certificate, [])
    chain.add(block, chain.certify(block))


def test_a_block_that_leaves_reveals_out_is_no_turn_in_a_reveal_window() -> None:
    """The window is stretched while validators differ on a reveal, but not for good."""
    job = campaign([10 * FDC] * 4)
    chain = job.chain
    chain.produce(*(job.commit(m, job.tree(m, GAME)) for m in chain.miners))
    chain.produce(*(job.open(m, job.tree(m, GAME)) for m in chain.miners))
    assert job.task.phase == REVEAL
    chain.produce(*(job.reveal(m, job.tree(m, GAME)) for m in chain.miners[:3]))
    late = job.reveal(chain.miners[3], job.tree(chain.miners[3], GAME))
    turns = len(job.task.window_proposers)
    for number in range(1, MAX_LEFT_OUT + 1):
        leave_out_reveals(chain, job.terms.reveal_window_ms)
        assert (job.task.phase, job.task.window_left_out) == (REVEAL, number)
        assert len(job.task.window_proposers) == turns
    chain.ledger.check(late, chain.height, chain.time_ms + 10)
    for _ in range(4):
        leave_out_reveals(chain, job.terms.reveal_window_ms)
    assert job.task.phase != REVEAL


def test_leaving_reveals_out_stretches_no_other_window() -> None:
    job = campaign([3 * FDC, 3 * FDC])
    leave_out_reveals(job.chain, job.terms.commit_window_ms)
    assert job.task.attempt == 1
    assert job.task.window_left_out == 0


@pytest.mark.attack
def test_a_block_full_of_other_miners_steps_is_no_turn(report_attack: ReportAttack) -> None:
    """The largest validator proposes it, so that its turn alone would end a window by time."""
    job = campaign([FDC, FDC, 4 * FDC])
    chain = job.chain
    trees = {miner: job.tree(miner, GAME) for miner in chain.miners}
    chain.produce(*(job.commit(miner, tree) for miner, tree in trees.items()))
    chain.produce(*(job.open(miner, tree) for miner, tree in trees.items()))
    answers = [job.reveal(miner, tree) for miner, tree in trees.items()]
    late = chain.context(after_ms=job.terms.reveal_window_ms, round=round_of(job, 4 * FDC))
    for steps, phase in ((2 * STEPS_PER_ANSWER, REVEAL), (3 * STEPS_PER_ANSWER, SETTLE)):
        context = chain.ledger.new_context(late)
        context.room.steps = steps
        for answer in answers[:2]:
            apply_transaction(context, answer)
        lifecycle.end_block(context, chain.ledger.validators())
        task = records.TASKS.get(context.state, job.task_id)
        assert task is not None
        assert task.phase == phase
        assert task.window_left_out == (phase == REVEAL)
    report_attack(
        "open 63 tasks beside an honest one and have all miners answer in all, in windows of 2 s",
        "a block holds 256 answers, and the next one ends windows: the deposits of those that were"
        " left out burn",
        "a block that has no room for another answer is no turn, so that windows wait for the rest",
    )
