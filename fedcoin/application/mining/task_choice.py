"""Which open tasks a miner works on: those that pay, the best offer for its work first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fedcoin.data.messages.parameters import Parameters
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import MinerState, TaskState

DEFAULT_FLOOR_PRICE: Final = 1_000
"""In sap for each million of evaluations, of which one core makes some 10 million in a second."""

PREEMPTION_FACTOR: Final = 2
"""A task takes the place of one under way when it offers this many times as much for its work."""

_TRANSACTIONS: Final = 3
_MILLION: Final = 1_000_000


def is_worth_mining(
    task: TaskState, mining_price: int, power: int, rules: Parameters, floor_price: int
) -> bool:
    """Tell whether a miner's share of the mining price covers its fees and its floor price.

    Args:
        task: The record of an open task.
        mining_price: The task's mining price in sap.
        power: The miner's power in the task, in sap.
        rules: The network's parameters.
        floor_price: What the miner asks for each million of evaluations, in sap; 0 takes any task.

    Returns:
        True when the miner should work on it.
    """
    if not floor_price:
        return power > 0
    income = mining_price * power // max(task.total_power, 1)
    fees = _TRANSACTIONS * (rules.base_fee + rules.fee_per_kib)
    return income >= fees + floor_price * task.work // _MILLION


def sort_by_offer(tasks: Mapping[bytes, TaskState]) -> list[tuple[bytes, TaskState]]:
    """Put tasks in the order in which a miner takes them up.

    Args:
        tasks: Tasks by id, the oldest first.

    Returns:
        Ids and tasks: the highest offer first, of equal ones the oldest.
    """
    return sorted(tasks.items(), key=lambda item: -item[1].offer)


def is_due(task: TaskState, miner: MinerState) -> bool:
    """Tell whether a task waits for a miner's opening or for its challenged leaves.

    Args:
        task: The record of an open task.
        miner: The miner's record in it.

    Returns:
        True when the miner should reveal now.
    """
    if task.phase == block_pb2.TASK_PHASE_CHALLENGE:
        return not miner.salt
    return task.phase == block_pb2.TASK_PHASE_REVEAL and bool(miner.salt) and not miner.revealed
