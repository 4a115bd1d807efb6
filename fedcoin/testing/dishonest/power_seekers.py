"""Miners that compute honestly, and try to have or to seem to have more power than they have."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from google.protobuf.message import Message

from fedcoin.application.mining.miner import Miner
from fedcoin.application.mining.task_progress import TaskProgress
from fedcoin.contract.state import records
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.draw_scores import compute_score
from fedcoin.incentive.proof.challenge import derive_challenge
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import MinerState, TaskState
from fedcoin.v1.transaction_pb2 import Bond, Unbond

log = logging.getLogger(__name__)

_SubmitAny = Callable[[Message], Awaitable[Transaction]]


class LateBonder(Miner):
    """Bonds nearly all of its coins once the challenge is known, and takes them back afterwards."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Make a miner.

        Args:
            *arguments: Passed to `Miner`.
            **options: Passed to `Miner`.
        """
        super().__init__(*arguments, **options)
        self._late_bond = 0

    async def _reveal(self, progress: TaskProgress, task: TaskState, miner: MinerState) -> None:
        if task.phase == block_pb2.TASK_PHASE_REVEAL and not self._late_bond:
            balance = self._chain.ledger.account(self._key.address).balance
            self._late_bond = balance * 9 // 10
            log.warning("bonds %d sap more, since the challenge is known", self._late_bond)
            await cast(_SubmitAny, self._submit)(Bond(amount=self._late_bond))
        await super()._reveal(progress, task, miner)

    async def _react(self) -> None:
        is_idle = next(records.OPEN_TASKS.scan(self._chain.ledger.reader), None) is None
        if self._late_bond and is_idle:
            amount, self._late_bond = self._late_bond, 0
            await cast(_SubmitAny, self._submit)(Unbond(amount=amount))
        await super()._react()


class SelectiveWithholder(Miner):
    """Opens last, and withholds its salt unless the challenge would draw this miner."""

    async def _reveal(self, progress: TaskProgress, task: TaskState, miner: MinerState) -> None:
        if task.phase == block_pb2.TASK_PHASE_CHALLENGE:
            assert progress.work is not None, "a commitment without samples"
            if not await self._would_win(progress, task, progress.work.salt):
                log.warning("task %s: withholds its salt, since it is not drawn", progress.name)
                progress.given_up = True
                return
        await super()._reveal(progress, task, miner)

    async def _would_win(self, progress: TaskProgress, task: TaskState, salt: bytes) -> bool:
        """Wait for the salts of all other miners, and look who would be drawn with its own."""
        task_id, own = progress.assignment.task_id, self._key.address
        while True:
            height = self._chain.height()
            miners = dict(records.MINERS.scan(self._chain.ledger.reader, task_id))
            salts = {address: m.salt for address, m in miners.items() if address != own}
            if all(salts.values()):
                break
            # The step is cancelled when the phase ends.
            await self._chain.wait_above(height)
        challenge = derive_challenge(task_id, task.attempt, salts | {own: salt})
        scores = {a: compute_score(challenge, a, m.power) for a, m in miners.items()}
        return max(scores, key=lambda address: scores[address]) == own
