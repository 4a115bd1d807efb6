"""The quality of the model that each round made, as the winner's evidence proves it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.rendering.task_remarks import read_evidence
from fedcoin.data.lru import LruDict
from fedcoin.learning.measures.terms import TERMS, largest_utility
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.views_pb2 import TaskView

MAX_KEPT: Final = 10_000
"""How many utilities are kept in memory."""

_AT_ONCE: Final = 4
"""How many transactions with evidence are fetched at a time; each may have a megabyte."""


class RoundUtilities:
    """Utilities of settled rounds, each read from the node once.

    Args:
        source: The node.
    """

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._kept: LruDict[str, float] = LruDict(MAX_KEPT)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def read_all(self, tasks: Sequence[TaskView]) -> list[float | None]:
        """Read the utility of the aggregate of each task.

        Args:
            tasks: Tasks of any phase.

        Returns:
            For each task the utility as a part of the largest one, 0 to 1; None for a task that is
            not settled, and when the node does not keep the evidence.

        Raises:
            RpcError: The node cannot be reached.
        """
        return list(await asyncio.gather(*(self._read(task) for task in tasks)))

    async def _read(self, task: TaskView) -> float | None:
        kept = self._kept.get(task.task_id)
        if kept is not None or not task.winner or task.utility not in TERMS:
            return kept
        async with self._turns:
            try:
                reply = await self._source.get_evidence(task.task_id, task.winner)
                utility = read_utility(reply.transaction, task)
            except RpcError as error:
                if error.is_transient:
                    raise
                return None
            except DecodeError:
                return None
        self._kept.put(task.task_id, utility)
        return utility


def read_utility(transaction: bytes, task: TaskView) -> float:
    """Read the utility of a task's aggregate from a miner's evidence.

    Args:
        transaction: The serialised SignedTransaction in which the miner revealed it.
        task: The task that the evidence is for.

    Returns:
        The utility as a part of the largest one, 0 to 1.

    Raises:
        DecodeError: The bytes are no transaction.
    """
    largest = largest_utility(task.utility, task.evaluation_size)
    return read_evidence(transaction).grand_count / max(largest, 1)
