"""The room for open tasks, and the deposit and fee of each."""

from __future__ import annotations

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.tasks import task_room
from fedcoin.contract.tasks.task_pricing import compute_task_deposit
from fedcoin.v1 import block_pb2
from fedcoin.v1.task_pb2 import PriceSplit
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import BOB, key_of
from tests.support.ledger_campaign import COMMIT, FAILED, SETTLED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> LedgerChain:
    monkeypatch.setattr(task_room, "MAX_OPEN_TASKS", 4)
    return LedgerChain.create()


def opened(chain: LedgerChain, budget: int, *, is_opened: bool = True) -> LedgerCampaign:
    job = LedgerCampaign(chain)
    job.open_campaign(rounds=1, budget=budget)
    if is_opened:
        job.open_task(commit_window_ms=86_400_000, max_attempts=16)
    return job


def open_tasks(chain: LedgerChain) -> set[bytes]:
    return {task_id for _, task_id in records.OPEN_TASKS.scan(chain.state)}


def test_cheap_tasks_make_way_for_one_that_offers_more(
    chain: LedgerChain, report_attack: ReportAttack
) -> None:
    """The attack `task-spammer`: the cheapest tasks with the longest windows fill all places."""
    spam = [opened(chain, budget=10 + i) for i in range(4)]
    assert len(open_tasks(chain)) == 4
    server = chain.balance(BOB)
    honest = opened(chain, budget=10 * FDC)
    (gone,) = [job for job in spam if job.task.phase == FAILED]
    assert open_tasks(chain) == {job.task_id for job in (*spam, honest) if job is not gone}
    # The deposit of the task that made way has returned, and the new one's is taken.
    deposits = [
        p for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_TASK_DEPOSIT_RETURNED
    ]
    assert [p.task_id for p in deposits] == [gone.task_id]
    assert chain.balance(BOB) < server
    honest.settle(dict.fromkeys(chain.miners, GAME))
    assert honest.task.phase == SETTLED
    report_attack(
        "tasks of 1 sap with windows of 24 h take all places (`task-spammer`)",
        "paid mining stops for the whole window",
        "the task with the lowest offer makes way at once; each costs a deposit and a fee",
    )


@pytest.mark.attack
def test_a_flood_of_better_offers_fails_a_round_that_miners_have_not_taken_up(
    report_attack: ReportAttack,
) -> None:
    """The flood's windows are too short to be mined, so that its prices and deposits return."""
    chain = LedgerChain.create(users=("alice", "bob", "carol"), balance=10_000 * FDC)
    honest = opened(chain, budget=10 * FDC)
    chain.produce(honest.commit(chain.miners[0], honest.tree(chain.miners[0], GAME)))
    owner = key_of("carol")
    before = chain.balance(owner)
    offers_more = {"budget": 3 * FDC, "rounds": 1, "split": PriceSplit(mining=1)}
    jobs = [
        LedgerCampaign(chain, [key_of("client 0")], requester=owner, server=owner)
        for _ in range(task_room.MAX_OPEN_TASKS)
    ]
    campaigns = [
        chain.sign(owner, job.campaign_terms(**offers_more), ahead=i) for i, job in enumerate(jobs)
    ]
    chain.produce(*campaigns)
    for job, opening in zip(jobs, campaigns, strict=True):
        job.campaign_id = opening.hash
    short = {"commit_window_ms": 100, "reveal_window_ms": 100, "max_attempts": 1}
    openings = [chain.sign(owner, job.task_terms(**short), ahead=i) for i, job in enumerate(jobs)]
    chain.produce(*openings)
    assert honest.task.phase == FAILED
    for _ in range(4):
        chain.produce(after_ms=100)
    assert not open_tasks(chain)
    cost = before - chain.balance(owner)
    assert 0 < cost < FDC
    report_attack(
        "64 tasks with a better offer and windows of 100 ms push out the rounds that miners have"
        " not taken up yet",
        "there were no places to lose",
        f"these rounds fail, and their clients are not paid: {cost / FDC:.2f} FDC for 4 miners, and"
        " 224 FDC that return",
    )


def test_a_task_that_offers_no_more_waits(chain: LedgerChain) -> None:
    for _ in range(4):
        opened(chain, budget=10 * FDC)
    late = opened(chain, budget=10 * FDC, is_opened=False)
    opening = chain.sign(late.server, late.task_terms())
    chain.refuses(LedgerCode.TOO_MANY_TASKS, opening, field="prices.mining")


def test_a_task_that_miners_have_taken_up_does_not_make_way(chain: LedgerChain) -> None:
    taken, *_ = [opened(chain, budget=10 * FDC) for _ in range(4)]
    miners = chain.miners
    trees = {miner: taken.tree(miner, GAME) for miner in miners[:2]}
    chain.produce(*(taken.commit(miner, tree) for miner, tree in trees.items()))
    assert taken.task.phase == COMMIT
    for budget in (11, 12, 13):
        opened(chain, budget=budget * FDC)
    assert taken.task.phase == COMMIT
    late = opened(chain, budget=10 * FDC, is_opened=False)
    chain.refuses(LedgerCode.TOO_MANY_TASKS, chain.sign(late.server, late.task_terms()))


def test_a_miner_that_committed_alone_keeps_no_task_and_loses_nothing(chain: LedgerChain) -> None:
    first, *_ = [opened(chain, budget=FDC) for _ in range(4)]
    miner = chain.miners[0]
    before = chain.balance(miner)
    commit = first.commit(miner, first.tree(miner, GAME))
    chain.produce(commit)
    for _ in range(4):
        opened(chain, budget=2 * FDC)
    assert first.task.phase == FAILED
    assert chain.penalties == 0
    assert chain.balance(miner) >= before - commit.body.fee


def test_the_deposit_and_the_entries_are_paid_and_the_deposit_returns() -> None:
    chain = LedgerChain.create()
    job = LedgerCampaign(chain)
    job.open_campaign()
    rules, before = chain.genesis.parameters, chain.balance(BOB)
    job.open_task()
    deposit = compute_task_deposit(rules, job.terms, job.task.work)
    assert job.task.deposit == deposit >= FDC
    opening_fee = before - chain.balance(BOB) - deposit
    # The task, three clients and four miners, beside what the bytes cost.
    assert opening_fee > (2 + 3 + 4) * rules.state_fee
    job.settle(dict.fromkeys(chain.miners, GAME))
    assert job.task.deposit == 0
    price = job.terms.prices.aggregation
    assert chain.balance(BOB) == before - opening_fee + price


def test_a_server_without_the_deposit_opens_no_task() -> None:
    chain = LedgerChain.create(balance=11 * FDC)
    job = LedgerCampaign(chain)
    job.open_campaign(budget=FDC)
    terms = job.task_terms(max_attempts=16, commit_window_ms=86_400_000)
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, chain.sign(BOB, terms), field="deposit")
