"""Bonds change the validator set, and unbonding returns coins after a delay."""

from __future__ import annotations

import pytest

from fedcoin.contract.actions.bonds import MAX_UNBONDINGS
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import BondState
from fedcoin.v1.transaction_pb2 import Bond, Unbond
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, MINERS
from tests.support.ledger_chain import LedgerChain

MINER = MINERS[0]
DAY_MS = 86_400_000


@pytest.fixture
def chain() -> LedgerChain:
    return LedgerChain.create(2, bonds=[10 * FDC, 5 * FDC])


def bond_of(chain: LedgerChain, owner: KeyPair) -> BondState | None:
    return records.BONDS.get(chain.state, owner.address)


def test_a_bond_makes_a_validator_of_the_next_height(chain: LedgerChain) -> None:
    chain.keys[ALICE.address] = ALICE
    execution = chain.produce(chain.sign(ALICE, Bond(amount=FDC)))
    assert execution.next_validators.by_address(ALICE.address) is not None
    assert chain.ledger.validators() == execution.next_validators
    # The validators before the block that contains the bond certify that block.
    assert len(chain.ledger.last_validators()) == 2
    bond = bond_of(chain, ALICE)
    assert bond is not None
    assert (bond.bond, bond.since_height) == (FDC, 2)
    chain.produce(chain.sign(ALICE, Bond(amount=1)))
    assert len(chain.ledger.last_validators()) == 3
    bond = bond_of(chain, ALICE)
    assert bond is not None
    assert (bond.bond, bond.since_height) == (FDC + 1, 2)
    chain.produce()


def test_a_bond_that_cannot_be_is_refused(chain: LedgerChain) -> None:
    for code, amount in (
        (LedgerCode.ZERO_AMOUNT, 0),
        (LedgerCode.BOND_TOO_SMALL, FDC - 1),
        (LedgerCode.INSUFFICIENT_BALANCE, 1_000 * FDC),
        (LedgerCode.AMOUNT_OVERFLOW, MAX_AMOUNT + 1),
    ):
        chain.refuses(code, chain.sign(ALICE, Bond(amount=amount)), field="amount")


def test_a_full_set_takes_no_bond_that_is_not_larger_than_the_smallest() -> None:
    chain = LedgerChain.create(2, max_validators=2, bonds=[10 * FDC, 5 * FDC])
    equal = chain.sign(ALICE, Bond(amount=5 * FDC))
    chain.refuses(LedgerCode.TOO_MANY_VALIDATORS, equal, field="amount")
    # A validator may raise its own bond.
    chain.produce(chain.sign(MINERS[1], Bond(amount=FDC)))
    chain.produce(chain.sign(MINER, Unbond(amount=10 * FDC)))
    chain.keys[ALICE.address] = ALICE
    chain.produce(chain.sign(ALICE, Bond(amount=FDC)))
    assert len(chain.ledger.validators()) == 2


def test_in_a_full_set_the_smallest_bond_makes_way_and_unbonds() -> None:
    chain = LedgerChain.create(3, max_validators=3, bonds=[10 * FDC, 5 * FDC, 7 * FDC])
    small = MINERS[1]
    chain.keys[ALICE.address] = ALICE
    chain.produce(chain.sign(ALICE, Bond(amount=5 * FDC + 1)))
    powers = {v.address: v.power for v in chain.ledger.validators()}
    assert powers == {
        MINER.address: 10 * FDC,
        MINERS[2].address: 7 * FDC,
        ALICE.address: 5 * FDC + 1,
    }
    left = bond_of(chain, small)
    assert left is not None
    assert (left.bond, [part.amount for part in left.unbonding]) == (0, [5 * FDC])
    before = chain.balance(small)
    chain.produce(after_ms=DAY_MS)
    assert chain.balance(small) == before + 5 * FDC


def test_of_equal_bonds_the_latest_comer_makes_way() -> None:
    chain = LedgerChain.create(2, max_validators=3, bonds=[10 * FDC, 5 * FDC])
    for key, amount in ((ALICE, 5 * FDC), (BOB, 6 * FDC)):
        chain.keys[key.address] = key
        chain.produce(chain.sign(key, Bond(amount=amount)))
    members = {v.address for v in chain.ledger.validators()}
    assert members == {MINER.address, MINERS[1].address, BOB.address}


def test_one_that_made_way_with_many_parts_waits_before_it_bonds_again() -> None:
    chain = LedgerChain.create(2, max_validators=2, bonds=[10 * FDC, 5 * FDC])
    small = MINERS[1]
    for _ in range(MAX_UNBONDINGS):
        chain.produce(chain.sign(small, Unbond(amount=1)))
    chain.keys[ALICE.address] = ALICE
    chain.produce(chain.sign(ALICE, Bond(amount=6 * FDC)))
    again = chain.sign(small, Bond(amount=7 * FDC))
    chain.refuses(LedgerCode.TOO_MANY_UNBONDINGS, again, field="amount")
    chain.produce(after_ms=DAY_MS)
    chain.produce(chain.sign(small, Bond(amount=7 * FDC)))
    assert chain.ledger.validators().by_address(small.address) is not None


