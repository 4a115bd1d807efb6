"""What comes of executing a block, and of choosing the content of a new one."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.state.state_tree import TreeUpdate
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.block_pb2 import Settlement


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of executing a block."""

    transactions: tuple[Transaction, ...] = field(repr=False)
    """The block's transactions."""
    changes: dict[bytes, bytes | None] = field(repr=False)
    """New values of the state by key; None for keys that are removed."""
    receipts: tuple[bytes, ...] = field(repr=False)
    """The serialised receipts, in order."""
    receipts_root: bytes
    """The Merkle root of the receipts, 32 bytes."""
    app_hash: bytes
    """The hash of the state after the block, 32 bytes."""
    settlement: Settlement | None
    """The settlement of a task, which the header must repeat; None when no task is settled."""
    next_order: ProposerOrder
    """The validators of the next height and the order of their turns."""
    tree: TreeUpdate = field(repr=False)
    """The update of the state tree."""

    @property
    def next_validators(self) -> ValidatorSet:
        """The validator set of the next height."""
        return self.next_order.validators


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """The content of a block, chosen from candidates."""

    transactions: tuple[Transaction, ...]
    """The candidates that apply and fit, in order."""
    execution: Execution
    """The result of executing these transactions."""
    refused: tuple[tuple[Transaction, RefusalError], ...]
    """The candidates that cannot be applied now, each with its refusal."""
