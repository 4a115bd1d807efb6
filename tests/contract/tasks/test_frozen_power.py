"""Power counts as it was when the task was opened."""

from __future__ import annotations

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries.task_queries import get_task
from fedcoin.contract.state import records
from fedcoin.contract.tasks.frozen_power import read_power
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.incentive.proof.evidence import EvidenceTree
from fedcoin.v1.transaction_pb2 import Bond, ReportEquivocation, Unbond
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, MINERS
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    SETTLE,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)
ALL_BUT_ONE_FEE = 900 * FDC
"""Nearly all that a miner has besides its bond."""


def begun(bonds: list[int], attempts: int = 2) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(len(bonds), bonds=bonds))
    job.open_campaign()
    job.open_task(max_attempts=attempts)
    return job


def opened(job: LedgerCampaign) -> dict[KeyPair, EvidenceTree]:
    """Let all miners commit and open, so that the challenge is public."""
    chain = job.chain
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    job.open_all(trees)
    return trees


def equivocation(chain: LedgerChain, offender: KeyPair) -> ReportEquivocation:
    votes = (
        sign_vote(PRECOMMIT, chain.height, 0, bytes([i]) * 32, offender, chain.genesis.hash)
        for i in (1, 2)
    )
    first, second = (vote.envelope for vote in votes)
    return ReportEquivocation(first=first, second=second)


