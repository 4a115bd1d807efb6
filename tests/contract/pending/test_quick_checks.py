"""What surely applies does apply, whatever the transfer and whatever the account."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.contract.blocks.ledger import PendingState
from fedcoin.contract.pending.quick_checks import compute_max_cost, surely_applies
from fedcoin.contract.pending.sender_queue import Entry, SenderQueue
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.v1.transaction_pb2 import Bond, Transfer, TransferOutput
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, CAROL
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to

CHAIN = LedgerChain.create(2, fee_per_kib=100)
BALANCE = CHAIN.ledger.account(ALICE.address).balance

recipients = st.sampled_from([ALICE.address, BOB.address, CAROL.address, bytes(20), b"", bytes(21)])
amounts = st.one_of(
    st.sampled_from([0, 1, FDC, BALANCE // 2, BALANCE, MAX_AMOUNT, MAX_AMOUNT + 1]),
    st.integers(0, 2 * BALANCE),
)
outputs = st.lists(st.tuples(recipients, amounts), max_size=3)
transfers = st.lists(
    st.tuples(
        outputs,
        st.sampled_from([0, 0, 0, 0, 1, 2]),
        st.sampled_from([None, None, None, 0, 1, BALANCE, MAX_AMOUNT + 1]),
        st.sampled_from([None, None, None, 0, 10**6]),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(transfers)
def test_what_surely_applies_is_applied(
    drawn: list[tuple[list[tuple[bytes, int]], int, int | None, int | None]],
) -> None:
    queue, height, time_ms = SenderQueue(), CHAIN.height, CHAIN.time_ms + 1
    state = PendingState(CHAIN.ledger, height)
    for paid, gap, fee, expiry in drawn:
        action = Transfer(outputs=[TransferOutput(recipient=to, amount=n) for to, n in paid])
        transaction = CHAIN.sign(
            ALICE,
            action,
            nonce=len(queue.entries) + gap,
            fee=fee,
            expiry=expiry,
        )
        cost = compute_max_cost(transaction, CHAIN.ledger, CHAIN.height)
        surely = surely_applies(transaction, cost, queue, CHAIN.ledger)
        refusal = state.apply(transaction, time_ms)
        assert not surely or refusal is None
        if refusal is None:
            queue.entries[transaction.body.nonce] = Entry(transaction, None, height, cost=cost)


def test_an_ordinary_transfer_surely_applies_and_a_bond_does_not() -> None:
    for action, expected in ((transfer_to((BOB.address, 1)), True), (Bond(amount=FDC), False)):
        transaction = CHAIN.sign(ALICE, action)
        cost = compute_max_cost(transaction, CHAIN.ledger, CHAIN.height)
        found = surely_applies(transaction, cost, SenderQueue(), CHAIN.ledger)
        assert found is expected
