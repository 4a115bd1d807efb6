"""What one block does to the state: its beginning, its transactions, its end."""

from __future__ import annotations

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.actions import ACTIONS
from fedcoin.contract.actions.bonds import release_due
from fedcoin.contract.admission import admit
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import Overlay
from fedcoin.contract.state.validators import (
    read_last_validators,
    read_validators,
    write_last_validators,
)
from fedcoin.contract.tasks import lifecycle
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1.block_pb2 import Settlement


class SupplyError(RuntimeError):
    """A block would make coins or lose them: a bug, never a peer's fault."""


def begin_block(context: ExecutionContext) -> Settlement | None:
    """Return the bonds that are due, settle a task; what it settled, if any."""
    release_due(context)
    return lifecycle.begin_block(context)


def apply_transaction(context: ExecutionContext, transaction: Transaction) -> None:
    """Take the fee, do the action, write the receipt.

    Raises `Refusal`; the scope is then half changed and must be dropped.
    """
    admit(context, transaction)
    context.add_transaction_receipt(transaction.hash, transaction.sender, transaction.body.fee)
    ACTIONS[action_name(transaction.body)](context, transaction)


def end_block(context: ExecutionContext, fees: int, last_validators: ValidatorSet) -> ValidatorSet:
    """Close windows and pay the fees to the proposer.

    `deciders` are the validators that decide this very block; those of the next height are
    returned.
    """
    validators = read_validators(context.state)
    lifecycle.end_block(context, validators)
    if fees:
        context.credit(context.block.proposer, fees)
    if last_validators != read_last_validators(context.state):
        write_last_validators(context.state, last_validators)
    return validators


def check_conserved(state: Overlay, changes: dict[bytes, bytes | None]) -> None:
    """Raise `SupplyBroken` unless the changed entries hold as much as they did before."""
    made = sum(
        records.count_entry_coins(key, value) - records.count_entry_coins(key, state.before(key))
        for key, value in changes.items()
    )
    if made:
        raise SupplyError(f"a block would change the supply by {made} sap")
