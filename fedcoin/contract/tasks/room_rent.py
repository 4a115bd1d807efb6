"""The rent of a place for an open task, which is due for the time in which all places were taken.

As long as there are places left, a task that no miner works on keeps no other task out, and its
whole deposit returns. In a full room it keeps others out. The state counts for how long the room
was full, so that each task's rent follows from the counts at its beginning and its end.
"""

from __future__ import annotations

from typing import Final

from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import StateReader
from fedcoin.v1.state_pb2 import TaskState

MAX_OPEN_TASKS: Final = 64
"""The largest number of open tasks. Where many of their windows are over at one moment, several
blocks close them (docs/adr/0071)."""

_HOUR_MS: Final = 3_600_000


def is_room_full(state: StateReader) -> bool:
    """Tell whether a further task can be opened only if it displaces another one.

    Args:
        state: The state to read from.

    Returns:
        True when `MAX_OPEN_TASKS` are open.
    """
    return sum(1 for _ in records.OPEN_TASKS.scan(state)) >= MAX_OPEN_TASKS


def enter_room(context: ExecutionContext, task: TaskState) -> None:
    """Note in a new task and in the ledger what its rent depends on.

    Args:
        context: The execution of the block; the state lists the new task as open.
        task: The new task; the caller writes its record.
    """
    ledger = records.read_ledger(context.state)
    task.room_full_ms = ledger.room_full_ms
    if is_room_full(context.state):
        ledger.room_full_since_ms = context.block.time_ms
        records.LEDGER.put(context.state, record=ledger)


def leave_room(context: ExecutionContext) -> None:
    """Count the time that ends when a task leaves a full room.

    Args:
        context: The execution of the block; the state still lists the task as open.
    """
    ledger = records.read_ledger(context.state)
    if ledger.room_full_since_ms:
        ledger.room_full_ms += context.block.time_ms - ledger.room_full_since_ms
        ledger.room_full_since_ms = 0
        records.LEDGER.put(context.state, record=ledger)


def compute_rent(context: ExecutionContext, task: TaskState) -> int:
    """Compute the rent of a task that leaves the room.

    Args:
        context: The execution of the block, after `leave_room`.
        task: The record of the task, which notes when it entered the room.

    Returns:
        Sap: `task_deposit` for each hour in which the room was full while the task was open, in
        proportion and rounded up.
    """
    full_ms = records.read_ledger(context.state).room_full_ms - task.room_full_ms
    return -(-context.parameters.task_deposit * full_ms // _HOUR_MS)
