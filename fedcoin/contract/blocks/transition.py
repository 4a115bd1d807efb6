"""What one block does to the state: its beginning, its transactions, its end."""

from __future__ import annotations

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.actions import RULES
from fedcoin.contract.actions.bonds import release_due
from fedcoin.contract.admission import admit
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import Overlay
from fedcoin.contract.state.validators import deciders_of, record_deciders, validators_of
from fedcoin.contract.tasks import lifecycle
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1.block_pb2 import Settlement


class SupplyError(RuntimeError):
    """A block would make coins or lose them: a bug, never a peer's fault."""


def begin_block(scope: ExecutionContext) -> Settlement | None:
    """Return the bonds that are due, settle a task; what it settled, if any."""
    release_due(scope)
    return lifecycle.begin_block(scope)


def apply_transaction(scope: ExecutionContext, transaction: Transaction) -> None:
    """Take the fee, do the action, write the receipt.

    Raises `Refusal`; the scope is then half changed and must be dropped.
    """
    admit(scope, transaction)
    scope.applied(transaction.hash, transaction.sender, transaction.body.fee)
    RULES[action_name(transaction.body)](scope, transaction)


def end_block(scope: ExecutionContext, fees: int, deciders: ValidatorSet) -> ValidatorSet:
    """Close windows and pay the fees to the proposer.

    `deciders` are the validators that decide this very block; those of the next height are
    returned.
    """
    validators = validators_of(scope.state)
    lifecycle.end_block(scope, validators)
    if fees:
        scope.credit(scope.block.proposer, fees)
    if deciders != deciders_of(scope.state):
        record_deciders(scope.state, deciders)
    return validators


def check_conserved(state: Overlay, changes: dict[bytes, bytes | None]) -> None:
    """Raise `SupplyBroken` unless the changed entries hold as much as they did before."""
    made = sum(
        records.coins_in(key, value) - records.coins_in(key, state.before(key))
        for key, value in changes.items()
    )
    if made:
        raise SupplyError(f"a block would change the supply by {made} sap")
