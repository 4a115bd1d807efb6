"""How the mining price is divided: no split, no withheld message earns more than honesty."""

from __future__ import annotations

from itertools import combinations

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.incentive.draw_scores import compute_score
from fedcoin.v1 import block_pb2, task_pb2
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import MINERS, key_of
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    FAILED,
    REVEAL,
    SETTLED,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)
APART = additive(40, 0, -3)
MINING = block_pb2.PAYMENT_KIND_MINING
BURNED = block_pb2.PAYMENT_KIND_MINING_BURNED
WINNER = task_pb2.MINING_REWARD_WINNER
PRO_RATA = task_pb2.MINING_REWARD_PRO_RATA


def begun(
    bonds: list[int], reward: int = PRO_RATA, *, is_sampled: bool = False, attempts: int = 2
) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(len(bonds), bonds=bonds))
    job.open_campaign(mining_reward=reward)
    changes = {"sampling": job.sampled(400)} if is_sampled else {}
    job.open_task(max_attempts=attempts, **changes)
    return job


def paid(job: LedgerCampaign, kind: int = MINING) -> dict[bytes, int]:
    return {p.address: p.amount for p in job.chain.payments() if p.kind == kind}


def by_score(job: LedgerCampaign, miners: list[KeyPair]) -> list[KeyPair]:
    """Sort miners of equal power by their score, the highest first."""
    challenge = job.task.challenge
    return sorted(miners, key=lambda m: -compute_score(challenge, m.address, FDC))


# PRO_RATA


