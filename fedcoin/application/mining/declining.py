"""Say on the chain that this miner cannot take part in a task, so that no other waits for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from fedcoin.application.mining.task_progress import TaskProgress
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.learning.errors import LearningCode
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.transaction_pb2 import DeclineTask

log = logging.getLogger(__name__)

HOPELESS_CODES: Final = frozenset(
    {LearningCode.TOO_SLOW, LearningCode.OVERDUE, LearningCode.MISSING_PACKAGE}
)
"""Codes after which a task is not tried again: a further try would take too long again, or lack the
same package."""


async def decline(
    submit: Callable[[DeclineTask], Awaitable[Transaction]], progress: TaskProgress
) -> None:
    """Decline a task in all its attempts. A refusal is logged: then the others wait in vain.

    Args:
        submit: Signs and submits the action with the miner's key.
        progress: The miner's progress with the task.
    """
    progress.has_declined = True
    action = DeclineTask(task_id=progress.assignment.task_id, attempt=progress.attempt)
    try:
        await submit(action)
    except (RefusalError, RpcError) as failure:
        log.warning("task %s: could not decline it: %s", progress.name, failure)
        return
    log.info("task %s: declined, so that no other miner waits for this one", progress.name)
