"""A task's life: phases, windows, attempts and proposer turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fedcoin.consensus.posap import retarget
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.incentive.proof.challenge import derive_challenge
from fedcoin.v1 import block_pb2
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import MINERS
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    FAILED,
    REVEAL,
    SETTLE,
    SETTLED,
    Game,
    LedgerCampaign,
    additive,
    salt,
)
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)


def begun(validators: int = 4, *, attempts: int = 2, **parameters: Any) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(validators, **parameters))
    job.open_campaign()
    job.open_task(max_attempts=attempts)
    return job


def games(miners: Iterable[KeyPair], game: Game = GAME) -> dict[KeyPair, Game]:
    return dict.fromkeys(miners, game)


def phases(job: LedgerCampaign) -> list[tuple[int, int]]:
    """Return the phases and attempts that a task entered, from its receipts."""
    receipts = [decode_receipt(raw) for e in job.chain.executions for raw in e.receipts]
    return [(r.task.phase, r.task.attempt) for r in receipts if r.HasField("task")]


def test_a_task_is_settled_with_all_miners() -> None:
    job = begun()
    chain = job.chain
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    assert not chain.ledger.needs_block()
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    # The window closed early because all miners had revealed.
    assert job.task.phase == CHALLENGE
    assert not chain.ledger.needs_block()
    assert chain.ledger.next_deadline_ms() == chain.time_ms + job.terms.reveal_window_ms
    assert job.task.challenge == b""
    job.open_all(trees)
    salts = {m.address: salt(m) for m in trees}
    assert job.task.challenge == derive_challenge(job.task_id, 0, salts)
    assert not chain.ledger.needs_block()
    assert chain.ledger.next_deadline_ms() == chain.time_ms + job.terms.reveal_window_ms
    chain.produce(*(job.reveal(m, tree) for m, tree in trees.items()))
    assert job.task.phase == SETTLE
    assert chain.ledger.needs_block()
    # The winner proposes the block that settles.
    winner = job.task.settlement.winner
    assert chain.ledger.proposer(0).address == winner
    execution = chain.produce()
    assert execution.settlement == job.task.settlement
    header = chain.header
    assert header is not None
    assert header.proposer == winner
    assert header.settlement == job.task.settlement
    assert list(header.settlement.mean_shapley_nano) == [50_000_000, 100_000_000, -30_000_000]
    assert job.task.phase == SETTLED
    assert (job.task.closed_height, job.task.closed_ms) == (chain.height, chain.time_ms)
    assert not chain.ledger.needs_block()
    assert phases(job) == [(COMMIT, 0), (CHALLENGE, 0), (REVEAL, 0), (SETTLE, 0), (SETTLED, 0)]
    chain.produce()
    assert not chain.header.HasField("settlement")  # type: ignore[union-attr]
    assert not list(records.OPEN_TASKS.scan(chain.state))


def test_windows_close_by_time() -> None:
    job = begun()
    chain = job.chain
    first, second, third, fourth = chain.miners
    trees = {m: job.tree(m, GAME) for m in (first, second, third)}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    assert job.task.phase == COMMIT
    left = job.task.deadline_ms - chain.time_ms
    chain.produce(after_ms=left - 1)
    assert job.task.phase == COMMIT
    chain.produce(after_ms=1)
    job.open_all(trees)
    chain.produce(job.reveal(first, trees[first]), job.reveal(second, trees[second]))
    assert job.task.phase == REVEAL
    job.wait(REVEAL, job.terms.reveal_window_ms)
    assert job.task.phase == SETTLE
    chain.produce()
    assert job.task.phase == SETTLED
    record = chain.miner(job.task_id, third)
    assert record is not None
    assert (record.revealed, record.inlier, record.deposit) == (False, False, 0)
    assert chain.miner(job.task_id, fourth) is None


def test_a_winner_that_is_silent_is_followed_by_the_next() -> None:
    job = begun()
    job.run(games(job.chain.miners))
    chain = job.chain
    turns = [chain.ledger.proposer(round).address for round in range(4)]
    assert turns[0] == job.task.settlement.winner
    assert set(turns[1:]) <= {v.address for v in chain.ledger.validators()}
    chain.produce(round=2)
    assert chain.header is not None
    assert chain.header.proposer == turns[2]
    assert job.task.phase == SETTLED
    # The winner's turn was charged, although it was silent.
    assert chain.ledger.proposer(0).address == turns[1]


def test_without_commitments_a_task_is_mined_again_and_then_given_up() -> None:
    job = begun(attempts=3)
    chain = job.chain
    start = job.task.difficulty_nano
    requester = chain.balance(job.requester)
    for attempt in (1, 2):
        job.wait(COMMIT, job.terms.commit_window_ms)
        assert (job.task.phase, job.task.attempt) == (COMMIT, attempt)
        assert job.task.difficulty_nano == start * 2**attempt
        assert job.task.deadline_ms == chain.time_ms + job.terms.commit_window_ms
    job.wait(COMMIT, job.terms.commit_window_ms)
    assert (job.task.phase, job.task.attempt) == (FAILED, 2)
    share = 5 * FDC
    assert chain.balance(job.requester) == requester + share
    payment, deposit = chain.payments()
    assert payment.kind == block_pb2.PAYMENT_KIND_REFUND
    assert (payment.address, payment.amount) == (job.requester.address, share)
    assert deposit.kind == block_pb2.PAYMENT_KIND_TASK_DEPOSIT_RETURNED
    assert deposit.address == job.server.address
    assert (payment.task_id, payment.round) == (job.task_id, 1)
    campaign = chain.campaign(job.campaign_id)
    assert (campaign.escrow, campaign.open_task_id, campaign.closed) == (share, b"", False)
    # The difficulty of the campaign's next task is unchanged.
    assert campaign.difficulty_nano == start
    assert phases(job) == [(COMMIT, 0), (COMMIT, 1), (COMMIT, 2), (FAILED, 2)]


def test_a_relaxed_d_stops_at_the_limit() -> None:
    job = begun(attempts=16, max_difficulty_nano=50_000_000)
    for _ in range(3):
        job.wait(COMMIT, job.terms.commit_window_ms)
    assert job.task.difficulty_nano == 50_000_000


def test_a_campaign_ends_with_its_last_round_even_if_that_fails() -> None:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign(rounds=1)
    job.open_task(max_attempts=1)
    job.wait(COMMIT, job.terms.commit_window_ms)
    campaign = job.chain.campaign(job.campaign_id)
    assert job.task.phase == FAILED
    assert campaign.closed
    assert campaign.escrow == 0


def test_commitments_that_cannot_reach_the_quorum_lose_no_deposit() -> None:
    job = begun(reveal_quorum_percent=60)
    chain = job.chain
    committed = chain.miners[:2]
    before = chain.ledger.total_supply()
    job.run(games(committed))
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    returned = [p for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_DEPOSIT_RETURNED]
    assert {p.address for p in returned} == {m.address for m in committed}
    assert chain.penalties == 0
    assert chain.ledger.total_supply() == before
    assert all(chain.miner(job.task_id, m) is None for m in committed)


def test_reveals_under_the_quorum_are_not_enough() -> None:
    job = begun(reveal_quorum_percent=60)
    chain = job.chain
    miners = chain.miners
    job.run(games(miners), withheld=miners[2:])
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    kinds = {p.address: p.kind for p in chain.payments()}
    for miner in miners[:2]:
        assert kinds[miner.address] == block_pb2.PAYMENT_KIND_DEPOSIT_RETURNED
    for miner in miners[2:]:
        assert kinds[miner.address] == block_pb2.PAYMENT_KIND_DEPOSIT_BURNED
    assert chain.penalties == 2 * job.deposit
    # The second attempt succeeds.
    job.settle(games(miners))
    assert job.task.attempt == 1
    assert job.task.challenge


def test_the_quorum_is_of_power_not_of_heads() -> None:
    job = LedgerCampaign(LedgerChain.create(4, bonds=[97 * FDC, FDC, FDC, FDC]))
    job.open_campaign()
    job.open_task()
    rich = MINERS[0]
    job.settle({rich: GAME})
    assert job.task.settlement.winner == rich.address


def test_vectors_too_far_apart_are_mined_again_within_twice_the_distance() -> None:
    job = begun(2, initial_difficulty_nano=20_000_000)
    first, second = job.chain.miners
    # 0.05 apart in one coordinate: each is 0.025 from the median half-way between them.
    apart = {first: additive(5, 10, 0), second: additive(10, 10, 0)}
    job.run(apart)
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    assert job.task.difficulty_nano == 40_000_000
    # Both revealed, so neither lost its deposit.
    assert job.chain.penalties == 0
    job.settle(apart)
    assert list(job.task.settlement.mean_shapley_nano) == [75_000_000, 100_000_000, 0]


def test_all_attempts_exhausted_returns_the_share_and_burns_what_was_withheld() -> None:
    job = begun(reveal_quorum_percent=100)
    chain = job.chain
    miners = chain.miners
    for _ in range(2):
        job.run(games(miners), withheld=miners[:1])
    assert (job.task.phase, job.task.attempt) == (FAILED, 1)
    assert chain.penalties == 2 * job.deposit
    assert chain.campaign(job.campaign_id).escrow == 5 * FDC
    # The last attempt's records stay readable.
    record = chain.miner(job.task_id, miners[0])
    assert record is not None
    assert (record.revealed, record.deposit, record.attempt) == (False, 0, 1)
    job.open_task()
    assert job.terms.round == 2


def test_two_tasks_that_end_together_are_settled_one_a_block_the_oldest_first() -> None:
    chain = LedgerChain.create()
    one, two = LedgerCampaign(chain), LedgerCampaign(chain)
    for job in (one, two):
        job.open_campaign()
    for job in (one, two):
        job.open_task()
    miners = chain.miners
    trees = {(job.task_id, m): job.tree(m, GAME) for job in (one, two) for m in miners}
    for act in ("commit", "open", "reveal"):
        transactions = []
        for m in miners:
            for ahead, job in enumerate((one, two)):
                made = getattr(job, act)(m, trees[job.task_id, m])
                action = getattr(made.body, made.body.WhichOneof("action"))
                transactions.append(chain.sign(m, action, ahead=ahead))
        chain.produce(*transactions)
    assert (one.task.phase, two.task.phase) == (SETTLE, SETTLE)
    for job in (one, two):
        assert chain.ledger.proposer(0).address == job.task.settlement.winner
        execution = chain.produce()
        assert execution.settlement is not None
        assert execution.settlement.task_id == job.task_id
        assert job.task.phase == SETTLED


def test_a_miner_that_does_not_open_is_left_out_and_loses_its_deposit() -> None:
    job = begun()
    chain = job.chain
    silent, *others = chain.miners
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    chain.produce(*(job.open(m, trees[m]) for m in others))
    assert job.task.phase == CHALLENGE
    job.wait(CHALLENGE, job.terms.reveal_window_ms)
    assert job.task.phase == REVEAL
    assert job.task.challenge == derive_challenge(
        job.task_id, 0, {m.address: salt(m) for m in others}
    )
    chain.refuses(LedgerCode.NOT_OPENED, job.reveal(silent, trees[silent]), field="task_id")
    # No miner is left to wait for.
    chain.produce(*(job.reveal(m, trees[m]) for m in others))
    assert job.task.phase == SETTLE
    chain.produce()
    burned = [p for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_DEPOSIT_BURNED]
    assert [p.address for p in burned] == [silent.address]


def test_openings_under_the_quorum_are_not_enough() -> None:
    job = begun(reveal_quorum_percent=60)
    chain = job.chain
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    chain.produce(*(job.open(m, trees[m]) for m in chain.miners[:2]))
    job.wait(CHALLENGE, job.terms.reveal_window_ms)
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    assert chain.penalties == 2 * job.deposit


@pytest.mark.parametrize(("validators", "blocks"), [(1, 1), (3, 2), (4, 2), (7, 3)])
def test_a_clock_set_ahead_does_not_close_a_window_at_once(validators: int, blocks: int) -> None:
    """A proposer that leaves all commitments out is followed by an honest one."""
    job = begun(validators)
    chain = job.chain
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    for _ in range(blocks - 1):
        chain.produce(after_ms=job.terms.commit_window_ms)
        assert (job.task.phase, job.task.attempt) == (COMMIT, 0)
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    assert job.task.phase == CHALLENGE


@pytest.mark.parametrize("wait_ms", [10, 5_000, 9_000])
def test_d_follows_the_time_that_a_sampled_task_took(wait_ms: int) -> None:
    job = LedgerCampaign(LedgerChain.create(target_settle_ms=4_000))
    job.open_campaign()
    job.open_task(sampling=job.sampled())
    chain = job.chain
    chain.produce(after_ms=wait_ms)
    job.settle(games(chain.miners))
    elapsed = job.task.closed_ms - job.task.opened_ms
    expected = retarget(20_000_000, elapsed, 4_000, 100_000, 200_000_000)
    assert chain.campaign(job.campaign_id).difficulty_nano == expected
    job.open_task()
    assert job.task.difficulty_nano == expected
    # The difficulty does not change for an exact task.
    job.settle(games(chain.miners))
    assert chain.campaign(job.campaign_id).difficulty_nano == expected


def test_cheap_campaigns_do_not_move_the_difficulty_of_another(
    report_attack: ReportAttack,
) -> None:
    """The attack `difficulty-mover`: each of its tasks is settled at once, which halves its D."""
    chain = LedgerChain.create()
    honest = LedgerCampaign(chain)
    honest.open_campaign()
    start = chain.genesis.parameters.initial_difficulty_nano
    for _ in range(9):
        mover = LedgerCampaign(chain)
        mover.open_campaign(rounds=1, budget=1)
        mover.open_task(sampling=mover.sampled())
        mover.settle(games(chain.miners))
        assert chain.campaign(mover.campaign_id).difficulty_nano == start // 2
    honest.open_task(sampling=honest.sampled())
    assert honest.task.difficulty_nano == start
    report_attack(
        "nine campaigns of 1 sap move the difficulty D (`difficulty-mover`)",
        "the network's D is at its minimum for good",
        "the D of other campaigns stays where it is",
    )
