"""A full mempool: what pays the least makes room, and miners' steps always have room."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.pending.mempool_usage import MempoolLimits
from fedcoin.contract.pending.sender_queue import MAX_BYTES_BEFORE_STEP
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.evidence_pb2 import Evidence, EvidenceLeaf
from fedcoin.v1.transaction_pb2 import RevealShapley
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, CAROL, key_of
from tests.support.ledger_campaign import COMMIT, SETTLED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain, refused
from tests.support.transfers import transfer_to

USERS = tuple(f"user {i}" for i in range(8))
GAME = additive(5, 10, -3)


class Pool:
    """A chain with a mempool."""

    def __init__(self, chain: LedgerChain, **limits: int) -> None:
        self.chain = chain
        self.pool = Mempool(MempoolLimits(**limits))

    def add(self, transaction: Transaction, *, hold: bool = False) -> bool:
        chain = self.chain
        return self.pool.add(transaction, chain.ledger, chain.height, chain.time_ms + 1, hold=hold)

    def pay(self, sender: KeyPair, fee: int, outputs: int = 1, **options: Any) -> Transaction:
        """Sign a payment; `outputs` sets its size."""
        action = transfer_to(*((CAROL.address, n + 1) for n in range(outputs)))
        return self.chain.sign(sender, action, fee=fee, **options)

    def produce(self) -> list[Transaction]:
        """Make a block of what an honest proposer takes; returns its transactions."""
        chain = self.chain
        limit = chain.genesis.parameters.max_block_bytes
        built = chain.ledger.build(chain.context(), self.pool.candidates(), limit)
        execution = chain.produce(*built.transactions)
        self.pool.after_block(execution.transactions, chain.ledger, chain.height, chain.time_ms + 1)
        return list(execution.transactions)


@pytest.fixture
def chain() -> LedgerChain:
    return LedgerChain.create(2, users=("alice", "bob", *USERS), fee_per_kib=100)


def test_the_dearest_by_bytes_comes_first(chain: LedgerChain) -> None:
    pool = Pool(chain)
    long = pool.pay(ALICE, 60_000, outputs=20)
    short = pool.pay(BOB, 20_000)
    later = pool.pay(BOB, 900_000, ahead=1)
    for transaction in (long, later, short):
        pool.add(transaction, hold=True)
    # The dearest of all waits for the earlier nonce of its sender.
    assert list(pool.pool.candidates()) == [short, later, long]
    assert set(pool.pool.unordered_candidates()) == {short, later, long}


def test_a_full_pool_takes_what_pays_more_and_drops_the_cheapest(chain: LedgerChain) -> None:
    pool = Pool(chain, transactions=3)
    cheap, middle, dear = (
        pool.pay(key_of(USERS[i]), fee) for i, fee in enumerate((20_000, 30_000, 40_000))
    )
    for transaction in (dear, cheap, middle):
        pool.add(transaction)
    # A tenth more than the cheapest is asked for.
    with refused(LedgerCode.POOL_FULL) as caught:
        pool.add(pool.pay(ALICE, 21_000))
    fee = int(caught.value.limit or "")
    assert 22_000 <= fee < 22_300
    with refused(LedgerCode.POOL_FULL):
        pool.add(pool.pay(ALICE, fee - 100))
    newcomer = pool.pay(ALICE, fee)
    assert pool.add(newcomer)
    assert pool.pool.get(cheap.hash) is None
    reason = pool.pool.dropped_reason(cheap.hash)
    assert reason is not None
    assert reason.code is LedgerCode.EVICTED
    assert list(pool.pool.candidates()) == [dear, middle, newcomer]


def test_a_large_transaction_pushes_out_as_many_as_it_needs(chain: LedgerChain) -> None:
    size = len(Pool(chain).pay(ALICE, 10_000).raw)
    pool = Pool(chain, bytes=3 * size + 10)
    waiting = [pool.pay(key_of(USERS[i]), fee) for i, fee in enumerate((10_000, 20_000, 30_000))]
    for transaction in waiting:
        pool.add(transaction)
    large = pool.pay(ALICE, 200_000, outputs=5)
    assert size < len(large.raw) < 2 * size
    assert pool.add(large)
    assert pool.pool.pending() == [waiting[2], large]
    # One that cannot be applied pushes nothing out.
    with refused(LedgerCode.INSUFFICIENT_BALANCE):
        pool.add(pool.pay(BOB, 2_000 * FDC))
    assert pool.pool.pending() == [waiting[2], large]


def test_the_last_nonces_of_a_sender_go_first_and_cheap_ones_cannot_hide(
    chain: LedgerChain,
) -> None:
    pool = Pool(chain, transactions=4)
    # Two cheap transactions before one that pays a little more.
    hidden = [pool.pay(ALICE, fee, ahead=i) for i, fee in enumerate((9_000, 9_000, 30_000))]
    for transaction in hidden:
        pool.add(transaction)
    pool.add(pool.pay(BOB, 20_000))
    assert pool.add(pool.pay(key_of(USERS[0]), 25_000))
    # Together they paid 16,000 each, less than Bob's 20,000; none of them could stay alone.
    assert all(pool.pool.get(transaction.hash) is None for transaction in hidden)
    assert len(pool.pool) == 2


def test_a_sender_does_not_push_out_what_its_next_transaction_needs(chain: LedgerChain) -> None:
    pool = Pool(chain, transactions=2)
    pool.add(pool.pay(ALICE, 10_000))
    pool.add(pool.pay(BOB, 50_000))
    with refused(LedgerCode.POOL_FULL):
        pool.add(pool.pay(ALICE, 90_000, ahead=1))
    assert len(pool.pool) == 2


def test_a_stranger_without_coins_cannot_fill_the_room_of_early_ones(chain: LedgerChain) -> None:
    pool = Pool(chain, held=3)
    for i in range(3):
        pool.add(pool.pay(key_of(f"stranger {i}"), 900_000_000), hold=True)
    early = pool.pay(ALICE, 20_000, ahead=1)
    assert not pool.add(early, hold=True)
    (miner, _) = chain.miners
    of_miner = pool.pay(miner, 20_000, ahead=1)
    assert not pool.add(of_miner, hold=True)
    assert {early, of_miner} < set(pool.pool.pending())
    assert len(pool.pool) == 3
    with refused(LedgerCode.POOL_FULL):
        pool.add(pool.pay(key_of("stranger 5"), 900_000_000), hold=True)


def test_what_gets_in_is_known_before(chain: LedgerChain) -> None:
    pool = Pool(chain, transactions=8)
    assert (pool.pool.min_fee_rate(), pool.pool.next_block_fee_rate(100)) == (0, 0)
    for i, user in enumerate(USERS):
        pool.add(pool.pay(key_of(user), 20_000 + 1_000 * i))
    cheapest = 20_000 * 1024 // len(pool.pool.pending()[0].raw)
    rate = pool.pool.min_fee_rate()
    assert rate == cheapest * 110 // 100 + 1
    size = len(pool.pool.pending()[0].raw)
    assert pool.pool.next_block_fee_rate(1 << 20) == 0
    # The dearest three fit; the fourth does not.
    assert pool.pool.next_block_fee_rate(3 * size + 10) == 24_000 * 1024 // size + 1
    with refused(LedgerCode.POOL_FULL):
        pool.add(pool.pay(BOB, (rate - 30) * size // 1024))
    assert pool.add(pool.pay(BOB, rate * size // 1024 + 300))


def mined(chain: LedgerChain) -> LedgerCampaign:
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task()
    return job


def test_a_pool_filler_costs_no_miner_its_deposit(report_attack: ReportAttack) -> None:
    """The attack `pool-filler`: everything that others offer pays more than the miners' steps."""
    chain = LedgerChain.create(4, users=("alice", "bob", *USERS), max_block_bytes=16_384,
                               max_transaction_bytes=8_192)  # fmt: skip
    job = mined(chain)
    pool = Pool(chain, transactions=40, per_sender=64)
    trees = {miner: job.tree(miner, GAME) for miner in chain.miners}
    balances = {miner: chain.balance(miner) for miner in trees}
    spent = {"commit": 0, "open": 0, "reveal": 0}

    def fill() -> None:
        for user in USERS:
            for ahead in range(10):
                with suppress(RefusalError):
                    pool.add(pool.pay(key_of(user), FDC, outputs=40, ahead=ahead))

    for step in spent:
        fill()
        assert pool.pool.min_fee_rate() > 0
        steps = [getattr(job, step)(miner, tree) for miner, tree in trees.items()]
        for transaction in steps:
            assert pool.add(transaction)
        block = pool.produce()
        assert set(steps) <= set(block)
        assert len(block) > len(steps)
    chain.produce()
    assert job.task.phase == SETTLED
    assert chain.ledger.totals().burned < FDC
    assert all(chain.balance(miner) > balances[miner] - FDC for miner in trees)
    report_attack(
        "transfers that pay far more fill mempools and blocks (`pool-filler`)",
        "miners' messages are refused with `POOL_FULL`, and their deposits are lost",
        "each message of a task's miners is in the next block; no deposit is lost",
    )


