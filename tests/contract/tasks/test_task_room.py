"""The room for open tasks, and the deposit and fee of each."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries import task_queries
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.contract.tasks import room_rent
from fedcoin.contract.tasks.task_pricing import compute_task_deposit
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1 import block_pb2
from fedcoin.v1.task_pb2 import (
    TRAINING_REWARD_PROPORTIONAL,
    TRAINING_REWARD_UNIT_PRICE,
    PriceSplit,
    TrainingReward,
)
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import BOB, key_of
from tests.support.ledger_campaign import (
    COMMIT,
    FAILED,
    GAVE_WAY,
    SETTLED,
    WEIGHTS,
    LedgerCampaign,
    additive,
    aggregate,
)
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to

GAME = additive(5, 10, -3)
SHORT = {"commit_window_ms": 2_000, "reveal_window_ms": 2_000, "max_attempts": 1}
PROPORTIONAL = TRAINING_REWARD_PROPORTIONAL
UNIT_PRICE = TRAINING_REWARD_UNIT_PRICE
UNIT = {PROPORTIONAL: 0, UNIT_PRICE: FDC}


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> LedgerChain:
    monkeypatch.setattr(room_rent, "MAX_OPEN_TASKS", 4)
    return LedgerChain.create(balance=10_000 * FDC)


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
    (gone,) = [job for job in spam if job.task.phase == GAVE_WAY]
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
        "the task with the lowest offer makes way at once, for a fee of 0.5 FDC; each costs a"
        " deposit and a fee",
    )


def flood(
    chain: LedgerChain, owner: KeyPair, *, budget: int = 3 * FDC, **terms: Any
) -> list[LedgerCampaign]:
    """Fill all places with one owner's tasks, which offer more than the others."""
    jobs = [
        LedgerCampaign(chain, [key_of("client 0")], requester=owner, server=owner)
        for _ in range(room_rent.MAX_OPEN_TASKS)
    ]
    offers_more = {"budget": budget, "rounds": 1, "split": PriceSplit(mining=1)}
    campaigns = [
        chain.sign(owner, job.campaign_terms(**offers_more), ahead=i) for i, job in enumerate(jobs)
    ]
    chain.produce(*campaigns)
    for job, opening in zip(jobs, campaigns, strict=True):
        job.campaign_id = opening.hash
    openings = [
        chain.sign(owner, job.task_terms(**SHORT | terms), ahead=i) for i, job in enumerate(jobs)
    ]
    chain.produce(*openings)
    for job, opening in zip(jobs, openings, strict=True):
        job.task_id = opening.hash
    return jobs


def reopened(job: LedgerCampaign, **changes: Any) -> bytes:
    """Open a round again whose task made way."""
    gone = job.task
    assert gone.phase == GAVE_WAY
    job.open_task(**changes)
    return job.task_id


@pytest.mark.attack
def test_a_flood_of_better_offers_delays_a_round_that_miners_have_not_taken_up(
    report_attack: ReportAttack,
) -> None:
    """The flood's windows are too short to be mined, so that its prices return."""
    chain = LedgerChain.create(users=("alice", "bob", "carol"), balance=10_000 * FDC)
    honest = opened(chain, budget=10 * FDC)
    chain.produce(honest.commit(chain.miners[0], honest.tree(chain.miners[0], GAME)))
    owner, costs = key_of("carol"), []
    for _ in range(5):
        before = chain.balance(owner)
        flood(chain, owner, max_room_fee=1_000 * FDC)
        assert honest.task.phase == GAVE_WAY
        while open_tasks(chain):
            chain.produce(after_ms=2_000)
        costs.append((before - chain.balance(owner)) / FDC)
        # The same round, with the same updates, is open again.
        assert chain.campaign(honest.campaign_id).escrow == 10 * FDC
        reopened(honest)
    fees = [0.5, 1, 2, 4, 8]
    # Beside the fees: what 64 tasks leave in the state, and the rent for some seconds.
    others = [cost - fee for cost, fee in zip(costs, fees, strict=True)]
    assert others == pytest.approx([0.4] * 5, abs=0.05)
    honest.settle(dict.fromkeys(chain.miners, GAME))
    assert honest.task.phase == SETTLED
    assert [p.kind for p in chain.payments()].count(block_pb2.PAYMENT_KIND_TRAINING) == 2
    assert chain.penalties == 0
    report_attack(
        "64 tasks with a better offer and the shortest windows push out a round that miners have"
        " not taken up yet, five times",
        "there were no places to lose",
        "the round is opened again with the same updates, and its clients are paid; the attacker"
        f" pays {', '.join(f'{cost:.1f}' for cost in costs)} FDC",
    )


