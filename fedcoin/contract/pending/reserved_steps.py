"""The steps of miners for which every mempool and every block has room.

A miner that cannot open its commitment in time loses its deposit, so that no other sender may keep
its messages out by paying more. Each miner whose power was frozen when a task was opened has room
for one commitment, one opening and one reveal for this task. Only bonded miners have it, and a step
costs a deposit, so that the room cannot be filled by others.
"""

from __future__ import annotations

from typing import NamedTuple

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.frozen_power import read_power
from fedcoin.data.messages.transactions import Transaction, action_name

COMMITMENT, OPENING, REVEAL = "commitment", "opening", "reveal"


class Step(NamedTuple):
    """One message that a task expects of a miner."""

    miner: bytes
    """The miner's address, 20 bytes."""
    task_id: bytes
    """The task's id, 32 bytes."""
    kind: str
    """COMMITMENT, OPENING or REVEAL."""


def find_step(transaction: Transaction, state: StateReader) -> Step | None:
    """Tell which step of a miner a transaction is.

    Args:
        transaction: The decoded and verified transaction.
        state: The state after the latest block.

    Returns:
        The step; None for other transactions, and for those of senders that have no power in an
        open task.
    """
    name = action_name(transaction.body)
    if name == "commit_shapley":
        task_id, kind = transaction.body.commit_shapley.task_id, COMMITMENT
        attempt = transaction.body.commit_shapley.attempt
    elif name == "reveal_shapley":
        action = transaction.body.reveal_shapley
        task_id, attempt = action.task_id, action.attempt
        kind = REVEAL if action.evidence.leaves else OPENING
    else:
        return None
    task = records.TASKS.get(state, task_id)
    # A node that lacks a block may be an attempt behind.
    if task is None or task.closed_height or not task.attempt <= attempt <= task.attempt + 1:
        return None
    if not read_power(state, task_id).get(transaction.sender):
        return None
    return Step(transaction.sender, task_id, kind)
