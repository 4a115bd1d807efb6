"""The state transition of one block: its beginning, its transactions, its end."""

from __future__ import annotations

from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.contract.actions import ACTIONS
from fedcoin.contract.actions.bonds import release_due
from fedcoin.contract.admission import admit
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import Overlay
from fedcoin.contract.state.validators import (
    advance_proposer_order,
    read_last_validators,
    read_validators,
    write_last_validators,
)
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.tasks.closing import close_due
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1.block_pb2 import Settlement


class SupplyError(RuntimeError):
    """A block would create or lose coins, which is a bug and never a peer's fault."""


def begin_block(context: ExecutionContext) -> Settlement | None:
    """Return due bonds, close campaigns whose time has come, and settle the oldest waiting task.

    Args:
        context: The block's context.

    Returns:
        The outcome of the settled task, which the header must hold; None when no task waits.
    """
    release_due(context)
    close_due(context)
    return lifecycle.begin_block(context)


def apply_transaction(context: ExecutionContext, transaction: Transaction) -> None:
    """Execute a transaction: charge the fee, write the receipt, apply the action.

    Args:
        context: The block's context.
        transaction: The decoded and verified transaction.

    Raises:
        RefusalError: The code of the rule that the transaction breaks. The context is then partly
            changed and must be dropped.
    """
    admit(context, transaction)
    context.add_transaction_receipt(transaction.hash, transaction.sender, transaction.body.fee)
    ACTIONS[action_name(transaction.body)](context, transaction)


def end_block(
    context: ExecutionContext, fees: int, burned: int, order: ProposerOrder
) -> ProposerOrder:
    """Close windows that are over, pay the fees to the proposer, and pass the turn on.

    Args:
        context: The block's context.
        fees: The part of all transactions' fees that the proposer gets, in sap.
        burned: The part that is burned, in sap.
        order: The validators of this block's height and the order of their turns.

    Returns:
        The validators of the next height and the order of their turns.
    """
    lifecycle.end_block(context, read_validators(context.state))
    if fees:
        context.credit(context.block.proposer, fees)
    if burned:
        context.burn(burned)
    if order.validators != read_last_validators(context.state):
        write_last_validators(context.state, order.validators)
    return advance_proposer_order(context.state, order, lifecycle.next_winner(context.state))


def check_conserved(state: Overlay, changes: dict[bytes, bytes | None]) -> None:
    """Check that the changed entries hold as many coins as before.

    Args:
        state: The state after the block, which also gives the values before it.
        changes: The new values by key; None for removed keys.

    Raises:
        SupplyError: Coins were created or lost.
    """
    created = sum(
        records.count_entry_coins(key, value) - records.count_entry_coins(key, state.before(key))
        for key, value in changes.items()
    )
    if created:
        raise SupplyError(f"a block would change the supply by {created} sap")