def test_each_miner_has_room_for_one_message_of_each_step(chain: LedgerChain) -> None:
    job = mined(chain)
    first, second = chain.miners
    pool = Pool(chain, transactions=1)
    pool.add(pool.pay(ALICE, FDC))
    commit = job.commit(first, job.tree(first, GAME))
    assert pool.add(commit)
    # Another commitment of the same miner for the same task has no room of its own.
    again = chain.sign(first, commit.body.commit_shapley, ahead=1)
    with refused(LedgerCode.POOL_FULL):
        pool.add(again, hold=True)
    assert pool.add(job.commit(second, job.tree(second, GAME)))
    # Nor has one of somebody without power in the task, or for a task that is unknown.
    for sender in (BOB, first):
        action = type(commit.body.commit_shapley)()
        action.CopyFrom(commit.body.commit_shapley)
        if sender is first:
            action.task_id = b"\7" * 32
        with refused(LedgerCode.POOL_FULL):
            pool.add(chain.sign(sender, action, ahead=1), hold=True)
    assert len(pool.pool) == 3
    assert set(pool.produce()) > {commit}


def test_a_miner_cannot_shelter_other_transactions_before_its_step(chain: LedgerChain) -> None:
    job = mined(chain)
    miner = chain.miners[0]
    pool = Pool(chain, transactions=12)
    ballast = [pool.pay(miner, 40_000, outputs=250, ahead=i) for i in range(11)]
    assert sum(len(transaction.raw) for transaction in ballast) > MAX_BYTES_BEFORE_STEP
    for transaction in ballast:
        pool.add(transaction)
    step = chain.sign(miner, job.commit(miner, job.tree(miner, GAME)).body.commit_shapley, ahead=11)
    pool.add(step)
    pool.add(pool.pay(ALICE, 50_000))
    assert pool.add(pool.pay(BOB, 50_000))
    assert pool.pool.get(step.hash) is None
    # With little before it, the step keeps its place and what comes before it.
    pool = Pool(chain, transactions=2)
    small = pool.pay(miner, 20_000)
    step = chain.sign(miner, job.commit(miner, job.tree(miner, GAME)).body.commit_shapley, ahead=1)
    pool.add(small)
    pool.add(step)
    pool.add(pool.pay(ALICE, 30_000))
    with refused(LedgerCode.POOL_FULL):
        pool.add(pool.pay(BOB, 32_000))
    assert pool.add(pool.pay(BOB, 60_000))
    assert list(pool.pool.candidates())[:2] == [small, step]


