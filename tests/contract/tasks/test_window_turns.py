"""A window stays open until validators with more than a third of the power had a turn in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedcoin.contract.blocks.transition import apply_transaction
from fedcoin.contract.blocks.validation import make_header
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import STEPS_PER_ANSWER
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.tasks.window_turns import MAX_LEFT_OUT
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.transaction_pb2 import Unbond
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, key_of
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    SETTLE,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to

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
        assert not task.window_left_out
    report_attack(
        "open 63 tasks beside an honest one and have all miners answer in all, in windows of 2 s",
        "a block holds 256 answers, and the next one ends windows: the deposits of those that were"
        " left out burn",
        "a block that has no room for another answer is no turn, so that windows wait for the rest",
    )


BYTES = {"max_block_bytes": 24_576, "max_transaction_bytes": 12_288}
"""A block has room for four answers of the sampled tasks below, and not for five."""


def answered(bonds: list[int], **parameters: Any) -> tuple[LedgerCampaign, list[Transaction]]:
    """Play a sampled task up to its last window; give the answers that its miners then send."""
    chain = LedgerChain.create(len(bonds), bonds=bonds, **parameters)
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task(sampling=job.sampled(300), reveal_window_ms=20_000)
    trees = {miner: job.tree(miner, GAME, 300) for miner in chain.miners}
    chain.produce(*(job.commit(miner, tree) for miner, tree in trees.items()))
    chain.produce(*(job.open(miner, tree) for miner, tree in trees.items()))
    return job, [job.reveal(miner, tree) for miner, tree in trees.items()]


@pytest.mark.attack
def test_a_block_whose_bytes_are_full_of_answers_is_no_turn(report_attack: ReportAttack) -> None:
    """An honest proposer with more than a third of the power has no room for one of five."""
    job, answers = answered([FDC] * 4 + [4 * FDC], **BYTES)
    chain, before = job.chain, job.chain.ledger.totals().burned
    late = chain.context(after_ms=job.terms.reveal_window_ms, round=round_of(job, 4 * FDC))
    built = chain.ledger.build(late, answers, BYTES["max_block_bytes"])
    assert built.transactions == tuple(answers[:4])
    chain.produce(*answers[:4], after_ms=job.terms.reveal_window_ms, round=round_of(job, 4 * FDC))
    assert job.task.phase == REVEAL
    chain.produce(answers[4])
    assert job.task.phase == SETTLE
    chain.produce()
    assert chain.ledger.totals().burned - before < FDC // 100
    report_attack(
        "fill blocks with large answers of tasks of one's own while honest miners answer",
        "the block counts as a turn, the window ends, and honest deposits burn",
        "a block whose bytes steps have used up is no turn",
    )


def test_transfers_that_fill_a_block_hold_no_window_open() -> None:
    """Nobody can delay tasks by fees: steps would have come before these transfers."""
    job, answers = answered([FDC] * 4 + [4 * FDC], **BYTES)
    chain = job.chain
    outputs = [(key_of("bob").address, 1)] * 200
    paid = [chain.sign(ALICE, transfer_to(*outputs), ahead=i) for i in range(4)]
    late = chain.context(after_ms=job.terms.reveal_window_ms, round=round_of(job, 4 * FDC))
    built = chain.ledger.build(late, [answers[0], *paid], BYTES["max_block_bytes"])
    assert len(built.transactions) == 4
    chain.produce(
        *built.transactions, after_ms=job.terms.reveal_window_ms, round=round_of(job, 4 * FDC)
    )
    assert job.task.phase != REVEAL


def test_what_a_miner_sends_before_its_step_counts_with_it() -> None:
    job, answers = answered([FDC] * 2 + [4 * FDC], **BYTES)
    chain = job.chain
    miner = chain.miners[0]
    outputs = [(key_of("bob").address, 1)] * 200
    ballast = [chain.sign(miner, transfer_to(*outputs), ahead=i) for i in range(2)]
    step = chain.sign(miner, answers[0].body.reveal_shapley, ahead=2)
    late = round_of(job, 4 * FDC)
    chain.produce(*ballast, step, after_ms=job.terms.reveal_window_ms, round=late)
    assert job.task.phase == REVEAL


@pytest.mark.attack
def test_an_opening_waits_behind_its_miners_answer_in_another_task(
    report_attack: ReportAttack,
) -> None:
    """The block has room for the opening, but not for what its miner has sent before."""
    job, answers = answered([FDC] * 4 + [4 * FDC], **BYTES)
    chain = job.chain
    other = LedgerCampaign(chain, requester=job.requester, server=job.server)
    other.open_campaign()
    other.open_task()
    trees = {miner: other.tree(miner, GAME) for miner in chain.miners}
    chain.produce(*(other.commit(miner, tree) for miner, tree in trees.items()))
    assert (job.task.phase, other.task.phase) == (REVEAL, CHALLENGE)
    answers = [chain.sign(m, a.body.reveal_shapley) for m, a in zip(trees, answers, strict=True)]
    opened = [other.open(m, tree).body.reveal_shapley for m, tree in trees.items()]
    openings = [chain.sign(m, action, ahead=1) for m, action in zip(trees, opened, strict=True)]
    late = {"after_ms": other.terms.reveal_window_ms, "round": round_of(job, 4 * FDC)}
    built = chain.ledger.build(
        chain.context(**late), [*answers, *openings], BYTES["max_block_bytes"]
    )
    assert built.transactions == (*answers[:4], *openings[:4])
    chain.produce(*built.transactions, **late)
    assert other.task.phase == CHALLENGE
    chain.produce(answers[4], openings[4])
    assert (job.task.phase, other.task.phase) == (SETTLE, REVEAL)
    chain.produce(*(other.reveal(m, tree) for m, tree in trees.items()))
    chain.produce()
    assert chain.penalties == 0
    report_attack(
        "open a task with large answers beside one whose miners open their commitments",
        "an opening waits behind its miner's answer, the block counts as a turn for it, and its"
        " deposit burns: 28 of 80 honest ones in 20 tasks with blocks of 20 KB",
        "a block that leaves no room for the largest step is no turn for any task",
    )


@pytest.mark.attack
def test_full_blocks_stretch_a_window_for_as_long_as_steps_come(
    report_attack: ReportAttack,
) -> None:
    """With 100 miners in 64 tasks 6,400 answers may wait, of which a block holds 8 to 200."""
    job, answers = answered([FDC] * 4 + [4 * FDC], **BYTES)
    chain = job.chain
    late = chain.context(after_ms=job.terms.reveal_window_ms, round=round_of(job, 4 * FDC))
    for size, phase in ((BYTES["max_block_bytes"] // 2, REVEAL), (0, SETTLE)):
        context = chain.ledger.new_context(late)
        task = records.TASKS.get(context.state, job.task_id)
        assert task is not None
        task.window_left_out = MAX_LEFT_OUT
        records.TASKS.put(context.state, job.task_id, record=task)
        for answer in answers[:4]:
            apply_transaction(context, answer)
        context.room.step_bytes = BYTES["max_block_bytes"] - 1 - size
        lifecycle.end_block(context, chain.ledger.validators())
        task = records.TASKS.get(context.state, job.task_id)
        assert task is not None
        assert task.phase == phase
    report_attack(
        "have all miners answer in dozens of tasks at once, more than 64 blocks can hold",
        "windows end after 64 full blocks: in blocks of 20 KB, 5 of 400 honest deposits burn",
        "windows stay open as long as steps fill half of each block",
    )
