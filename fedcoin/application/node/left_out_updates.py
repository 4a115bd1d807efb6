"""The updates that a client's task leaves out although their receipts are registered.

The ledger lets a client leave out updates that cannot be valued, since it reads no artifacts. A
voter judges whether that is so: it fetches the weights and checks them as if they were a task of
their own.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask, SignedUpdate

LEFT_OUT_SECONDS: Final = 5.0
"""How long to wait for the weights of an update that a client's task leaves out, in seconds."""

MAX_AT_ONCE: Final = 16
"""How many such updates are looked for at a time. A server can register as many as a task has
clients, and keep their weights back; one after the other, they would take minutes."""

_UNDECIDED: Final[frozenset[Enum]] = frozenset(
    {DataCode.STORE_FULL, ApplicationCode.PROCESS_FAILED}
)


async def check_left_out(state: StateReader, jobs: TaskJobs, assignment: Assignment) -> None:
    """Check that a client's task leaves out no registered update which could be valued.

    Args:
        state: The latest state.
        jobs: Fetches and checks weights.
        assignment: The task, whose own artifacts are sound.

    Raises:
        RefusalError: RECEIPT_LEFT_OUT when it leaves one out; STORE_FULL or PROCESS_FAILED when
            this node cannot tell.
        WorkerError: The worker processes failed.
    """
    listed = {update.body for update in assignment.terms.updates}
    left_out = {
        address: receipt.update
        for address, receipt in records.RECEIPTS.scan(state, assignment.terms.campaign_id)
        if receipt.update.body not in listed
    }
    usable: list[bytes] = []
    slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def look(address: bytes, update: SignedUpdate) -> None:
        async with slots:
            # One is enough to refuse the task.
            if not usable and await _is_usable(jobs, assignment, update):
                usable.append(address)

    looks = (look(address, update) for address, update in left_out.items())
    problems = await asyncio.gather(*looks, return_exceptions=True)
    if usable:
        raise RefusalError(
            LedgerCode.RECEIPT_LEFT_OUT,
            f"the task leaves out the update of {format_address(usable[0])}, whose receipt is"
            " registered and whose weights are sound: list it",
            field="open_task.updates",
        )
    for problem in problems:
        if problem is not None:
            raise problem


async def _is_usable(jobs: TaskJobs, assignment: Assignment, update: SignedUpdate) -> bool:
    """Tell whether the weights of an update can be fetched and are sound."""
    alone = OpenTask()
    alone.CopyFrom(assignment.terms)
    del alone.updates[:]
    alone.updates.append(update)
    del alone.groups[:]
    # The average of one update is the update.
    alone.aggregate = ClientUpdate.FromString(update.body).update
    alone.averaging = task_pb2.AVERAGING_EQUAL
    task_id = sha256(assignment.task_id, update.body)
    try:
        private = assignment.is_private
        part = Assignment(task_id, alone, assignment.model, is_private=private)
        await jobs.check(part, LEFT_OUT_SECONDS)
    except RefusalError as refusal:
        if refusal.code in _UNDECIDED:
            raise
        return False
    return True
