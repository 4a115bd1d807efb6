"""Read what the pages of campaigns and of their rounds show."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.explorer.reading.round_utilities import RoundUtilities
from fedcoin.application.explorer.reading.table_pages import count_pages, cut_page
from fedcoin.application.explorer.reading.task_notes import TaskNotes
from fedcoin.application.explorer.reading.view_models import (
    CampaignDetail,
    CampaignList,
    ClientRow,
    MinerRow,
    RoundRow,
    TaskDetail,
)
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.views_pb2 import PaymentView, TaskView

ROUNDS_OF_PAGE: Final = 50
"""How many rounds a campaign's page shows."""

T = TypeVar("T")


class CampaignPageReader:
    """Reads the pages of campaigns and tasks; every failure of a call is an `RpcError`.

    Args:
        source: The node.
    """

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._utilities = RoundUtilities(source)
        self._notes = TaskNotes(source)

    async def read_campaigns(self, token: str) -> CampaignList:
        """Read a page of campaigns.

        Args:
            token: The page before's `next_token`; empty for the latest campaigns.

        Returns:
            The page, the latest campaign first.

        Raises:
            RpcError: BAD_PAGE_TOKEN for a token that the node did not give.
        """
        page = await self._source.list_campaign_page(token, size=50)
        return CampaignList(tuple(page.campaigns), not token, page.next_page_token)

    async def read_campaign(self, campaign_id: str, token: str) -> CampaignDetail:
        """Read a campaign and a page of its rounds.

        Args:
            campaign_id: Its id in hex.
            token: The page before's `next_token`; empty for the latest rounds.

        Returns:
            The campaign with this page of its rounds.

        Raises:
            RpcError: CAMPAIGN_NOT_FOUND, or BAD_PAGE_TOKEN for a token that the node did not give.
        """
        campaign, page = await asyncio.gather(
            self._source.get_campaign(campaign_id),
            self._source.list_task_page(campaign_id, token=token, size=ROUNDS_OF_PAGE),
        )
        utilities = await self._utilities.read_all(page.tasks)
        rounds = [
            RoundRow(
                task,
                sum(client.payout for client in task.clients),
                sum(miner.reward for miner in task.miners),
                utility,
            )
            for task, utility in zip(page.tasks, utilities, strict=True)
        ]
        return CampaignDetail(campaign, tuple(rounds), page.next_page_token)

    async def read_task(self, task_id: str, page: int) -> TaskDetail:
        """Read a task.

        Args:
            task_id: Its id in hex.
            page: The page of its clients, from 1.

        Returns:
            The task with this page of its clients.

        Raises:
            RpcError: TASK_NOT_FOUND when there is none.
        """
        task = await self._source.get_task(task_id)
        payments, agreed, (utility,), note = await asyncio.gather(
            self._read_payments(task),
            self._read_agreed(task),
            self._utilities.read_all([task]),
            self._notes.read(task),
        )
        paid = sum(client.payout for client in task.clients)
        num_pages, page = count_pages(len(task.clients), page)
        return TaskDetail(
            task=task,
            clients=cut_page(describe_clients(task, paid), page),
            num_pages=num_pages,
            page=page,
            miners=describe_miners(task, agreed),
            payments=tuple(payments),
            paid_clients=paid,
            utility=utility,
            note=note,
        )

    async def _read_payments(self, task: TaskView) -> Sequence[PaymentView]:
        return await unless_pruned(self._source.list_payments(task.task_id), [])

    async def _read_agreed(self, task: TaskView) -> Sequence[int]:
        """Read S-bar from the block that settled the task; empty where there is none."""
        if not task.winner or not task.closed_height:
            return ()
        reply = await unless_pruned(self._source.get_block(task.closed_height), None)
        return () if reply is None else reply.block.settlement.mean_shapley_nano


async def unless_pruned(work: Any, instead: T) -> Any | T:
    """Await a call about blocks that the node may not keep.

    Args:
        work: The call.
        instead: The result when the blocks are gone.

    Returns:
        The call's result, or `instead`.

    Raises:
        RpcError: The call failed for another reason.
    """
    try:
        return await work
    except RpcError as error:
        if error.code != "HISTORY_NOT_KEPT":
            raise
        return instead


def describe_clients(task: TaskView, paid: int) -> tuple[ClientRow, ...]:
    """Describe the clients of a task.

    Args:
        task: The task as the node shows it, in any phase.
        paid: What all clients were paid together, in sap.

    Returns:
        One row for each, in the task's order.
    """
    vectors = [miner.shapley_nano for miner in task.miners if miner.inlier and miner.shapley_nano]
    rows = []
    for index, client in enumerate(task.clients):
        values = [vector[index] for vector in vectors if index < len(vector)]
        rows.append(
            ClientRow(
                index + 1,
                client,
                (min(values), max(values)) if values else None,
                client.payout / paid if paid else 0.0,
                client.group + 1,
            )
        )
    return tuple(rows)


def describe_miners(task: TaskView, agreed: Sequence[int]) -> tuple[MinerRow, ...]:
    """Describe the miners of a task.

    Args:
        task: The task as the node shows it, in any phase.
        agreed: S-bar, the agreed vector in nano-utility; empty before the settlement.

    Returns:
        One row for each, in the order of their addresses.
    """
    return tuple(
        MinerRow(
            miner,
            miner.power / task.total_power if task.total_power else 0.0,
            round(math.dist(miner.shapley_nano, agreed))
            if agreed and len(agreed) == len(miner.shapley_nano)
            else None,
            bool(task.winner) and miner.address == task.winner,
        )
        for miner in task.miners
    )
