"""Notes on the labels of settled tasks, from evaluation sets that the node gives to everybody."""

from __future__ import annotations

import asyncio
from typing import Final

from google.protobuf.message import DecodeError

from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.rendering.task_remarks import (
    explain_task,
    has_frequent_answer,
    read_evidence,
)
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.task_pb2 import UTILITY_ACCURACY
from fedcoin.v1.views_pb2 import TaskView

MAX_KEPT_NOTES: Final = 10_000
"""How many tasks' notes are kept in memory."""

MAX_EVALUATION_BYTES: Final = 8 << 20
"""The longest evaluation set that is fetched for a note, in bytes."""

MAX_SECONDS: Final = 5.0
"""How long a page waits for a note, in seconds; without one it is tried again for the next page."""


class TaskNotes:
    """Notes on settled tasks; each task's evaluation set is fetched once, one at a time.

    Args:
        source: The node.
    """

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._kept: LruDict[str, str] = LruDict(MAX_KEPT_NOTES)
        self._turn = asyncio.Lock()

    async def read(self, task: TaskView) -> str:
        """Compare a task's base model with the answer that is right most often.

        Args:
            task: A task of any phase.

        Returns:
            A sentence (`explain_by_commonest`), or nothing: also when the node gives the evaluation
            set to nobody or to readers alone, when it is longer than `MAX_EVALUATION_BYTES`, and
            after `MAX_SECONDS`.
        """
        kept = self._kept.get(task.task_id)
        if kept is not None or not task.winner or task.utility != UTILITY_ACCURACY:
            return kept or ""
        try:
            note = await asyncio.wait_for(self._explain(task), MAX_SECONDS)
        except asyncio.TimeoutError:
            return ""
        except RpcError as error:
            if error.is_transient:
                return ""
            note = ""
        except (DecodeError, RefusalError):
            note = ""
        self._kept.put(task.task_id, note)
        return note

    async def _explain(self, task: TaskView) -> str:
        async with self._turn:
            return await self._compare(task)

    async def _compare(self, task: TaskView) -> str:
        reply = await self._source.get_evidence(task.task_id, task.winner)
        evidence = read_evidence(reply.transaction)
        if not has_frequent_answer(task.utility, evidence):
            return ""
        evaluation = await self._source.download_artifact(
            task.evaluation, max_bytes=MAX_EVALUATION_BYTES
        )
        return await asyncio.to_thread(explain_task, evidence, evaluation)
