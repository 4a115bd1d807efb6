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
    assert chain.balance(ALICE) == 1_000 * FDC - 18 - payment.body.fee


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