def test_miners_take_turns_with_their_steps(chain: LedgerChain) -> None:
    jobs = []
    for _ in range(2):
        jobs.append(mined(chain))
    assert all(job.task.phase == COMMIT for job in jobs)
    first, second = chain.miners
    pool = Pool(chain)
    steps = {
        (miner, index): chain.sign(
            miner, job.commit(miner, job.tree(miner, GAME)).body.commit_shapley, ahead=index
        )
        for miner in (first, second)
        for index, job in enumerate(jobs)
    }
    for step in steps.values():
        assert pool.add(step)
    order = [(first, 0), (second, 0), (first, 1), (second, 1)]
    assert list(pool.pool.candidates()) == [steps[key] for key in order]


@pytest.mark.attack
def test_transfers_before_a_step_keep_no_other_miners_step_out(
    report_attack: ReportAttack,
) -> None:
    """Three of four miners have transfers before steps that came first, and fill the block."""
    chain = LedgerChain.create(4, max_block_bytes=16_384, max_transaction_bytes=8_192)
    job = mined(chain)
    pool = Pool(chain)
    *crowd, honest = chain.miners
    for miner in crowd:
        commitment = job.commit(miner, job.tree(miner, GAME)).body.commit_shapley
        for ahead in range(50):
            pool.add(pool.pay(miner, 20_000, ahead=ahead))
        assert pool.add(chain.sign(miner, commitment, ahead=50))
    step = job.commit(honest, job.tree(honest, GAME))
    assert pool.add(step)
    assert step in pool.produce()
    report_attack(
        "as miners, send 64 KiB of transfers before each step, so that honest proposers' blocks are"
        " full before the steps of others",
        "the others' steps wait, their windows end, and their deposits burn",
        "steps come first that have fewer bytes before them",
    )