@pytest.mark.attack
def test_holding_all_places_with_tasks_that_nobody_can_mine_costs_rent(
    report_attack: ReportAttack,
) -> None:
    chain = LedgerChain.create(users=("alice", "bob", "carol"), balance=10_000 * FDC)
    owner = key_of("carol")
    before = chain.balance(owner)
    flood(chain, owner, commit_window_ms=3_600_000, reveal_window_ms=2_000)
    late = opened(chain, budget=10 * FDC, is_opened=False)
    chain.refuses(LedgerCode.TOO_MANY_TASKS, chain.sign(late.server, late.task_terms()))
    chain.produce(after_ms=3_600_000)
    kinds = [payment.kind for payment in chain.payments()]
    while open_tasks(chain):
        chain.produce()
        kinds += [payment.kind for payment in chain.payments()]
    cost = (before - chain.balance(owner)) / FDC
    assert 32 < cost < 33
    # A block closes some of the windows, and the next ones the others.
    assert kinds.count(block_pb2.PAYMENT_KIND_ROOM_BURNED) == 64
    late.open_task()
    report_attack(
        "64 tasks with a better offer than all others that nobody can mine hold all places for an"
        " hour",
        "there were no places to hold",
        f"{cost:.1f} FDC, and coins that are locked; who offers a tenth more gets a place at once",
    )


def test_a_task_that_makes_way_leaves_its_round_open(chain: LedgerChain) -> None:
    first, *_ = [opened(chain, budget=budget * FDC) for budget in (1, 3, 3, 3)]
    gone_id = first.task_id
    before = chain.balance(BOB)
    deposit = first.task.deposit
    better = opened(chain, budget=2 * FDC, is_opened=False)
    opening = chain.sign(better.server, better.task_terms())
    chain.produce(opening, after_ms=35_990)
    gone, campaign = first.task, chain.campaign(first.campaign_id)
    assert (gone.phase, gone.closed_height, gone.deposit) == (GAVE_WAY, chain.height, 0)
    assert (campaign.last_round, campaign.last_base, campaign.last_aggregate) == (0, b"", b"")
    assert (campaign.escrow, campaign.open_task_id, campaign.closed) == (FDC, b"", False)
    assert campaign.times_gave_way == 1
    view = task_queries.get_task(chain.state, gone_id)
    assert view is not None
    assert view.phase == GAVE_WAY
    assert [client.payout for client in view.clients] == [0, 0, 0]
    burned = [p for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_ROOM_BURNED]
    fee, rent = chain.genesis.parameters.task_deposit, 500_000  # 36 s at 0.5 FDC an hour.
    assert [(p.task_id, p.amount) for p in burned] == [(opening.hash, fee), (gone_id, rent)]
    taken = chain.task(opening.hash).deposit
    assert chain.balance(BOB) == before - taken - fee + deposit - rent - opening_fees(
        chain, opening
    )


def opening_fees(chain: LedgerChain, opening: Transaction) -> int:
    entries = 2 + len(opening.body.open_task.updates) + len(chain.miners)
    return opening.body.fee + entries * chain.genesis.parameters.state_fee


