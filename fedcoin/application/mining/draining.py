"""Draining: end a miner's work without losing what it has at stake.

A miner that stops between its commitment and its reveal loses the deposit. A miner that drains
takes up no task, declines those that it has not committed to, so that no other miner waits for it,
opens and proves what it has committed to, and is drained when nothing is at stake any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from fedcoin.application.mining.task_progress import TaskProgress
from fedcoin.contract.state import records
from fedcoin.contract.tasks.frozen_power import read_power
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.transaction_port import TransactionPort
from fedcoin.v1.transaction_pb2 import DeclineTask

log = logging.getLogger(__name__)

Decline = Callable[[DeclineTask], Awaitable[Transaction]]
"""Signs and submits the action with the miner's key."""


class Draining:
    """Whether a miner drains, and what it still has at stake.

    Args:
        address: The miner's address, 20 bytes.
        chain: The node's chain.
        pool: The node's waiting transactions.
        submit: Signs and submits the miner's action.
        wake: Has the miner look at its tasks at once.
    """

    def __init__(
        self,
        address: bytes,
        chain: ChainPort,
        pool: TransactionPort,
        submit: Decline,
        wake: Callable[[], None],
    ) -> None:
        self._address = address
        self._chain = chain
        self._pool = pool
        self._submit = submit
        self._wake = wake
        self._declined: set[bytes] = set()
        self._is_asked = False
        self._drained = asyncio.Event()
        self.at_stake = 0
        """How many commitments have not been proved, and transactions wait for a block."""

    def ask(self) -> None:
        """Begin to drain; a further request changes nothing."""
        if not self._is_asked:
            log.info("draining: this miner takes up no further task")
        self._is_asked = True
        self._wake()

    async def wait(self) -> None:
        """Wait until the miner was asked to drain and has nothing at stake any more."""
        await self._drained.wait()

    def note(self, open_tasks: Iterable[bytes]) -> None:
        """Count what is at stake, after each look of the miner at its tasks.

        Args:
            open_tasks: The ids of all open tasks, 32 bytes each.
        """
        reader = self._chain.ledger.reader
        own = (records.MINERS.get(reader, task_id, self._address) for task_id in open_tasks)
        unproved = sum(miner is not None and not miner.revealed for miner in own)
        waiting = sum(each.sender == self._address for each in self._pool.pending())
        self.at_stake = unproved + waiting
        if self._is_asked and not self.at_stake and not self._drained.is_set():
            log.info("drained: nothing is left that this miner committed to")
            self._drained.set()

    async def lets_go(self, task_id: bytes, attempt: int, progress: TaskProgress | None) -> bool:
        """Stop the work on a task without commitment when the miner drains, and decline it once.

        Args:
            task_id: The task, 32 bytes.
            attempt: The number of its present attempt, from 0, which a decline names.
            progress: The miner's progress with it; None when it has not begun.

        Returns:
            False when the miner goes on with it: it does not drain, or has committed.
        """
        reader = self._chain.ledger.reader
        if not self._is_asked or records.MINERS.get(reader, task_id, self._address) is not None:
            return False
        if progress is not None:
            if progress.sent and self._pool.get(progress.sent) is not None:
                return False
            await progress.halt()
            progress.given_up = True
        may_take_part = read_power(reader, task_id).get(self._address, 0) > 0
        if may_take_part and task_id not in self._declined:
            self._declined.add(task_id)
            await self._decline(task_id, attempt)
        return True

    async def _decline(self, task_id: bytes, attempt: int) -> None:
        try:
            await self._submit(DeclineTask(task_id=task_id, attempt=attempt))
        except (RefusalError, RpcError) as failure:
            log.warning("task %s: could not decline it: %s", task_id.hex()[:16], failure)
            return
        log.info("task %s: declined, because this node is about to stop", task_id.hex()[:16])
