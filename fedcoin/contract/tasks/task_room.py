"""The room for open tasks: when it is full, the task with the lowest offer makes way.

Every open task costs every node some time in each block, so that their number is limited. Without
the second rule, cheap tasks with long windows would keep all others out.
"""

from __future__ import annotations

from typing import Final

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.loaded_task import LoadedTask
from fedcoin.contract.tasks.settlement import fail, settle_deposits
from fedcoin.data.errors import RefusalError
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import TaskState

MAX_OPEN_TASKS: Final = 64
"""The largest number of open tasks. With 100 miners they cost a block 18 ms, and 95 ms when all of
their windows close in it (docs/adr/0031)."""


def make_room(context: ExecutionContext, offer: int) -> None:
    """Fail the open task with the lowest offer when there is no room for another task.

    Only a task on which no quorum of miners has worked in the present attempt makes way. Its miners
    get their deposits back, its requester the round's price, its server the task's deposit.

    Args:
        context: The execution of the block.
        offer: The new task's offer, in sap for each million of evaluations.

    Raises:
        RefusalError: TOO_MANY_TASKS when no open task that may make way offers less.
    """
    tasks = {
        task_id: _read(context, task_id) for _, task_id in records.OPEN_TASKS.scan(context.state)
    }
    if len(tasks) < MAX_OPEN_TASKS:
        return
    offers = {task.offer for task in tasks.values()}
    idle = (
        (task.offer, task_id)
        for task_id, task in tasks.items()
        if task.offer < offer and not _has_quorum(context, task_id, task)
    )
    lowest = min(idle, default=None)
    if lowest is None:
        raise RefusalError(
            LedgerCode.TOO_MANY_TASKS,
            f"{len(tasks)} tasks are open, and none that miners have not taken up offers less than"
            f" {offer} sap for each million of evaluations: wait, or raise the mining price",
            field="prices.mining",
            limit=str(min(offers)),
        )
    loaded = LoadedTask.load(context, lowest[1])
    settle_deposits(context, loaded, is_returned=lambda _: True)
    fail(context, loaded)


def _read(context: ExecutionContext, task_id: bytes) -> TaskState:
    task = records.TASKS.get(context.state, task_id)
    assert task is not None, "an open task without a record"
    return task


def _has_quorum(context: ExecutionContext, task_id: bytes, task: TaskState) -> bool:
    """Tell whether enough miners have committed in the present attempt."""
    if task.phase != block_pb2.TASK_PHASE_COMMIT:
        return True
    power = sum(miner.power for _, miner in records.MINERS.scan(context.state, task_id))
    return 100 * power >= context.parameters.reveal_quorum_percent * task.total_power
