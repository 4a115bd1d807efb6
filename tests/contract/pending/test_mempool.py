"""The mempool: its limits, its order, transactions that are too early, and dropped ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.contract.admission import min_fee, min_replacement_fee
from fedcoin.contract.blocks.ledger import PendingState
from fedcoin.contract.errors import PREMATURE_CODES, LedgerCode
from fedcoin.contract.pending import mempool
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.pending.mempool_usage import MempoolLimits
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.payout import compute_deposit
from fedcoin.v1.transaction_pb2 import CommitShapley
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, CAROL
from tests.support.ledger_campaign import REVEAL, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain, refused
from tests.support.transfers import transfer_to


class Waiting:
    """A chain with a mempool."""

    def __init__(self, chain: LedgerChain, **limits: int) -> None:
        self.chain = chain
        self.pool = Mempool(MempoolLimits(**limits))

    def add(self, transaction: Transaction, *, hold: bool = False) -> bool:
        chain = self.chain
        return self.pool.add(transaction, chain.ledger, chain.height, chain.time_ms + 1, hold=hold)

    def pay(self, sender: KeyPair = ALICE, amount: int = FDC, **options: Any) -> Transaction:
        return self.chain.sign(sender, transfer_to((CAROL.address, amount)), **options)

    def produce(self, *transactions: Transaction, after_ms: int = 10) -> list[Transaction]:
        """Make a block with these transactions; returns what the mempool drops after it."""
        execution = self.chain.produce(*transactions, after_ms=after_ms)
        dropped = self.pool.after_block(
            execution.transactions,
            self.chain.ledger,
            self.chain.height,
            self.chain.time_ms + 1,
        )
        for transaction, reason in dropped:
            assert self.pool.get(transaction.hash) is None
            assert self.pool.dropped_reason(transaction.hash) is reason
        return [drop.transaction for drop in dropped]

    def candidates(self) -> list[Transaction]:
        return list(self.pool.candidates())


@pytest.fixture
def waiting() -> Waiting:
    return Waiting(LedgerChain.create(2, fee_per_kib=100))


def test_pending_transactions_go_into_a_block_and_leave_the_pool(waiting: Waiting) -> None:
    first, second = waiting.pay(), waiting.pay(BOB)
    assert waiting.add(first)
    assert waiting.add(second)
    assert len(waiting.pool) == 2
    assert waiting.pool.pending() == waiting.candidates() == [first, second]
    assert waiting.pool.get(first.hash) is first
    assert waiting.produce(*waiting.candidates()) == []
    assert len(waiting.pool) == 0
    assert waiting.candidates() == []
    assert waiting.pool.get(first.hash) is None


def test_a_sender_s_transactions_come_by_nonce_and_others_by_fee(waiting: Waiting) -> None:
    chain = [waiting.pay(ahead=i, amount=i + 1, fee=9_000 - 3_000 * i) for i in range(3)]
    other = waiting.pay(BOB, fee=8_000)
    assert waiting.add(chain[0])
    assert waiting.add(other)
    assert waiting.pool.pending_nonce(ALICE.address, waiting.chain.ledger) == 1
    assert not waiting.add(chain[2], hold=True)
    assert waiting.candidates() == [chain[0], other]
    assert waiting.pool.pending_nonce(ALICE.address, waiting.chain.ledger) == 1
    # The gap closes, and the held transaction is ready too.
    assert waiting.add(chain[1])
    assert waiting.pool.pending_nonce(ALICE.address, waiting.chain.ledger) == 3
    assert waiting.candidates() == [chain[0], other, chain[1], chain[2]]
    waiting.produce(*waiting.candidates())
    assert len(waiting.pool) == 0


def test_a_transaction_that_can_never_be_applied_is_refused(waiting: Waiting) -> None:
    waiting.add(waiting.pay())
    for code, transaction in (
        (LedgerCode.ALREADY_PENDING, waiting.pay()),
        (LedgerCode.REPLACEMENT_UNDERPRICED, waiting.pay(amount=5)),
        (LedgerCode.ZERO_AMOUNT, waiting.pay(amount=0, ahead=1)),
        (LedgerCode.EXPIRED, waiting.pay(ahead=1, expiry=0)),
        # Earlier transactions of the sender have used the balance.
        (LedgerCode.INSUFFICIENT_BALANCE, waiting.pay(ahead=1, amount=1_000 * FDC - 50_000)),
        # Strict checks, as for a node's own users.
        (LedgerCode.NONCE_TOO_HIGH, waiting.pay(ahead=2)),
    ):
        with refused(code):
            waiting.add(transaction)
        assert len(waiting.pool) == 1
    with refused(LedgerCode.ZERO_AMOUNT):
        waiting.add(waiting.pay(amount=0, ahead=1), hold=True)


def test_the_pool_is_bounded(waiting: Waiting) -> None:
    chain = waiting.chain
    narrow = Waiting(chain, per_sender=2, transactions=3)
    for ahead in range(2):
        narrow.add(narrow.pay(ahead=ahead))
    with refused(LedgerCode.TOO_MANY_PENDING):
        narrow.add(narrow.pay(ahead=2))
    narrow.add(narrow.pay(BOB))
    with refused(LedgerCode.POOL_FULL):
        narrow.add(narrow.pay(BOB, ahead=1))
    size = len(waiting.pay().raw)
    light = Waiting(chain, bytes=2 * size + 9)
    for ahead in range(2):
        light.add(light.pay(ahead=ahead))
    with refused(LedgerCode.POOL_FULL):
        light.add(light.pay(BOB))
    # There is room again.
    light.pool.remove(light.pay().hash)
    light.pool.remove(b"unknown")
    light.add(light.pay(BOB))
    few = Waiting(chain, held=1)
    few.add(few.pay(ahead=1), hold=True)
    with refused(LedgerCode.POOL_FULL):
        few.add(few.pay(ahead=2), hold=True)
    few.add(few.pay(BOB))


def test_another_transaction_may_take_the_nonce(waiting: Waiting) -> None:
    mine, theirs = waiting.pay(), waiting.pay(amount=7)
    later = waiting.pay(ahead=1)
    waiting.add(mine)
    waiting.add(later)
    assert waiting.produce(theirs) == [mine]
    reason = waiting.pool.dropped_reason(mine.hash)
    assert reason is not None
    assert reason.code is LedgerCode.NONCE_TOO_LOW
    assert waiting.candidates() == [later]
    # A final transaction is not remembered as dropped.
    assert waiting.pool.dropped_reason(theirs.hash) is None


def test_an_expired_transaction_is_dropped_and_its_successors_wait(waiting: Waiting) -> None:
    brief = waiting.pay(expiry=2)
    later = waiting.pay(ahead=1)
    waiting.add(brief)
    waiting.add(later)
    assert waiting.produce() == []
    assert waiting.candidates() == [brief, later]
    assert waiting.produce() == [brief]
    reason = waiting.pool.dropped_reason(brief.hash)
    assert reason is not None
    assert reason.code is LedgerCode.EXPIRED
    assert waiting.candidates() == []
    assert waiting.pool.pending() == [later]
    again = waiting.pay(amount=9)
    assert waiting.add(again)
    assert waiting.candidates() == [again, later] or waiting.candidates() == [later, again]
    assert [t.body.nonce for t in waiting.candidates()] == [0, 1]


def test_coins_that_are_only_on_their_way_are_waited_for(waiting: Waiting) -> None:
    """A peer that is one block ahead relays transactions that are too early here."""
    chain = waiting.chain
    give = chain.sign(ALICE, transfer_to((CAROL.address, FDC)))
    spend = chain.sign(CAROL, transfer_to((BOB.address, 5)))
    with refused(LedgerCode.INSUFFICIENT_BALANCE):
        waiting.add(spend)
    assert not waiting.add(spend, hold=True)
    assert waiting.candidates() == []
    waiting.produce(give)
    assert waiting.candidates() == [spend]


def test_a_commitment_may_come_before_its_task() -> None:
    job = LedgerCampaign(LedgerChain.create(1))
    job.open_campaign()
    waiting = Waiting(job.chain)
    opening = job.chain.sign(job.server, job.task_terms())
    (miner,) = job.chain.miners
    deposit = compute_deposit(1, job.task_terms().prices.mining, winner_takes_all=True)
    action = CommitShapley(task_id=opening.hash, commitment=b"\1" * 32, deposit=deposit)
    commit = job.chain.sign(miner, action)
    assert not waiting.add(commit, hold=True)
    assert waiting.produce(opening) == []
    assert waiting.candidates() == [commit]


def test_a_reveal_may_come_a_block_early_and_is_dropped_when_it_is_late() -> None:
    job = LedgerCampaign(LedgerChain.create(2))
    job.open_campaign()
    job.open_task()
    chain = job.chain
    first, second = chain.miners
    trees = {m: job.tree(m, additive(1, 2, 3)) for m in (first, second)}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    # This node lacks the block that fixes the challenge, and others have it.
    ahead = LedgerChain.create(2)
    for block, certificate in zip(chain.blocks, chain.certificates, strict=True):
        ahead.add(block, certificate)
    openings = [job.open(m, tree) for m, tree in trees.items()]
    ahead.produce(*openings)
    elsewhere = LedgerCampaign(
        ahead, campaign_id=job.campaign_id, task_id=job.task_id, terms=job.terms
    )
    assert elsewhere.task.phase == REVEAL
    waiting = Waiting(chain)
    reveals = {m: elsewhere.reveal(m, tree) for m, tree in trees.items()}
    for reveal in reveals.values():
        assert not waiting.add(reveal, hold=True)
    waiting.produce(*openings)
    assert waiting.candidates() == list(reveals.values())
    chain.produce(reveals[first])
    late = waiting.produce(after_ms=job.terms.reveal_window_ms)
    assert late == [reveals[first], reveals[second]] or set(late) == set(reveals.values())
    assert len(waiting.pool) == 0


def test_a_transaction_that_stays_too_early_is_dropped(waiting: Waiting) -> None:
    waiting = Waiting(waiting.chain, held_blocks=3)
    gap = waiting.pay(ahead=1)
    waiting.add(gap, hold=True)
    assert [waiting.produce() for _ in range(3)] == [[], [], [gap]]
    reason = waiting.pool.dropped_reason(gap.hash)
    assert reason is not None
    assert reason.code is LedgerCode.HELD_TOO_LONG
    # The transaction may come again.
    assert not waiting.add(gap, hold=True)
    assert waiting.pool.dropped_reason(gap.hash) is None


def test_review_finds_what_a_block_could_not_take(waiting: Waiting) -> None:
    chain = waiting.chain
    waiting.add(waiting.pay(amount=900 * FDC))
    # A transaction that this mempool never saw, in a block that it was not told of, used the nonce.
    chain.produce(chain.sign(ALICE, transfer_to((BOB.address, 1))))
    dropped = waiting.pool.review(
        [ALICE.address, BOB.address], chain.ledger, chain.height, chain.time_ms + 1
    )
    assert [drop.reason.code for drop in dropped] == [LedgerCode.NONCE_TOO_LOW]


def test_only_what_a_later_block_may_lift_is_early() -> None:
    assert LedgerCode.NONCE_TOO_LOW not in PREMATURE_CODES
    assert LedgerCode.TOO_LATE not in PREMATURE_CODES


def dearer(waiting: Waiting, replaced: Transaction, more: int = 0, **options: Any) -> Transaction:
    """A payment with the same nonce and the minimum fee that replaces it, plus `more`."""
    alike = {"nonce": replaced.body.nonce, "amount": 3, **options}
    fee = replaced.body.fee
    draft = waiting.pay(**alike, fee=2 * fee)
    least = min_fee(waiting.chain.genesis.parameters, len(draft.body_bytes))
    return waiting.pay(**alike, fee=min_replacement_fee(fee, least) + more)


def test_a_higher_fee_replaces(waiting: Waiting) -> None:
    first, other = waiting.pay(fee=100_000), waiting.pay(BOB)
    waiting.add(first)
    waiting.add(other)
    cheap = dearer(waiting, first, -1)
    assert cheap.body.fee > first.body.fee
    with refused(LedgerCode.REPLACEMENT_UNDERPRICED) as caught:
        waiting.add(cheap)
    assert caught.value.limit == str(cheap.body.fee + 1)
    assert waiting.pool.pending() == [first, other]
    second = dearer(waiting, first)
    assert waiting.add(second)
    assert second.body.fee == 110_000
    assert waiting.pool.get(first.hash) is None
    reason = waiting.pool.dropped_reason(first.hash)
    assert reason is not None
    assert reason.code is LedgerCode.REPLACED
    assert second.hash.hex() in reason.message
    assert set(waiting.candidates()) == {second, other}
    # The replaced transaction does not come back, and the replacement's successor is ready.
    with refused(LedgerCode.REPLACEMENT_UNDERPRICED):
        waiting.add(first, hold=True)
    assert waiting.produce(*waiting.candidates()) == []
    assert waiting.chain.ledger.account(ALICE.address).nonce == 1


def test_a_replacement_pays_at_least_its_own_way(waiting: Waiting) -> None:
    """A tenth of a small fee is less than relaying one more transaction costs."""
    first = waiting.pay()
    waiting.add(first)
    least = min_fee(waiting.chain.genesis.parameters, len(first.body_bytes))
    with refused(LedgerCode.REPLACEMENT_UNDERPRICED) as caught:
        waiting.add(waiting.pay(amount=3, fee=first.body.fee + least - 1))
    assert caught.value.limit == str(first.body.fee + least)
    assert waiting.add(waiting.pay(amount=3, fee=first.body.fee + least))


def test_a_minimum_fee_replaces_no_transaction(waiting: Waiting) -> None:
    """Two programs that sign with one key may choose the same nonce."""
    small = waiting.pay()
    waiting.add(small)
    large = waiting.chain.sign(ALICE, transfer_to(*((CAROL.address, n) for n in range(1, 250))))
    assert large.body.fee > small.body.fee + small.body.fee // 10
    with refused(LedgerCode.REPLACEMENT_UNDERPRICED):
        waiting.add(large)
    assert waiting.pool.pending() == [small]


def test_successors_of_a_replaced_transaction_are_checked_again(waiting: Waiting) -> None:
    first, second, third = (waiting.pay(ahead=n, amount=FDC) for n in range(3))
    for transaction in (first, second, third):
        waiting.add(transaction)
    # The rest of the balance is enough for only one of the other two.
    balance = waiting.chain.ledger.account(ALICE.address).balance
    greedy = dearer(waiting, first, amount=balance - 3 * FDC // 2)
    assert waiting.add(greedy)
    assert waiting.candidates() == [greedy, second]
    assert set(waiting.pool.pending()) == {greedy, second, third}
    # The third waits for coins like any transaction that is too early, and is dropped in time.
    assert waiting.pool.pending_nonce(ALICE.address, waiting.chain.ledger) == 3
    waiting.produce(greedy, second, waiting.chain.sign(BOB, transfer_to((ALICE.address, FDC))))
    assert waiting.candidates() == [third]


def test_a_replacement_must_be_possible_itself(waiting: Waiting) -> None:
    first, second = waiting.pay(), waiting.pay(ahead=1)
    waiting.add(first)
    waiting.add(second)
    for hold in (False, True):
        with refused(LedgerCode.INSUFFICIENT_BALANCE):
            waiting.add(dearer(waiting, second, amount=1_000 * FDC), hold=hold)
        with refused(LedgerCode.ZERO_AMOUNT):
            waiting.add(dearer(waiting, second, amount=0), hold=hold)
    assert waiting.candidates() == [first, second]
    # A held transaction is not replaced by one that must be held, too.
    held = waiting.pay(ahead=3)
    waiting.add(held, hold=True)
    with refused(LedgerCode.NONCE_TOO_HIGH):
        waiting.add(dearer(waiting, held), hold=True)
    assert held in waiting.pool.pending()


def test_a_full_pool_takes_replacements(waiting: Waiting) -> None:
    size = len(waiting.pay().raw)
    full = Waiting(waiting.chain, transactions=2, per_sender=2, bytes=2 * size + 20)
    first, second = full.pay(), full.pay(ahead=1)
    full.add(first)
    full.add(second)
    with refused(LedgerCode.TOO_MANY_PENDING):
        full.add(full.pay(ahead=2))
    assert full.add(dearer(full, second))
    assert len(full.pool) == 2
    large = transfer_to(*((CAROL.address, n) for n in range(1, 20)))
    with refused(LedgerCode.POOL_FULL):
        full.add(full.chain.sign(ALICE, large, fee=10 * first.body.fee))
    assert full.pool.get(first.hash) is first


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=25))
def test_replacements_keep_the_pool_in_order(steps: list[tuple[int, int]]) -> None:
    """Nonces are unique, byte counts are right, and all candidates apply in order."""
    waiting = Waiting(LedgerChain.create(1))
    for nonce, factor in steps:
        transaction = waiting.pay(nonce=nonce, amount=factor * 100 * FDC, fee=10_000 * 3**factor)
        with suppress(RefusalError):
            waiting.add(transaction, hold=True)
        pending = waiting.pool.pending()
        assert len({t.body.nonce for t in pending}) == len(pending) == len(waiting.pool)
        assert waiting.pool.num_bytes == sum(len(t.raw) for t in pending)
        candidates = waiting.candidates()
        assert [t.body.nonce for t in candidates] == list(range(len(candidates)))
        chain = waiting.chain
        found = chain.ledger.check_all(candidates, chain.height, chain.time_ms + 1)
        assert found == [None] * len(candidates)


def test_a_transaction_is_found_by_its_signed_bytes(waiting: Waiting) -> None:
    first, held = waiting.pay(), waiting.pay(ahead=2)
    waiting.add(first)
    waiting.add(held, hold=True)
    assert waiting.pool.find(first.raw) is first
    assert waiting.pool.find(bytes(bytearray(held.raw))) is held
    # The same transaction with another signature has other bytes.
    assert waiting.pool.find(first.raw[:-1] + bytes((first.raw[-1] ^ 1,))) is None
    waiting.produce(first)
    assert waiting.pool.find(first.raw) is None
    waiting.pool.remove(held.hash)
    assert waiting.pool.find(held.raw) is None


def count_applied(patch: pytest.MonkeyPatch) -> list[Transaction]:
    """List the transactions that are applied from now on to see whether they apply."""
    applied: list[Transaction] = []
    apply = PendingState.apply

    def noted(state: PendingState, transaction: Transaction, time_ms: int) -> RefusalError | None:
        applied.append(transaction)
        return apply(state, transaction, time_ms)

    patch.setattr(PendingState, "apply", noted)
    return applied


def test_transfers_that_surely_apply_are_not_applied(waiting: Waiting) -> None:
    """Not when they arrive, and not after a block that holds their sender's first ones."""
    with pytest.MonkeyPatch.context() as patch:
        applied = count_applied(patch)
        for ahead in range(20):
            assert waiting.add(waiting.pay(ahead=ahead))
        waiting.produce(*waiting.candidates()[:5])
        assert waiting.add(waiting.pay(nonce=20))
        assert applied == []
    assert [t.body.nonce for t in waiting.candidates()] == list(range(5, 21))


