"""Commitments and reveals: their phases, their senders, and openings."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, compute_commitment
from fedcoin.v1.evidence_pb2 import Evidence
from fedcoin.v1.transaction_pb2 import Bond, Unbond
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    SETTLE,
    LedgerCampaign,
    additive,
    salt,
)
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)
ELSEWHERE = sha256(b"elsewhere")


@pytest.fixture
def job() -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(3))
    job.open_campaign()
    job.open_task(sampling=job.sampled(60))
    return job


def miners(job: LedgerCampaign) -> list[KeyPair]:
    return job.chain.miners


def to_reveal(job: LedgerCampaign) -> dict[KeyPair, EvidenceTree]:
    """Let all miners commit, and fix the challenge."""
    trees = {miner: job.tree(miner, GAME) for miner in miners(job)}
    job.chain.produce(*(job.commit(miner, tree) for miner, tree in trees.items()))
    job.open_all(trees)
    return trees


def shown(job: LedgerCampaign, miner: KeyPair, tree: EvidenceTree) -> Evidence:
    challenge = job.task.challenge
    return tree.prove(draw_challenged_leaves(challenge, miner.public_key, tree.samples, 44))


# Commitments ------------------------------------------------------------------------------


def test_a_commitment_takes_the_deposit(job: LedgerCampaign) -> None:
    miner = miners(job)[0]
    tree = job.tree(miner, GAME)
    before = job.chain.balance(miner)
    commit = job.commit(miner, tree)
    proposes = job.chain.context().proposer == miner.address
    job.chain.produce(commit)
    deposit = job.deposit
    # The whole mining price, since the winner takes all of it.
    assert deposit == FDC
    fee = 0 if proposes else commit.body.fee
    assert job.chain.balance(miner) == before - deposit - fee
    record = job.chain.miner(job.task_id, miner)
    assert record is not None
    assert record.commitment == commit.body.commit_shapley.commitment
    assert (record.deposit, record.attempt, record.revealed) == (deposit, 0, False)


@pytest.mark.parametrize(
    ("code", "field", "changes"),
    [
        (LedgerCode.UNKNOWN_TASK, "task_id", {"task_id": ELSEWHERE}),
        (LedgerCode.UNKNOWN_TASK, "task_id", {"task_id": b""}),
        (LedgerCode.TOO_EARLY, "attempt", {"attempt": 1}),
        (LedgerCode.BAD_HASH, "commitment", {"commitment": b"\1" * 31}),
        (LedgerCode.WRONG_DEPOSIT, "deposit", {"deposit": 0}),
        (LedgerCode.WRONG_DEPOSIT, "deposit", {"deposit": 33_333_333}),
    ],
)
def test_a_commitment_that_cannot_be_is_refused(
    job: LedgerCampaign, code: LedgerCode, field: str, changes: dict[str, Any]
) -> None:
    miner = miners(job)[0]
    job.chain.refuses(code, job.commit(miner, job.tree(miner, GAME), **changes), field=field)


def test_only_a_miner_with_a_bond_at_the_opening_may_commit(job: LedgerCampaign) -> None:
    alice = ALICE
    tree = job.tree(alice, GAME)
    job.chain.refuses(LedgerCode.NOT_A_MINER, job.commit(alice, tree), field="public_key")
    leaving = miners(job)[0]
    bonded = job.chain.sign(alice, Bond(amount=2 * FDC))
    job.chain.keys[alice.address] = alice
    job.chain.produce(bonded, job.chain.sign(leaving, Unbond(amount=10 * FDC)))
    job.chain.refuses(LedgerCode.NOT_A_MINER, job.commit(alice, tree), field="public_key")
    job.chain.produce(job.commit(leaving, job.tree(leaving, GAME)))


def test_a_miner_commits_once(job: LedgerCampaign) -> None:
    miner = miners(job)[0]
    tree = job.tree(miner, GAME)
    job.chain.produce(job.commit(miner, tree))
    again = job.commit(miner, tree)
    job.chain.refuses(LedgerCode.ALREADY_COMMITTED, again, field="task_id")


def test_a_deposit_must_be_there() -> None:
    job = LedgerCampaign(LedgerChain.create(1, balance=20 * FDC, commit_deposit=21 * FDC))
    job.open_campaign()
    job.open_task()
    (miner,) = miners(job)
    commit = job.commit(miner, job.tree(miner, GAME))
    job.chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, commit, field="deposit")


def test_a_commitment_can_be_too_late(job: LedgerCampaign) -> None:
    chain = job.chain
    first, second, third = miners(job)
    chain.produce(job.commit(first, job.tree(first, GAME)))
    late = job.commit(second, job.tree(second, GAME))
    left = job.task.deadline_ms - chain.time_ms
    # The block that closes the window may still contain it.
    chain.produce(late, after_ms=left + 1)
    assert job.task.phase == CHALLENGE
    after = job.commit(third, job.tree(third, GAME))
    chain.refuses(LedgerCode.TOO_LATE, after, field="attempt")


# Reveals ----------------------------------------------------------------------------------


def test_a_reveal_is_written_down(job: LedgerCampaign) -> None:
    trees = to_reveal(job)
    miner = miners(job)[0]
    job.chain.produce(job.reveal(miner, trees[miner]))
    record = job.chain.miner(job.task_id, miner)
    assert record is not None
    assert record.revealed
    assert list(record.shapley_nano) == [50_000_000, 100_000_000, -30_000_000]
    assert (record.samples, record.evaluations) == (50, job.plan(miner).evaluations(50))
    assert record.evidence_root == trees[miner].root
    assert not record.inlier


def test_a_reveal_can_be_too_early_or_too_late(job: LedgerCampaign) -> None:
    chain = job.chain
    miner, other, third = miners(job)
    trees = {m: job.tree(m, GAME) for m in (miner, other, third)}
    chain.refuses(LedgerCode.TOO_EARLY, job.reveal(miner, trees[miner]), field="attempt")
    chain.refuses(LedgerCode.TOO_EARLY, job.open(miner, trees[miner]), field="attempt")
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    chain.refuses(LedgerCode.TOO_EARLY, job.reveal(miner, trees[miner]), field="attempt")
    job.open_all(trees)
    chain.refuses(LedgerCode.TOO_LATE, job.open(miner, trees[miner]), field="attempt")
    chain.refuses(LedgerCode.TOO_EARLY, job.reveal(miner, trees[miner], attempt=1), field="attempt")
    left = job.task.deadline_ms - chain.time_ms
    chain.produce(job.reveal(miner, trees[miner]), job.reveal(other, trees[other]))
    job.wait(REVEAL, left)
    assert job.task.phase == SETTLE
    after = job.reveal(third, trees[third])
    chain.refuses(LedgerCode.TOO_LATE, after, field="attempt")
    chain.produce()
    for attempt in (0, 1):
        over = job.reveal(third, trees[third], attempt=attempt)
        chain.refuses(LedgerCode.TOO_LATE, over, field="attempt")


def test_a_reveal_must_open_its_commitment(job: LedgerCampaign) -> None:
    chain = job.chain
    trees = to_reveal(job)
    miner, other, _ = miners(job)
    tree = trees[miner]
    more = job.tree(miner, GAME, samples=51)
    invented = shown(job, miner, tree)
    invented.total[0] += 1
    for changes in (
        {"salt": ELSEWHERE},
        {"evidence": shown(job, miner, more)},
        {"evidence": shown(job, other, trees[other]), "salt": salt(other)},
        {"evidence": invented},
    ):
        wrong = job.reveal(miner, tree, **changes)
        chain.refuses(LedgerCode.WRONG_OPENING, wrong, field="evidence")
    short = job.reveal(miner, tree, salt=b"\1" * 31)
    chain.refuses(LedgerCode.BAD_HASH, short, field="salt")


def test_a_miner_reveals_once_and_only_after_it_committed(job: LedgerCampaign) -> None:
    chain = job.chain
    first, second, third = miners(job)
    trees = {m: job.tree(m, GAME) for m in (first, second, third)}
    chain.produce(*(job.commit(m, trees[m]) for m in (first, second)))
    job.wait(COMMIT, job.terms.commit_window_ms)
    chain.produce(job.open(first, trees[first]))
    twice = job.open(first, trees[first])
    chain.refuses(LedgerCode.ALREADY_REVEALED, twice, field="task_id")
    padded = shown(job, second, trees[second])
    del padded.leaves[:]
    leafless = job.open(second, trees[second], evidence=padded)
    chain.refuses(IncentiveCode.WRONG_SIBLINGS, leafless, field="evidence.siblings")
    unopened = job.open(second, trees[second], salt=ELSEWHERE)
    chain.refuses(LedgerCode.WRONG_OPENING, unopened, field="evidence")
    stranger = job.open(third, trees[third])
    chain.refuses(LedgerCode.NOT_COMMITTED, stranger, field="task_id")
    chain.produce(job.open(second, trees[second]))
    stranger = job.reveal(third, trees[third])
    chain.refuses(LedgerCode.NOT_COMMITTED, stranger, field="task_id")
    chain.produce(job.reveal(first, trees[first]))
    again = job.reveal(first, trees[first])
    chain.refuses(LedgerCode.ALREADY_REVEALED, again, field="task_id")


def test_evidence_that_does_not_hold_together_is_refused(job: LedgerCampaign) -> None:
    """The incentive layer's tests cover all codes; here they come from the ledger."""
    chain = job.chain
    trees = to_reveal(job)
    miner = miners(job)[0]
    leaf, short, other, wrong = (shown(job, miner, trees[miner]) for _ in range(4))
    leaf.leaves[0].utilities[0] += 1
    del short.leaves[-1]
    other.leaves[0].index += 1
    wrong.siblings[0].hash = ELSEWHERE
    for code, evidence in (
        (IncentiveCode.WRONG_LEAVES, short),
        (IncentiveCode.WRONG_LEAVES, other),
        (IncentiveCode.WRONG_ROOT, wrong),
    ):
        chain.refuses(code, job.reveal(miner, trees[miner], evidence=evidence))
    refusal = chain.ledger.check_all(
        [job.reveal(miner, trees[miner], evidence=leaf)], chain.height, chain.time_ms + 1
    )[0]
    assert refusal is not None
    assert isinstance(refusal.code, IncentiveCode)