def test_a_validator_that_leaves_keeps_its_place_in_the_order_of_turns() -> None:
    chain = LedgerChain.create(3, bonds=[FDC, FDC, FDC])
    # The first proposer has just had its turn.
    chain.produce()
    order = chain.ledger.proposer_order()
    owing = order.validators.members[min(range(3), key=order.priorities.__getitem__)]
    key = chain.keys[owing.address]
    chain.produce(chain.sign(key, Unbond(amount=FDC)))
    left = bond_of(chain, key)
    assert left is not None
    assert left.priority_at_leaving == order.priorities_after()[owing.address]
    chain.produce(chain.sign(key, Bond(amount=FDC)))
    # It starts behind, and not at the front.
    assert chain.ledger.proposer(0).address != owing.address
    assert chain.ledger.proposer(1).address != owing.address


def test_unbonded_coins_return_after_the_period(chain: LedgerChain) -> None:
    start = chain.balance(MINER)
    taken = chain.sign(MINER, Unbond(amount=4 * FDC))
    fee = taken.body.fee
    earned = chain.context().proposer == MINER.address
    chain.produce(taken)
    left = start - fee + (chain.genesis.parameters.base_fee if earned else 0)
    assert chain.balance(MINER) == left
    bond = bond_of(chain, MINER)
    assert bond is not None
    assert bond.bond == 6 * FDC
    release = chain.time_ms + DAY_MS
    assert chain.ledger.next_deadline_ms() == release
    chain.produce(after_ms=DAY_MS - 1)
    assert chain.balance(MINER) == left
    chain.produce(after_ms=1)
    assert chain.time_ms == release
    assert chain.balance(MINER) == left + 4 * FDC
    (payment,) = chain.payments()
    assert payment.kind == block_pb2.PAYMENT_KIND_UNBONDED
    assert (payment.address, payment.amount) == (MINER.address, 4 * FDC)
    assert chain.ledger.next_deadline_ms() is None


def test_a_bond_that_was_withdrawn_leaves_no_record_after_the_period(chain: LedgerChain) -> None:
    chain.produce(chain.sign(MINER, Unbond(amount=10 * FDC)))
    assert [v.address for v in chain.ledger.validators()] == [MINERS[1].address]
    chain.produce(after_ms=DAY_MS)
    assert bond_of(chain, MINER) is None


def test_several_parts_return_each_at_its_time(chain: LedgerChain) -> None:
    first = chain.sign(MINER, Unbond(amount=FDC))
    second = chain.sign(MINER, Unbond(amount=2 * FDC), ahead=1)
    chain.produce(first, second)
    chain.produce(chain.sign(MINER, Unbond(amount=3 * FDC)), after_ms=1_000)
    chain.produce(after_ms=DAY_MS - 1_000)
    assert [payment.amount for payment in chain.payments()] == [FDC, 2 * FDC]
    chain.produce(after_ms=1_000)
    assert [payment.amount for payment in chain.payments()] == [3 * FDC]
    bond = bond_of(chain, MINER)
    assert bond is not None
    assert bond.bond == 4 * FDC
    assert not bond.unbonding


def test_an_unbonding_that_cannot_be_is_refused(chain: LedgerChain) -> None:
    for code, amount in (
        (LedgerCode.ZERO_AMOUNT, 0),
        (LedgerCode.INSUFFICIENT_BOND, 10 * FDC + 1),
        (LedgerCode.BOND_LEFT_TOO_SMALL, 10 * FDC - 1),
        (LedgerCode.BOND_LEFT_TOO_SMALL, 9 * FDC + 1),
        (LedgerCode.AMOUNT_OVERFLOW, MAX_AMOUNT + 1),
    ):
        chain.refuses(code, chain.sign(MINER, Unbond(amount=amount)), field="amount")
    stranger = chain.sign(ALICE, Unbond(amount=1))
    chain.refuses(LedgerCode.INSUFFICIENT_BOND, stranger, field="amount")


def test_the_number_of_unbonding_parts_is_limited(chain: LedgerChain) -> None:
    for _ in range(MAX_UNBONDINGS):
        chain.produce(chain.sign(MINER, Unbond(amount=1)))
    more = chain.sign(MINER, Unbond(amount=1))
    chain.refuses(LedgerCode.TOO_MANY_UNBONDINGS, more, field="amount")
    chain.produce(after_ms=DAY_MS)
    chain.produce(chain.sign(MINER, Unbond(amount=1)))


def test_the_last_validator_may_not_leave(chain: LedgerChain) -> None:
    leave = chain.sign(MINER, Unbond(amount=10 * FDC))
    other = chain.sign(MINERS[1], Unbond(amount=5 * FDC))
    chain.refuses(LedgerCode.LAST_VALIDATOR, other, before=[leave], field="amount")
    chain.produce(leave)
    chain.refuses(LedgerCode.LAST_VALIDATOR, other, field="amount")
    chain.produce(chain.sign(MINERS[1], Unbond(amount=4 * FDC)))
