"""Bond and Unbond: how miners become validators, and how coins leave a bond.

When there are as many validators as the network allows, a larger bond takes the place of the
smallest one, whose coins unbond.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Final

from fedcoin.contract.amount_checks import check_amount
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import BOND_ENTRIES
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.state_pb2 import BondState, Unbonding

MAX_RELEASES: Final = 512
"""The largest number of releases in a block. One release returns all coins of one address that have
one release time. Later blocks return the rest. 512 releases take 40 ms; 15,000 took a second."""
MAX_UNBONDINGS: Final = 16
"""The largest number of parts of one bond that are unbonding at a time."""


def bond(context: ExecutionContext, transaction: Transaction) -> None:
    """Lock coins as a bond. The sender votes from the next height on.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: ZERO_AMOUNT or AMOUNT_OVERFLOW when the amount is 0 or cannot exist;
            ALREADY_SLASHED when the key lost a bond; BOND_TOO_SMALL when the whole bond would be
            below the network's `min_bond`; INSUFFICIENT_BALANCE when the balance does not cover the
            amount; TOO_MANY_UNBONDINGS when the key's earlier bonds unbond in too many parts;
            TOO_MANY_VALIDATORS when there is no room and no smaller bond; BLOCK_FULL when the block
            has no room for the bond's entry.
    """
    amount = check_amount(transaction.body.bond.amount, "amount")
    state = records.BONDS.get(context.state, transaction.sender) or BondState()
    if state.slashed:
        raise RefusalError(
            LedgerCode.ALREADY_SLASHED,
            "this key was slashed for conflicting votes and may not bond again",
            field="public_key",
        )
    minimum = context.parameters.min_bond
    if state.bond + amount < minimum:
        raise RefusalError(
            LedgerCode.BOND_TOO_SMALL,
            f"the bond would be {format_amount(state.bond + amount)}; it must be at least"
            f" {format_amount(minimum)}",
            field="amount",
            limit=str(minimum),
        )
    if not state.bond:
        _check_few_unbondings(state)
        context.room.take_entries(BOND_ENTRIES)
        _make_room(context, amount)
        state.public_key = transaction.public_key
        if not state.unbonding:
            # A key that unbonds and bonds again stays slashable for its earlier votes.
            state.since_height = context.block.height + 1
    context.debit(transaction.sender, amount, "amount")
    state.bond += amount
    context.put_bond(transaction.sender, state)


def unbond(context: ExecutionContext, transaction: Transaction) -> None:
    """Take coins out of the bond. They return to the balance after the unbonding period.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: ZERO_AMOUNT or AMOUNT_OVERFLOW when the amount is 0 or cannot exist;
            INSUFFICIENT_BOND when it is more than the bond; BOND_LEFT_TOO_SMALL when less than
            `min_bond`, but more than nothing, would remain; TOO_MANY_UNBONDINGS when
            `MAX_UNBONDINGS` parts of the bond are unbonding; LAST_VALIDATOR when no other validator
            would remain.
    """
    amount = check_amount(transaction.body.unbond.amount, "amount")
    state = records.BONDS.get(context.state, transaction.sender) or BondState()
    left = state.bond - amount
    if left < 0:
        raise RefusalError(
            LedgerCode.INSUFFICIENT_BOND,
            f"amount is {format_amount(amount)}; the bond is {format_amount(state.bond)}",
            field="amount",
            limit=str(state.bond),
        )
    if 0 < left < context.parameters.min_bond:
        raise RefusalError(
            LedgerCode.BOND_LEFT_TOO_SMALL,
            f"{format_amount(left)} of the bond would be left: leave at least"
            f" {format_amount(context.parameters.min_bond)}, or nothing",
            field="amount",
            limit=str(context.parameters.min_bond),
        )
    _check_few_unbondings(state)
    if left == 0:
        check_not_last(context, "amount")
    _start_unbonding(context, transaction.sender, state, amount)


def release_due(context: ExecutionContext) -> None:
    """Return coins whose unbonding period is over to their owners' balances, the earliest first.

    A block makes at most `MAX_RELEASES` releases. Until its coins return, a bond can be slashed.

    Args:
        context: The execution of the block.
    """
    waiting = records.UNBONDING.scan(context.state)
    due = takewhile(lambda entry: entry[0] <= context.block.time_ms, waiting)
    for release, address in list(islice(due, MAX_RELEASES)):
        records.UNBONDING.remove(context.state, release, address)
        state = records.BONDS.get(context.state, address)
        assert state is not None, "an unbonding without a bond"
        while state.unbonding and state.unbonding[0].release_ms <= release:
            amount = state.unbonding.pop(0).amount
            context.credit(address, amount)
            kind = block_pb2.PAYMENT_KIND_UNBONDED
            context.add_payment_receipt(PaymentReceipt(kind=kind, address=address, amount=amount))
        if state.bond or state.unbonding:
            context.put_bond(address, state)
        else:
            records.BONDS.delete(context.state, address)


def check_not_last(context: ExecutionContext, field: str) -> None:
    """Check that at least one validator would remain without this one.

    Args:
        context: The execution of the block.
        field: The field that the refusal names.

    Raises:
        RefusalError: LAST_VALIDATOR when there is only one validator.
    """
    if len(context.standing_bonds()) <= 1:
        raise RefusalError(
            LedgerCode.LAST_VALIDATOR,
            "this is the last validator; without it no block could be decided",
            field=field,
        )


def _check_few_unbondings(state: BondState) -> None:
    if len(state.unbonding) >= MAX_UNBONDINGS:
        raise RefusalError(
            LedgerCode.TOO_MANY_UNBONDINGS,
            f"{len(state.unbonding)} parts of this bond are unbonding: wait until one returns",
            field="amount",
            limit=str(MAX_UNBONDINGS),
        )


def _start_unbonding(
    context: ExecutionContext, address: bytes, state: BondState, amount: int
) -> None:
    release = context.block.time_ms + context.parameters.unbonding_ms
    state.bond -= amount
    state.unbonding.append(Unbonding(amount=amount, release_ms=release))
    context.put_bond(address, state)
    records.UNBONDING.add(context.state, release, address)


def _make_room(context: ExecutionContext, amount: int) -> None:
    """Displace the smallest bond by a larger one when there is no room for both.

    Of equal bonds, the validator that joined last leaves. All of its coins unbond, so that it can
    be slashed for its votes meanwhile.
    """
    maximum = context.parameters.max_validators
    if len(context.standing_bonds()) < maximum:
        return
    address = context.find_smallest_bond()
    # Where a mempool reads while a block is written, the index may be a block ahead of the records.
    smallest = records.BONDS.get(context.state, address) or BondState()
    if amount <= smallest.bond:
        raise RefusalError(
            LedgerCode.TOO_MANY_VALIDATORS,
            f"there are {maximum} validators already, and the smallest bond is"
            f" {format_amount(smallest.bond)}: bond more than that, or wait until one unbonds",
            field="amount",
            limit=str(smallest.bond),
        )
    _start_unbonding(context, address, smallest, smallest.bond)
