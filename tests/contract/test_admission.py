"""The checks that every transaction must pass, whatever its action."""

from __future__ import annotations

import pytest

from fedcoin.contract.admission import min_fee
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.transactions import decode_transaction, sign_transaction
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to

PAY = transfer_to((BOB.address, FDC))


@pytest.fixture
def chain() -> LedgerChain:
    chain = LedgerChain.create(1)
    chain.produce(chain.sign(ALICE, PAY))
    chain.produce(chain.sign(ALICE, PAY))
    return chain


def test_the_fee_counts_each_started_kib() -> None:
    rules = Parameters(base_fee=1_000, fee_per_kib=100)
    assert [min_fee(rules, size) for size in (1, 1_024, 1_025, 2_048, 2_049)] == [
        1_100,
        1_100,
        1_200,
        1_200,
        1_300,
    ]


def test_a_transaction_pays_for_its_bytes_and_the_proposer(chain: LedgerChain) -> None:
    payment = chain.sign(ALICE, PAY, fee=50_000)
    for_bytes = chain.genesis.parameters.fee_per_kib
    burned = chain.ledger.totals().burned
    proposer = chain.context().proposer
    before = chain.balance(proposer), chain.balance(ALICE), chain.balance(BOB)
    chain.produce(payment)
    after = chain.balance(proposer), chain.balance(ALICE), chain.balance(BOB)
    assert after == (before[0] + 50_000 - for_bytes, before[1] - FDC - 50_000, before[2] + FDC)
    # What pays for the bytes is burned, so that no proposer fills its blocks for nothing.
    assert chain.ledger.totals().burned == burned + for_bytes
    assert chain.ledger.account(ALICE.address).nonce == 3


def test_the_nonce_must_be_the_next(chain: LedgerChain) -> None:
    chain.refuses(LedgerCode.NONCE_TOO_LOW, chain.sign(ALICE, PAY, nonce=1), field="nonce")
    chain.refuses(LedgerCode.NONCE_TOO_HIGH, chain.sign(ALICE, PAY, nonce=3), field="nonce")
    first = chain.sign(ALICE, PAY)
    chain.refuses(LedgerCode.NONCE_TOO_LOW, first, before=[first], field="nonce")
    chain.produce(first, chain.sign(ALICE, PAY, ahead=1))
    # Replayed.
    chain.refuses(LedgerCode.NONCE_TOO_LOW, first, field="nonce")


def test_the_fee_must_be_enough_and_there(chain: LedgerChain) -> None:
    fitting = chain.sign(ALICE, PAY)
    least = min_fee(chain.genesis.parameters, len(fitting.body_bytes))
    chain.produce(chain.sign(ALICE, PAY, fee=least))
    low = chain.sign(ALICE, PAY, fee=least - 1)
    chain.refuses(LedgerCode.FEE_TOO_LOW, low, field="fee")
    chain.refuses(LedgerCode.FEE_TOO_LOW, chain.sign(ALICE, PAY, fee=0), field="fee")
    rich = chain.sign(ALICE, PAY, fee=MAX_AMOUNT)
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, rich, field="fee")
    absurd = chain.sign(ALICE, PAY, fee=MAX_AMOUNT + 1)
    chain.refuses(LedgerCode.AMOUNT_OVERFLOW, absurd, field="fee")
    stranger = chain.sign(key_of("nobody"), PAY)
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, stranger, field="fee")


def test_the_expiry_must_be_near_and_not_past(chain: LedgerChain) -> None:
    height = chain.height + 1
    last = chain.height + chain.genesis.parameters.max_expiry_blocks
    for expiry in (0, height - 1):
        late = chain.sign(ALICE, PAY, expiry=expiry)
        chain.refuses(LedgerCode.EXPIRED, late, field="expiry_height")
    far = chain.sign(ALICE, PAY, expiry=last + 1)
    chain.refuses(LedgerCode.EXPIRY_TOO_FAR, far, field="expiry_height")
    context = chain.context()
    for expiry in (height, last):
        chain.ledger.execute(context, [chain.sign(ALICE, PAY, expiry=expiry)])


def test_another_chain_s_transaction_is_refused(chain: LedgerChain) -> None:
    other = chain.sign(ALICE, PAY, chain_id="another-chain")
    chain.refuses(DataCode.WRONG_CHAIN, other, field="chain_id")


def test_a_transaction_over_the_limit_is_refused() -> None:
    chain = LedgerChain.create(1, max_transaction_bytes=4_096)
    wide = chain.sign(ALICE, transfer_to(*[(BOB.address, 1)] * 200))
    chain.refuses(DataCode.TOO_LARGE, wide, field="transaction")


def test_signature_and_action_are_checked_before_the_ledger_sees_them(chain: LedgerChain) -> None:
    """Decoding refuses these, and the block rules refuse a block with one of them."""
    good = chain.sign(ALICE, PAY)
    forged = bytearray(good.raw)
    forged[-1] ^= 1
    with pytest.raises(RefusalError) as caught:
        decode_transaction(bytes(forged), chain.genesis.identity)
    assert caught.value.code is DataCode.BAD_SIGNATURE
    body = type(good.body)()
    body.CopyFrom(good.body)
    body.ClearField("transfer")
    with pytest.raises(RefusalError) as caught:
        sign_transaction(body, ALICE, chain.genesis.hash)
    assert caught.value.code is DataCode.UNKNOWN_ACTION


def test_the_sender_s_fee_is_taken_before_its_action_is_paid() -> None:
    chain = LedgerChain.create(1, balance=FDC)
    everything = chain.sign(ALICE, transfer_to((BOB.address, FDC)))
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, everything, field="outputs.amount")
    rest = FDC - everything.body.fee
    chain.produce(chain.sign(ALICE, transfer_to((BOB.address, rest)), fee=everything.body.fee))
    assert chain.balance(ALICE) == 0
    assert chain.ledger.account(ALICE.address).nonce == 1