def test_many_of_one_sender_are_each_applied_once(waiting: Waiting) -> None:
    """Adding a sender's next transaction does not execute its earlier ones again."""
    balance = waiting.chain.ledger.account(ALICE.address).balance
    # With so few coins left, it takes more to tell whether the others apply.
    waiting.produce(waiting.pay(amount=balance - 11 * FDC // 10))
    waiting.produce(waiting.chain.sign(ALICE, transfer_to((BOB.address, 1))))
    few = [waiting.pay(ahead=ahead, amount=FDC // 30) for ahead in range(20)]
    with pytest.MonkeyPatch.context() as patch:
        applied = count_applied(patch)
        patch.setattr(mempool, "surely_applies", lambda *arguments: False)
        for transaction in few:
            assert waiting.add(transaction)
        assert applied == few


def test_a_sender_that_spent_otherwise_is_checked_again(waiting: Waiting) -> None:
    """Another node's block may hold transactions of the sender that were never here."""
    balance = waiting.chain.ledger.account(ALICE.address).balance
    waits = waiting.pay(ahead=1, amount=2 * FDC)
    elsewhere = waiting.pay(amount=balance - FDC)
    assert not waiting.add(waits, hold=True)
    assert waiting.produce(elsewhere) == []
    # It is held, since its sender may get coins.
    assert waiting.candidates() == []
    assert waiting.pool.pending() == [waits]
