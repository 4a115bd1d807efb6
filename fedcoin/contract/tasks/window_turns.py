"""The validators that proposed a block while a task's window was open.

A proposer may set its block's time ahead and leave transactions out. A window that ends by time
therefore stays open until blocks by validators with more than a third of the power could have held
what miners sent. Less than a third is faulty, so one of these proposers left nothing out. The share
is of the power and not of the number of validators, which a bond can raise by being split.

An honest proposer says when it leaves out reveals on which validators may differ, because it could
not audit them or because a block with them failed. Such a block is no turn: the window is stretched
until the reveals had their chance, by `MAX_LEFT_OUT` blocks at most. Nor is a block a turn that
was full of the steps of miners, so that further ones had to wait: by number, or by bytes, where
the steps left fewer than the largest step may have. A small step may wait as well then, behind a
large one of its sender for another task. Such blocks stretch a window without a limit: they come to
an end with the steps, each of which miners send once and pay for.
"""

from __future__ import annotations

from typing import Final

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import STEPS_PER_ANSWER, compute_max_step_bytes
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.v1.block_pb2 import TASK_PHASE_REVEAL
from fedcoin.v1.state_pb2 import TaskState

MAX_LEFT_OUT: Final = 64
"""How many blocks of one window whose proposers left disputed reveals out do not count as turns.
Without a limit, validators that differ on one reveal for good would keep its task open for good."""


def record_turn(
    context: ExecutionContext, task_id: bytes, task: TaskState, validators: ValidatorSet
) -> None:
    """Record that the block's proposer could include what miners sent in the task's phase.

    The window stays open until `had_enough_turns` holds; see the module's docstring for the reason.
    Nothing is recorded in the block that began the phase, which could not hold such transactions,
    nor once proposers with more than a third of the power are recorded.

    Args:
        context: The execution of the block.
        task_id: The task's id, 32 bytes.
        task: The task in a phase with a time window; it is changed and stored.
        validators: The validators of the next height.
    """
    proposer = context.block.proposer
    if context.block.height <= task.phase_height or had_enough_turns(task, validators):
        return
    if _is_full_of_steps(context):
        return
    are_disputed = context.block.left_out_reveals and task.phase == TASK_PHASE_REVEAL
    if are_disputed and task.window_left_out < MAX_LEFT_OUT:
        task.window_left_out += 1
        records.TASKS.put(context.state, task_id, record=task)
        return
    # Without those that left, so that there are never more than validators.
    kept = [a for a in task.window_proposers if validators.by_address(a) is not None]
    if proposer not in kept:
        kept.append(proposer)
    if kept != list(task.window_proposers):
        task.window_proposers[:] = kept
        records.TASKS.put(context.state, task_id, record=task)


def _is_full_of_steps(context: ExecutionContext) -> bool:
    """Tell whether the block's steps may have kept another one out."""
    left = context.room.step_bytes
    return context.room.steps < STEPS_PER_ANSWER or (
        left is not None and left < compute_max_step_bytes(context.parameters)
    )


def had_enough_turns(task: TaskState, validators: ValidatorSet) -> bool:
    """Tell whether validators with more than a third of the power proposed in the present window.

    Args:
        task: The task's record, with the proposers that `record_turn` noted.
        validators: The validators of the next height.

    Returns:
        True when the window may end by time.
    """
    members = (validators.by_address(address) for address in task.window_proposers)
    power = sum(member.power for member in members if member is not None)
    return 3 * power > validators.total_power