@pytest.mark.attack
def test_coins_bonded_after_the_challenge_is_public_do_not_win(report_attack: ReportAttack) -> None:
    """A miner with 1.2 % of the power looks for the amount that makes it the winner."""
    report_attack(
        "a miner with 1.2 % of the power bonds coins when the challenge is known",
        "wins 20 of 20 draws",
        "the winner of the powers at the opening, whatever it bonds",
    )
    job = begun([100 * FDC, 100 * FDC, 100 * FDC, 36 * FDC // 10])
    chain, poor = job.chain, MINERS[3]
    trees = opened(job)
    honest_winner = None
    for late in (0, 1, FDC, 300 * FDC, ALL_BUT_ONE_FEE):
        fork = begun([100 * FDC, 100 * FDC, 100 * FDC, 36 * FDC // 10])
        trees = opened(fork)
        assert fork.task.challenge == job.task.challenge
        if late:
            fork.chain.produce(fork.chain.sign(poor, Bond(amount=late)))
        fork.chain.produce(*(fork.reveal(m, tree) for m, tree in trees.items()))
        assert fork.task.phase == SETTLE
        if honest_winner is None:
            honest_winner = fork.task.settlement.winner
        assert fork.task.settlement.winner == honest_winner
    assert chain.task(job.task_id).total_power == 3_036 * FDC // 10


def test_only_a_miner_with_a_bond_at_the_tasks_opening_may_commit() -> None:
    job = begun([10 * FDC] * 3)
    chain = job.chain
    chain.keys[ALICE.address] = ALICE
    chain.produce(chain.sign(ALICE, Bond(amount=100 * FDC)))
    tree = job.tree(ALICE, GAME)
    chain.refuses(LedgerCode.NOT_A_MINER, job.commit(ALICE, tree), field="public_key")
    # No window waits for it, its power is in no denominator, and another attempt changes neither.
    for attempt in (0, 1):
        assert job.task.attempt == attempt
        assert job.task.total_power == 30 * FDC
        chain.refuses(LedgerCode.NOT_A_MINER, job.commit(ALICE, tree), field="public_key")
        if attempt == 0:
            job.wait(COMMIT, job.terms.commit_window_ms)
    job.settle(dict.fromkeys(MINERS[:3], GAME))
    # In the next task it takes part.
    job.open_task()
    assert job.task.total_power == 130 * FDC
    job.settle(dict.fromkeys((*MINERS[:3], ALICE), GAME))


def test_a_miner_that_leaves_may_still_commit_open_and_reveal_with_all_its_power() -> None:
    job = begun([97 * FDC, FDC, FDC, FDC])
    chain, rich = job.chain, MINERS[0]
    tree = job.tree(rich, GAME)
    chain.produce(chain.sign(rich, Unbond(amount=97 * FDC)))
    assert rich not in chain.miners
    chain.produce(job.commit(rich, tree))
    job.wait(COMMIT, job.terms.commit_window_ms)
    # 3 of 100 would be no quorum, so that the power of the rich one was counted.
    assert job.task.phase == CHALLENGE
    chain.produce(job.open(rich, tree))
    chain.produce(job.reveal(rich, tree))
    assert job.task.settlement.winner == rich.address
    before = chain.balance(rich)
    chain.produce()
    assert chain.balance(rich) == before + job.deposit + job.terms.prices.mining


@pytest.mark.attack
def test_leaving_lowers_no_denominator(report_attack: ReportAttack) -> None:
    """Two miners with 30 of 100 do not become a quorum because the third unbonds."""
    report_attack(
        "30 % of the power settle a task after the others unbonded",
        "they decide the values and share the price",
        "no quorum: the power at the opening counts",
    )
    job = begun([70 * FDC, 20 * FDC, 10 * FDC], attempts=1)
    chain = job.chain
    rich, *others = MINERS[:3]
    trees = {m: job.tree(m, GAME) for m in others}
    chain.produce(chain.sign(rich, Unbond(amount=70 * FDC)))
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    job.wait(COMMIT, job.terms.commit_window_ms)
    assert job.task.phase not in (CHALLENGE, REVEAL)
    assert all(chain.balance(m) > 1_000 * FDC - FDC // 10 for m in others)


def test_slashing_takes_all_power_in_open_tasks() -> None:
    job = begun([60 * FDC, 20 * FDC, 20 * FDC])
    chain = job.chain
    rich, *others = MINERS[:3]
    trees = opened(job)
    chain.produce(chain.sign(others[0], equivocation(chain, rich)))
    assert read_power(chain.state, job.task_id)[rich.address] == 0
    assert job.task.total_power == 100 * FDC
    chain.produce(*(job.reveal(m, tree) for m, tree in trees.items()))
    # It revealed, and so its deposit returns; but it neither wins nor counts.
    assert job.task.phase == SETTLE
    assert job.task.settlement.winner in {m.address for m in others}
    record = chain.miner(job.task_id, rich)
    assert record is not None
    assert (record.power, record.revealed, record.inlier) == (0, True, False)


def test_a_slashed_miner_may_not_commit_and_is_not_waited_for() -> None:
    job = begun([60 * FDC, 20 * FDC, 20 * FDC])
    chain = job.chain
    rich, *others = MINERS[:3]
    chain.produce(chain.sign(others[0], equivocation(chain, rich)))
    tree = job.tree(rich, GAME)
    chain.refuses(LedgerCode.NOT_A_MINER, job.commit(rich, tree), field="public_key")
    chain.produce(*(job.commit(m, job.tree(m, GAME)) for m in others))
    assert job.task.phase == CHALLENGE


@pytest.mark.parametrize("withheld", range(1, 4))
def test_a_miner_that_drops_out_does_not_change_the_winner_among_the_others(withheld: int) -> None:
    """The winner of all four still wins when any other miner withholds its leaves."""
    whole = begun([10 * FDC] * 4)
    trees = opened(whole)
    whole.chain.produce(*(whole.reveal(m, tree) for m, tree in trees.items()))
    winner = whole.task.settlement.winner
    losers = [m for m in trees if m.address != winner]
    part = begun([10 * FDC] * 4)
    trees = opened(part)
    part.chain.produce(*(part.reveal(m, t) for m, t in trees.items() if m not in losers[:withheld]))
    part.wait(REVEAL, part.terms.reveal_window_ms)
    if part.task.phase == SETTLE:
        assert part.task.settlement.winner == winner


def test_views_show_the_power_and_closed_tasks_keep_no_record_of_it() -> None:
    job = begun([30 * FDC, 10 * FDC])
    chain = job.chain
    assert len(list(records.POWERS.scan(chain.state))) == 1
    job.settle(dict.fromkeys(MINERS[:2], GAME))
    view = get_task(chain.state, job.task_id)
    assert view is not None
    assert view.total_power == 40 * FDC
    assert sorted(m.power for m in view.miners) == [10 * FDC, 30 * FDC]
    assert not list(records.POWERS.scan(chain.state))
