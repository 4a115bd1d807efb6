"""ReportEquivocation: two conflicting votes cost a validator its whole bond, once."""

from __future__ import annotations

from fedcoin.contract.actions.bonds import check_not_last
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.frozen_power import remove_power
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import Vote, decode_vote
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.state_pb2 import BondState


def report_equivocation(context: ExecutionContext, transaction: Transaction) -> None:
    """Burn the bond of a validator that signed conflicting votes, and reward the reporter.

    Votes are slashable from the first height that the validator's current bond helped to decide up
    to the block's own, while any of the bond's coins are bonded or unbonding. A slashed key may
    never bond again, so that it cannot be slashed twice.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: TOO_LARGE, MALFORMED or BAD_SIGNATURE when a vote is invalid;
            NOT_CONTRADICTING when the votes do not conflict; ALREADY_SLASHED when the key lost its
            bond before; NOT_SLASHABLE when no bond was at stake at the votes' height or it has
            returned; LAST_VALIDATOR when no other validator would remain; BLOCK_FULL when the
            block has no room for another report.
    """
    context.room.take_report()
    action = transaction.body.report_equivocation
    # Before any signature is verified: any number of senders may report the same validator.
    _check_unslashed(context, action.first.public_key)
    first = decode_vote(action.first, context.genesis.hash)
    second = decode_vote(action.second, context.genesis.hash)
    _check_contradiction(first, second)
    offender = derive_address(first.public_key)
    state = records.BONDS.get(context.state, offender) or BondState()
    _check_slashable(context, state, first.height)
    if state.bond:
        check_not_last(context, "first.public_key")
    _slash(context, offender, state, reporter=transaction.sender)


def _check_contradiction(first: Vote, second: Vote) -> None:
    for name in ("public_key", "kind", "height", "round"):
        if getattr(first, name) != getattr(second, name):
            raise RefusalError(
                LedgerCode.NOT_CONTRADICTING,
                f"the votes differ in {name}: only votes of the same key, kind, height and round"
                " conflict",
                field=f"second.{name}",
            )
    if (first.block_hash, first.audited) == (second.block_hash, second.audited):
        raise RefusalError(
            LedgerCode.NOT_CONTRADICTING,
            "both votes say the same of the same block: they do not conflict",
            field="second.block_hash",
        )


def _check_unslashed(context: ExecutionContext, public_key: bytes) -> None:
    state = records.BONDS.get(context.state, derive_address(public_key))
    if state is not None and state.slashed:
        raise RefusalError(
            LedgerCode.ALREADY_SLASHED,
            "the bond of this key was slashed already",
            field="first.public_key",
        )


def _check_slashable(context: ExecutionContext, state: BondState, height: int) -> None:
    has_coins = state.bond or state.unbonding
    if not has_coins or not state.since_height <= height <= context.block.height:
        raise RefusalError(
            LedgerCode.NOT_SLASHABLE,
            f"votes of height {height} cost no bond: the key had none at stake then, or its coins"
            " have returned to the balance",
            field="first.height",
        )


def _slash(
    context: ExecutionContext, offender: bytes, state: BondState, *, reporter: bytes
) -> None:
    total = state.bond + sum(part.amount for part in state.unbonding)
    reward = total * context.parameters.report_reward_percent // 100
    for part in state.unbonding:
        records.UNBONDING.remove(context.state, part.release_ms, offender)
    slashed = BondState(public_key=state.public_key, slashed=True)
    context.put_bond(offender, slashed)
    if not context.block.is_trial:
        # It rewrites the powers in each open task, and ten thousand may wait to report one key.
        remove_power(context.state, offender)
    context.burn(total - reward)
    context.credit(reporter, reward)
    for kind, address, amount in (
        (block_pb2.PAYMENT_KIND_BOND_BURNED, offender, total - reward),
        (block_pb2.PAYMENT_KIND_REPORT_REWARD, reporter, reward),
    ):
        context.add_payment_receipt(PaymentReceipt(kind=kind, address=address, amount=amount))