def test_a_wrong_sum_that_was_committed_to_is_refused(job: LedgerCampaign) -> None:
    """A miner that commits to an invented total has no leaves that add up to it."""
    chain = job.chain
    trees = {m: job.tree(m, GAME) for m in miners(job)}
    liar = miners(job)[0]
    tree = trees[liar]
    sums = tree.build_opening()
    sums.total[0] += 50
    sums.total[1] -= 50
    forged = job.commit(
        liar, tree, commitment=compute_commitment(sums, salt(liar), job.task_id, 0, liar.address)
    )
    chain.produce(forged, *(job.commit(m, trees[m]) for m in miners(job)[1:]))
    chain.produce(
        job.open(liar, tree, evidence=sums), *(job.open(m, trees[m]) for m in miners(job)[1:])
    )
    assert job.task.phase == REVEAL
    evidence = shown(job, liar, tree)
    evidence.total[0] += 50
    evidence.total[1] -= 50
    reveal = job.reveal(liar, tree, evidence=evidence)
    chain.refuses(IncentiveCode.WRONG_TOTAL, reveal, field="evidence.total")


@pytest.mark.attack
def test_copied_evidence_is_refused(job: LedgerCampaign, report_attack: ReportAttack) -> None:
    """A copier has no leaves of its own to reveal."""
    chain = job.chain
    copier, honest, _ = miners(job)
    tree = job.tree(honest, GAME)
    chain.produce(
        job.commit(copier, tree),
        *(job.commit(miner, job.tree(miner, GAME)) for miner in miners(job)[1:]),
    )
    job.open_all({copier: tree, **{m: job.tree(m, GAME) for m in miners(job)[1:]}})
    # Its challenged leaves have other indices and other permutations than the copied ones.
    for evidence in (shown(job, copier, tree), shown(job, honest, tree)):
        reveal = job.reveal(copier, tree, evidence=evidence)
        with pytest.raises(RefusalError) as caught:
            chain.ledger.execute(chain.context(), [reveal])
        assert isinstance(caught.value.code, IncentiveCode)
    report_attack(
        "a miner copies the evidence of a rival",
        "no more than now",
        "its reveal is refused, and its deposit burned",
    )


def test_a_second_attempt_needs_new_commitments() -> None:
    job = LedgerCampaign(LedgerChain.create(2))
    job.open_campaign()
    job.open_task(max_attempts=3)
    chain = job.chain
    miner = miners(job)[0]
    tree = job.tree(miner, GAME)
    job.wait(COMMIT, job.terms.commit_window_ms)
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    stale = job.commit(miner, tree, attempt=0)
    chain.refuses(LedgerCode.TOO_LATE, stale, field="attempt")
    chain.produce(job.commit(miner, tree))