@pytest.mark.parametrize("reward", [PROPORTIONAL, UNIT_PRICE])
def test_the_round_is_opened_again_and_paid_once(
    chain: LedgerChain, reward: TrainingReward.ValueType
) -> None:
    job = LedgerCampaign(chain)
    job.open_campaign(rounds=2, budget=2 * FDC, training_reward=reward, unit_price=UNIT[reward])
    job.open_task()
    terms, first_id = job.terms, job.task_id
    for _ in range(4):
        opened(chain, budget=4 * FDC)
    assert job.task.phase == GAVE_WAY
    # The room has to be left by somebody; this round is then valued as if nothing had happened.
    settle_all(chain)
    again = chain.sign(BOB, terms)
    chain.produce(again)
    job.task_id = again.hash
    assert again.hash != first_id
    job.settle(dict.fromkeys(chain.miners, GAME))
    campaign = chain.campaign(job.campaign_id)
    assert (campaign.last_round, campaign.times_gave_way) == (1, 0)
    assert campaign.last_aggregate == aggregate(1)
    paid = [p for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_TRAINING]
    assert paid
    assert chain.task(first_id).phase == GAVE_WAY
    job.open_task()
    assert job.terms.round == 2


def settle_all(chain: LedgerChain) -> None:
    """Let all open tasks end."""
    while open_tasks(chain):
        chain.produce(after_ms=86_400_000)


def test_the_round_may_be_opened_again_with_other_updates(chain: LedgerChain) -> None:
    """Nothing was valued or paid, and every update is signed for this round and base."""
    first = opened(chain, budget=FDC)
    for _ in range(4):
        opened(chain, budget=2 * FDC)
    assert first.task.phase == GAVE_WAY
    settle_all(chain)
    fewer = [first.update(client, 1) for client in first.clients[1:]]
    late = chain.sign(BOB, first.task_terms(round=2, base=aggregate(1), updates=fewer))
    chain.refuses(LedgerCode.WRONG_ROUND, late, field="round")
    other_base = chain.sign(BOB, first.task_terms(round=1, base=aggregate(1), updates=fewer))
    chain.refuses(LedgerCode.WRONG_BASE, other_base, field="base")
    reopened(first, updates=fewer)
    assert first.task.phase == COMMIT
    assert first.terms.base == WEIGHTS


def test_a_transaction_that_opened_a_task_does_not_open_it_again(chain: LedgerChain) -> None:
    job = LedgerCampaign(chain)
    job.open_campaign(rounds=1, budget=FDC)
    opening = chain.sign(BOB, job.task_terms())
    chain.produce(opening)
    for _ in range(4):
        opened(chain, budget=2 * FDC)
    assert chain.task(opening.hash).phase == GAVE_WAY
    settle_all(chain)
    chain.refuses(LedgerCode.NONCE_TOO_LOW, opening)


def test_the_fee_doubles_and_a_server_says_how_much_it_pays(chain: LedgerChain) -> None:
    first = opened(chain, budget=FDC)
    for _ in range(4):
        opened(chain, budget=4 * FDC)
    settle_all(chain)
    reopened(first)
    for _ in range(3):
        opened(chain, budget=4 * FDC)
    late = opened(chain, budget=5 * FDC, is_opened=False)
    # The cheapest task would have to make way a second time; the others' fee is lower.
    fee = chain.genesis.parameters.task_deposit
    free = chain.sign(BOB, late.task_terms(max_room_fee=fee - 1))
    chain.refuses(LedgerCode.TOO_MANY_TASKS, free, field="max_room_fee")
    late.open_task(max_room_fee=fee)
    assert first.task.phase == COMMIT
    last = opened(chain, budget=5 * FDC, is_opened=False)
    last.open_task(max_room_fee=2 * fee)
    assert first.task.phase == GAVE_WAY
    (burned,) = [
        p.amount
        for p in chain.payments()
        if p.kind == block_pb2.PAYMENT_KIND_ROOM_BURNED and p.task_id == last.task_id
    ]
    assert burned == 2 * fee