@pytest.mark.attack
def test_miners_in_many_tasks_leave_each_other_miner_its_share(
    report_attack: ReportAttack,
) -> None:
    """The first miner's steps in six tasks would fill all of the reserved room."""
    chain = LedgerChain.create(4, users=("alice", "bob", *USERS), max_validators=4)
    jobs = [mined(chain) for _ in range(6)]
    crowd, honest, *_ = chain.miners

    def commit(job: LedgerCampaign, miner: KeyPair, ahead: int = 0) -> Transaction:
        action = job.commit(miner, job.tree(miner, GAME)).body.commit_shapley
        return chain.sign(miner, action, ahead=ahead)

    size = len(commit(jobs[0], crowd).raw)
    pool = Pool(chain, transactions=1, reserved_bytes=5 * size + 20)
    pool.add(pool.pay(ALICE, FDC))
    for ahead, job in enumerate(jobs[:5]):
        assert pool.add(commit(job, crowd, ahead))
    with refused(LedgerCode.POOL_FULL):
        pool.add(commit(jobs[5], crowd, 5))
    assert pool.add(commit(jobs[0], honest))
    # The share has room for one such step.
    with refused(LedgerCode.POOL_FULL):
        pool.add(commit(jobs[1], honest, 1))
    report_attack(
        "as some miners, answer in 64 tasks of one's own, so that 32 MiB of steps wait everywhere",
        "steps of other miners have no room of their own: they pay as others do, or come too late",
        "each miner has its share of as much room: one answer for 128 clients",
    )


def test_reserved_room_is_bounded() -> None:
    """When it is full, each other miner has room for one step, and for its share."""
    chain = LedgerChain.create(2, users=("alice", "bob", *USERS), max_validators=10)
    jobs = [mined(chain) for _ in range(2)]
    first, second = chain.miners
    step = jobs[0].commit(first, jobs[0].tree(first, GAME))
    pool = Pool(chain, transactions=1, reserved_bytes=len(step.raw) + 20)
    pool.add(pool.pay(ALICE, FDC))
    assert pool.add(step)
    assert pool.add(jobs[0].commit(second, jobs[0].tree(second, GAME)))
    for miner in (first, second):
        action = jobs[1].commit(miner, jobs[1].tree(miner, GAME)).body.commit_shapley
        with refused(LedgerCode.POOL_FULL):
            pool.add(chain.sign(miner, action, ahead=1))


@pytest.mark.attack
def test_one_miner_cannot_hold_all_room_for_steps_with_what_is_too_early(
    report_attack: ReportAttack,
) -> None:
    """Its answers come before their time and are no answers: they wait, and cost nothing."""
    rules: dict[str, Any] = {"max_validators": 1_000, "max_transaction_bytes": 65_536}
    chain = LedgerChain.create(4, users=("alice", "bob", *USERS), **rules)
    crowd, honest, *_ = chain.miners
    jobs = [mined(chain) for _ in range(3)]
    leaves = [EvidenceLeaf(utilities=[1 << 31] * 6_000)]
    evidence = Evidence(leaves=leaves)
    junk = [
        chain.sign(crowd, RevealShapley(task_id=job.task_id, evidence=evidence), ahead=ahead)
        for ahead, job in enumerate(jobs)
    ]
    num_bytes = sum(len(transaction.raw) for transaction in junk)
    pool = Pool(chain, transactions=1, reserved_bytes=num_bytes + 20)
    pool.add(pool.pay(ALICE, FDC))
    for transaction in junk:
        with suppress(RefusalError):
            pool.add(transaction, hold=True)
    assert len(pool.pool) == 4
    commitment = jobs[0].commit(honest, jobs[0].tree(honest, GAME))
    # Far more than the share, 90 bytes.
    assert pool.add(commitment)
    report_attack(
        "as one of 1,000 validators, have answers of 1 MiB that come too early wait in the"
        " mempool's room for steps, and fill the rest with dear transfers",
        "answers of more than 33 KB are refused (`POOL_FULL`), and deposits burn",
        "each miner has room for one step, however large",
    )


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(10, 40), st.booleans()),
        max_size=40,
    )
)
def test_a_pool_under_pressure_stays_in_bounds_and_in_order(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    pool = Pool(LedgerChain.create(1, users=USERS), transactions=6, bytes=1_500, per_sender=4)
    for user, nonce, fee, produce in steps:
        transaction = pool.pay(key_of(USERS[user]), fee * 1_000, nonce=nonce)
        try:
            pool.add(transaction, hold=True)
        except RefusalError:
            assert pool.pool.get(transaction.hash) is None or transaction in pool.pool.pending()
        if produce:
            pool.produce()
        pending = pool.pool.pending()
        assert len(pending) == len(pool.pool) <= 6
        assert pool.pool.num_bytes == sum(len(t.raw) for t in pending) <= 1_500
        candidates = list(pool.pool.candidates())
        chain = pool.chain
        found = chain.ledger.check_all(candidates, chain.height, chain.time_ms + 1)
        assert found == [None] * len(candidates)
