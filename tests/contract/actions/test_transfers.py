"""Transfers move coins and take fees."""

from __future__ import annotations

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.v1.transaction_pb2 import Transfer
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, CAROL
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to


@pytest.fixture
def chain() -> LedgerChain:
    return LedgerChain.create(1)


def test_coins_go_to_one_or_many(chain: LedgerChain) -> None:
    new = b"\7" * 20
    payment = chain.sign(ALICE, transfer_to((BOB.address, 5), (new, 6), (BOB.address, 7)))
    chain.produce(payment)
    assert chain.balance(BOB) == 1_000 * FDC + 12
    assert chain.balance(new) == 6
    for_account = chain.genesis.parameters.state_fee
    assert chain.balance(ALICE) == 1_000 * FDC - 18 - payment.body.fee - for_account
    # A plain transfer stays under 0.001 FDC, also to an address that had no account.
    single = chain.sign(ALICE, transfer_to((b"\10" * 20, 1)))
    assert single.body.fee + for_account < FDC // 1_000


def test_each_new_account_costs_once(chain: LedgerChain) -> None:
    rules = chain.genesis.parameters
    news = [bytes([i]) * 20 for i in range(1, 4)]
    before, burned = chain.balance(ALICE), chain.ledger.totals().burned
    payment = chain.sign(ALICE, transfer_to(*((new, 1) for new in news), (news[0], 1)))
    chain.produce(payment)
    assert chain.balance(ALICE) == before - 4 - payment.body.fee - 3 * rules.state_fee
    assert chain.ledger.totals().burned == burned + rules.fee_per_kib + 3 * rules.state_fee
    # They are there now.
    again = chain.sign(ALICE, transfer_to(*((new, 1) for new in news)))
    before = chain.balance(ALICE)
    chain.produce(again)
    assert chain.balance(ALICE) == before - 3 - again.body.fee
    # Coins that do not cover the new account are not sent.
    poor = chain.sign(ALICE, transfer_to((b"\11" * 20, chain.balance(ALICE) - again.body.fee)))
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, poor, field="outputs.recipient")


def test_coins_may_go_to_oneself(chain: LedgerChain) -> None:
    payment = chain.sign(ALICE, transfer_to((ALICE.address, 500 * FDC)))
    chain.produce(payment)
    assert chain.balance(ALICE) == 1_000 * FDC - payment.body.fee


def test_received_coins_can_be_spent_in_the_same_block(chain: LedgerChain) -> None:
    carol = CAROL
    give = chain.sign(ALICE, transfer_to((carol.address, FDC)))
    spend = chain.sign(carol, transfer_to((BOB.address, FDC // 2)))
    chain.refuses(LedgerCode.INSUFFICIENT_BALANCE, spend)
    chain.produce(give, spend)
    assert chain.balance(BOB) == 1_000 * FDC + FDC // 2


def test_invalid_transfers_are_refused(chain: LedgerChain) -> None:
    for code, action, field in (
        (LedgerCode.NO_OUTPUTS, Transfer(), "outputs"),
        (LedgerCode.TOO_MANY_OUTPUTS, transfer_to(*[(BOB.address, 1)] * 257), "outputs"),
        (
            LedgerCode.ZERO_AMOUNT,
            transfer_to((BOB.address, 5), (BOB.address, 0)),
            "outputs[1].amount",
        ),
        (LedgerCode.BAD_RECIPIENT, transfer_to((b"\1" * 19, 5)), "outputs[0].recipient"),
        (LedgerCode.BAD_RECIPIENT, transfer_to((BOB.address, 1), (b"", 5)), "outputs[1].recipient"),
        (LedgerCode.AMOUNT_OVERFLOW, transfer_to((BOB.address, 2**64 - 1)), "outputs[0].amount"),
        (
            LedgerCode.AMOUNT_OVERFLOW,
            transfer_to((BOB.address, MAX_AMOUNT), (BOB.address, 1)),
            "outputs.amount",
        ),
        (
            LedgerCode.INSUFFICIENT_BALANCE,
            transfer_to((BOB.address, 1_000 * FDC)),
            "outputs.amount",
        ),
        (LedgerCode.INSUFFICIENT_BALANCE, transfer_to((BOB.address, MAX_AMOUNT)), "outputs.amount"),
    ):
        chain.refuses(code, chain.sign(ALICE, action), field=field)
    chain.produce(chain.sign(ALICE, transfer_to(*[(BOB.address, 1)] * 256)))