def test_a_server_without_the_fee_pushes_nothing_out() -> None:
    chain = LedgerChain.create(users=("alice", "bob", "carol"), balance=10_000 * FDC)
    flood(chain, key_of("carol"), budget=FDC, commit_window_ms=3_600_000)
    poor = LedgerCampaign(chain, requester=key_of("miner 0"), server=key_of("dave"))
    poor.open_campaign(budget=100 * FDC)
    chain.produce(chain.sign(key_of("alice"), transfer_to((poor.server.address, FDC // 4))))
    opening = chain.sign(poor.server, poor.task_terms())
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, opening, field="max_room_fee")
    assert len(open_tasks(chain)) == 64


def test_pushing_out_own_tasks_costs_a_fee_each(chain: LedgerChain) -> None:
    """So no chain of tasks that make way for each other holds the places for less than rent."""
    own = [opened(chain, budget=FDC) for _ in range(4)]
    burned = chain.ledger.totals().burned
    again = [opened(chain, budget=2 * FDC) for _ in range(4)]
    assert all(job.task.phase == GAVE_WAY for job in own)
    assert all(job.task.phase == COMMIT for job in again)
    assert chain.ledger.totals().burned - burned >= 4 * chain.genesis.parameters.task_deposit


def test_an_offer_that_is_less_than_a_tenth_better_pushes_nothing_out(chain: LedgerChain) -> None:
    offers = [opened(chain, budget=100 * FDC).task.offer for _ in range(4)]
    late = opened(chain, budget=109 * FDC, is_opened=False)
    opening = chain.sign(late.server, late.task_terms())
    chain.refuses(LedgerCode.TOO_MANY_TASKS, opening, field="prices.mining")
    better = opened(chain, budget=111 * FDC)
    assert better.task.offer > max(offers)


def test_vectors_that_are_public_are_paid_for_when_a_task_makes_way(chain: LedgerChain) -> None:
    """Its miners revealed in an attempt without an outcome, so this round ends."""
    job = opened(chain, budget=FDC, is_opened=False)
    job.open_task(max_attempts=3)
    games = {miner: additive(i, 3 * i, 20 * i) for i, miner in enumerate(chain.miners)}
    job.run(games)
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    for _ in range(4):
        opened(chain, budget=2 * FDC)
    assert job.task.phase == FAILED
    heights = range(1, chain.height + 1)
    kinds = [p.kind for h in heights for p in chain.payments(h) if p.task_id == job.task_id]
    assert kinds.count(block_pb2.PAYMENT_KIND_MINING) == 4


def test_no_rent_is_due_while_there_is_room(chain: LedgerChain) -> None:
    jobs = [opened(chain, budget=10 * FDC, is_opened=False) for _ in range(3)]
    for job in jobs:
        job.open_task(max_attempts=1, commit_window_ms=3_600_000)
    chain.produce(after_ms=3_600_000)
    settle_all(chain)
    heights = range(1, chain.height + 1)
    kinds = {payment.kind for height in heights for payment in chain.payments(height)}
    assert block_pb2.PAYMENT_KIND_TASK_DEPOSIT_RETURNED in kinds
    assert block_pb2.PAYMENT_KIND_ROOM_BURNED not in kinds


def test_a_copy_of_the_state_goes_on_as_the_chain_does(chain: LedgerChain) -> None:
    """A snapshot holds how long the room was full and how often a round made way."""
    first = opened(chain, budget=FDC)
    for _ in range(4):
        opened(chain, budget=2 * FDC)
    assert first.task.phase == GAVE_WAY
    better = opened(chain, budget=3 * FDC, is_opened=False)
    copied = MemoryState()
    copied.apply(dict(chain.state.scan(b"")))
    opening, context = chain.sign(BOB, better.task_terms()), chain.context(after_ms=60_000)
    execution = Ledger(copied, chain.genesis).execute(context, [opening])
    chain.produce(opening, after_ms=60_000)
    assert execution.app_hash == chain.ledger.app_hash
    assert records.read_ledger(chain.state).room_full_ms >= 60_000
    replayed = LedgerChain(chain.genesis, chain.keys.values())
    for block, certificate in zip(chain.blocks, chain.certificates, strict=True):
        replayed.add(block, certificate)
    assert replayed.ledger.app_hash == chain.ledger.app_hash


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
    assert first.task.phase == GAVE_WAY
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
