"""The early end of a commit window, and the time that a task waits for absent miners.

When miners with more than two thirds of the power have committed, the window stays open for a grace
time: as long again as that took, but at least a little longer than a proposer's clock may be ahead.
So a miner that is switched off delays no task for a whole window, and one that is half as fast as
the others still takes part. Only the commit window ends early: the miners that the later windows
wait for have a deposit at stake, which an early end would either take from honest miners or return
to silent ones (docs/adr/0026).
"""

from __future__ import annotations

from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.messages.parameters import Parameters
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import TaskState


def note_quorum(context: ExecutionContext, task_id: bytes, task: TaskState) -> None:
    """Note when miners with more than two thirds of the power have acted in the present window.

    In the commit window this sets the new deadline, and the turns of proposers count anew, so that
    proposers with more than a third of the power can still include a commitment.

    Args:
        context: The execution of the block.
        task_id: The task's id, 32 bytes.
        task: The task, which is changed and stored.
    """
    if task.quorum_ms or 3 * task.acted_power <= 2 * task.total_power:
        return
    now_ms = context.block.time_ms
    task.quorum_ms = now_ms
    if task.phase == block_pb2.TASK_PHASE_COMMIT:
        terms = records.TERMS.get(context.state, task_id)
        assert terms is not None, "an open task without terms"
        elapsed_ms = now_ms - (task.deadline_ms - terms.commit_window_ms)
        deadline_ms = now_ms + max(elapsed_ms, min_grace_ms(context.parameters))
        if deadline_ms < task.deadline_ms:
            task.deadline_ms = deadline_ms
            task.window_proposers.clear()
    records.TASKS.put(context.state, task_id, record=task)


def add_idle_time(context: ExecutionContext, task: TaskState) -> None:
    """Add to the task's idle time how long the window that ends stayed open after a quorum acted.

    Without a quorum (`note_quorum`) there is nothing to add.

    Args:
        context: The execution of the block that ends the window.
        task: The task, which is changed; the caller writes its record.
    """
    if task.quorum_ms:
        task.idle_ms += context.block.time_ms - task.quorum_ms
        task.quorum_ms = 0


def min_grace_ms(parameters: Parameters) -> int:
    """Compute the shortest time that a commit window stays open once a quorum committed.

    It is longer than a proposer's clock may be ahead, so that no proposer can end the window alone.

    Args:
        parameters: The network's parameters.

    Returns:
        The time in ms.
    """
    return parameters.max_clock_drift_ms + parameters.propose_timeout_ms