@pytest.mark.attack
def test_exact_tasks_pay_power_and_not_heads(report_attack: ReportAttack) -> None:
    """Of 4,096 FDC of power 96 are split over 96 bonds, which prove as much work each."""
    report_attack(
        "96 bonds of 1 FDC beside four of 1,000 FDC (2.3 % of the power) mine an exact task",
        "96 % of the mining price",
        "2.3 % of the mining price",
    )
    rich = [1_000 * FDC] * 4
    job = begun([*rich, *[FDC] * 96])
    job.settle(dict.fromkeys(job.chain.miners, GAME))
    dust = {key_of(f"miner {i}").address for i in range(4, 100)}
    earned = sum(amount for address, amount in paid(job).items() if address in dust)
    price = job.terms.prices.mining
    assert sum(paid(job).values()) == price
    # Each of the 96 shares may have been rounded up by one sap.
    assert abs(earned - price * 96 // 4_096) <= 96


@pytest.mark.attack
def test_sampled_tasks_pay_for_power_and_samples_and_not_for_heads(
    report_attack: ReportAttack,
) -> None:
    """A quarter of the power is split over ten bonds, which share their few coalitions."""
    job = begun([1_000 * FDC] * 3 + [100 * FDC] * 10, is_sampled=True)
    dust = [key_of(f"miner {i}") for i in range(3, 13)]
    job.settle(dict.fromkeys(job.chain.miners, GAME), samples=dict.fromkeys(job.chain.miners, 100))
    price = job.terms.prices.mining
    earned = sum(paid(job)[m.address] for m in dust)
    assert abs(earned - price // 4) <= len(dust)
    less = begun([1_000 * FDC] * 3 + [100 * FDC] * 10, is_sampled=True)
    samples = dict.fromkeys(less.chain.miners, 300) | dict.fromkeys(dust, 100)
    less.settle(dict.fromkeys(less.chain.miners, GAME), samples=samples)
    assert abs(sum(paid(less)[m.address] for m in dust) - price // 10) <= len(dust)
    report_attack(
        "a quarter of the power, split over ten bonds, proves samples of few coalitions, which it"
        " computes once for all of them",
        "77 % of the mining price",
        f"{100 * earned / price:.0f} %",
    )


def test_a_withheld_reveal_lowers_the_pay_of_the_one_who_withholds() -> None:
    bonds = [30 * FDC, 10 * FDC, 10 * FDC]
    honest = begun(bonds)
    honest.settle(dict.fromkeys(honest.chain.miners, GAME))
    coalition = MINERS[1:3]
    fair = sum(paid(honest)[m.address] for m in coalition)
    job = begun(bonds)
    job.settle(dict.fromkeys(job.chain.miners, GAME), withheld=coalition[:1])
    assert sum(paid(job).get(m.address, 0) for m in coalition) < fair


@pytest.mark.parametrize("parts", [1, 4])
def test_sampled_tasks_pay_power_times_samples_however_a_bond_is_split(parts: int) -> None:
    job = begun([60 * FDC, *[20 * FDC // parts] * parts], is_sampled=True)
    rich, *split = (key_of(f"miner {i}") for i in range(1 + parts))
    samples = {rich: 300, **dict.fromkeys(split, 100)}
    job.settle(dict.fromkeys(job.chain.miners, GAME), samples=samples)
    assert paid(job)[rich.address] == FDC * 9 // 10
    assert sum(paid(job)[m.address] for m in split) == FDC // 10


@pytest.mark.attack
@pytest.mark.parametrize("fails", [False, True])
def test_samples_beyond_the_median_number_are_not_paid(
    report_attack: ReportAttack, fails: bool
) -> None:
    """Its coalitions are few, so that a miner computes them once and looks further ones up."""
    job = begun([90 * FDC] * 9 + [90 * FDC], is_sampled=True, attempts=1)
    *honest, eager = (key_of(f"miner {i}") for i in range(10))
    samples = {**dict.fromkeys(honest, 8), eager: 400}
    games = dict.fromkeys(job.chain.miners, GAME)
    if fails:
        job.run(games | dict.fromkeys(honest[:5], APART), samples=samples)
        assert job.task.phase == FAILED
    else:
        job.settle(games, samples=samples)
    share = paid(job)[eager.address] / job.terms.prices.mining
    assert share == pytest.approx(0.1)
    report_attack(
        "a tenth of the power proves 400 samples in a sampled task whose other miners stop at 8",
        "85 % of the mining price",
        f"{100 * share:.0f} %, its share of the power",
    )


# WINNER


def test_where_the_winner_takes_all_the_deposit_is_the_whole_price() -> None:
    assert begun([FDC] * 4, WINNER).deposit == FDC
    assert begun([FDC] * 4, PRO_RATA).deposit == -(-FDC // 3)


@pytest.mark.parametrize("is_sampled", [False, True])
def test_nobody_gains_when_the_miner_that_was_drawn_is_silent(is_sampled: bool) -> None:
    job = begun([FDC] * 4, WINNER, is_sampled=is_sampled)
    chain = job.chain
    trees = {m: job.tree(m, GAME, 60) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    job.open_all(trees)
    drawn, second, *_ = by_score(job, list(trees))
    chain.produce(*(job.reveal(m, tree) for m, tree in trees.items() if m is not drawn))
    job.wait(REVEAL, job.terms.reveal_window_ms)
    assert job.task.settlement.winner == second.address
    burned = chain.penalties
    chain.produce()
    assert job.task.phase == SETTLED
    assert not paid(job)
    assert paid(job, BURNED) == {second.address: job.terms.prices.mining}
    assert chain.penalties == burned + job.terms.prices.mining + job.deposit


@pytest.mark.parametrize("is_sampled", [False, True])
def test_who_was_not_drawn_and_is_silent_takes_nothing_from_the_winner(is_sampled: bool) -> None:
    job = begun([FDC] * 4, WINNER, is_sampled=is_sampled)
    chain = job.chain
    trees = {m: job.tree(m, GAME, 60) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    job.open_all(trees)
    drawn, *_, last = by_score(job, list(trees))
    chain.produce(*(job.reveal(m, tree) for m, tree in trees.items() if m is not last))
    job.wait(REVEAL, job.terms.reveal_window_ms)
    chain.produce()
    assert paid(job) == {drawn.address: job.terms.prices.mining}


@pytest.mark.attack
def test_no_set_of_withheld_salts_is_worth_its_deposits(report_attack: ReportAttack) -> None:
    """Try all sets of up to two of six small bonds with 10 % of the power, task after task."""
    report_attack(
        "10 % of the power over small bonds withholds salts until it is drawn",
        "12.7 of 20 FDC a task, against 2.1 for honesty",
        "no set of salts earns more than opening all",
    )
    for variant in range(2):
        check_that_opening_all_earns_most(variant)


@pytest.mark.slow
@pytest.mark.parametrize("variant", range(2, 8))
def test_opening_all_salts_earns_most_in_other_tasks(variant: int) -> None:
    check_that_opening_all_earns_most(variant)


def check_that_opening_all_earns_most(variant: int) -> None:
    bonds = [54 * FDC, *[FDC] * 6]
    coalition = [key_of(f"miner {i}") for i in range(1, 7)]
    nets = [
        play_with_withheld_salts(bonds, variant, withheld, coalition)
        for size in range(3)
        for withheld in combinations(coalition, size)
    ]
    assert nets[0] == max(nets)


def play_with_withheld_salts(
    bonds: list[int], variant: int, withheld: tuple[KeyPair, ...], coalition: list[KeyPair]
) -> int:
    job = begun(bonds, WINNER, attempts=1 + variant)
    chain = job.chain
    before = {m: chain.balance(m) for m in coalition}
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    openings = {m: tree for m, tree in trees.items() if m not in withheld}
    chain.produce(*(job.open(m, tree) for m, tree in openings.items()))
    job.wait(CHALLENGE, job.terms.reveal_window_ms)
    chain.produce(*(job.reveal(m, tree) for m, tree in openings.items()))
    chain.produce()
    assert job.task.phase == SETTLED
    fees = 0.01 * FDC
    gains = [chain.balance(m) - before[m] for m in coalition]
    return round(sum(gains) / fees)


# Failed tasks


@pytest.mark.parametrize("reward", [PRO_RATA, WINNER])
def test_a_task_that_fails_after_valid_reveals_pays_its_mining_price(reward: int) -> None:
    job = begun([50 * FDC, 50 * FDC], reward, is_sampled=True, attempts=1)
    chain = job.chain
    first, second = MINERS[:2]
    requester = chain.balance(job.requester)
    job.run({first: GAME, second: APART}, samples={first: 100, second: 300})
    # Both count with half of the distance between them, which is beyond D.
    assert job.task.phase == FAILED
    price = job.terms.prices.mining
    assert paid(job) == {first.address: price // 2, second.address: price // 2}
    prices = job.terms.prices
    assert chain.balance(job.requester) == requester + prices.training + prices.aggregation
    record = chain.miner(job.task_id, first)
    assert record is not None
    assert record.reward == price // 2


@pytest.mark.attack
def test_reveals_of_an_earlier_attempt_are_paid_when_the_last_one_has_none(
    report_attack: ReportAttack,
) -> None:
    report_attack(
        "a requester lets its task fail when the values are public",
        "the values for nothing",
        "pays the mining price to the miners that revealed",
    )
    job = begun([50 * FDC, 50 * FDC], is_sampled=True, attempts=2)
    first, second = MINERS[:2]
    job.run({first: GAME, second: APART}, samples={first: 100, second: 100})
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    job.wait(COMMIT, job.terms.commit_window_ms)
    assert job.task.phase == FAILED
    half = job.terms.prices.mining // 2
    assert paid(job) == {first.address: half, second.address: half}


def test_a_task_without_valid_reveals_is_refunded_as_a_whole() -> None:
    job = begun([50 * FDC, 50 * FDC], attempts=1)
    requester = job.chain.balance(job.requester)
    job.run(dict.fromkeys(MINERS[:2], GAME), withheld=MINERS[:2])
    assert job.task.phase == FAILED
    assert not paid(job)
    assert job.chain.balance(job.requester) == requester + 5 * FDC
