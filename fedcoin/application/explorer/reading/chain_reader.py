"""Read what each page shows, from the node's public API and the index of payments."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from fedcoin.application.explorer.reading.chain_follower import ChainFollower
from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.explorer.reading.round_utilities import RoundUtilities
from fedcoin.application.explorer.reading.view_models import (
    AddressDetail,
    BlockDetail,
    BlockList,
    CampaignDetail,
    CampaignList,
    ClientRow,
    MinerRow,
    Overview,
    PendingList,
    RoundRow,
    TaskDetail,
    TransactionDetail,
    ValidatorRow,
)
from fedcoin.application.verification.proof_file import fetch_document
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.views_pb2 import BlockView, PaymentView, TaskView, ValidatorView

ROWS: Final = 100
"""How many rows a long table has on one page."""

LATEST: Final = 20
"""How many of the latest blocks the overview shows."""

TASKS: Final = 50
"""How many rounds a campaign's page shows."""

MAX_DETAILS: Final = 40_000
"""How much of a transaction's action is shown, in characters."""

T = TypeVar("T")


class ChainReader:
    """Reads pages; every failure of a call is an `RpcError`.

    Args:
        source: The node.
        follower: Follows the same node, for payments by address.
    """

    def __init__(self, source: ChainSource, follower: ChainFollower) -> None:
        self._source = source
        self._follower = follower
        self._utilities = RoundUtilities(source)

    async def read_overview(self) -> Overview:
        """Read the network as it is now.

        Returns:
            What the first page shows.

        Raises:
            RpcError: The node cannot be reached.
        """
        status, fees, validators, blocks, campaigns, tasks = await asyncio.gather(
            self._source.get_status(),
            self._source.get_fees(),
            self._source.list_validators(),
            self._source.list_block_page(size=LATEST),
            self._source.list_campaign_page(size=5),
            self._source.list_task_page(open_only=True, size=10),
        )
        return Overview(
            status,
            fees,
            describe_validators(validators, status.total_power, blocks.blocks),
            tuple(blocks.blocks),
            tuple(campaigns.campaigns),
            tuple(tasks.tasks),
        )

    async def read_blocks(self, token: str) -> BlockList:
        """Read a page of blocks.

        Args:
            token: The page before's `next_token`; empty for the latest blocks.

        Returns:
            The page, the latest block first.

        Raises:
            RpcError: BAD_PAGE_TOKEN for a token that the node did not give.
        """
        page = await self._source.list_block_page(token, size=50)
        return BlockList(tuple(page.blocks), not token, page.next_page_token)

    async def read_block(self, which: int | str, page: int) -> BlockDetail:
        """Read a block.

        Args:
            which: Its height, or its hash in hex.
            page: The page of its transactions and payments, from 1.

        Returns:
            The block with this page of its transactions and payments.

        Raises:
            RpcError: BLOCK_NOT_FOUND or HISTORY_NOT_KEPT when the node does not have it.
        """
        reply, status = await asyncio.gather(
            self._source.get_block(which), self._source.get_status()
        )
        block = reply.block
        longest = max(len(block.transactions), len(reply.payments))
        num_pages, page = count_pages(longest, page)
        return BlockDetail(
            block=block,
            num_pages=num_pages,
            page=page,
            transactions=cut_page(block.transactions, page),
            payments=cut_page(reply.payments, page),
            num_payments=len(reply.payments),
            chain_height=status.height,
        )

    async def read_transaction(self, hash: str) -> TransactionDetail:
        """Read a transaction.

        Args:
            hash: Its hash in hex.

        Returns:
            The transaction with its action as text.

        Raises:
            RpcError: TRANSACTION_NOT_FOUND when the node does not have it.
        """
        view = await self._source.get_transaction(hash)
        details = indent_json(view.details_json)
        return TransactionDetail(view, details[:MAX_DETAILS], len(details) > MAX_DETAILS)

    async def read_pending(self) -> PendingList:
        """Read the mempool, at most `ROWS` transactions of it.

        Returns:
            The transactions, the oldest arrival first.

        Raises:
            RpcError: The node cannot be reached.
        """
        fees, pending = await asyncio.gather(
            self._source.get_fees(), self._source.list_pending_transactions(ROWS)
        )
        return PendingList(tuple(pending), max(fees.pending_transactions, len(pending)), fees)

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
            self._source.list_task_page(campaign_id, token=token, size=TASKS),
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
        payments, agreed, (utility,) = await asyncio.gather(
            self._read_payments(task), self._read_agreed(task), self._utilities.read_all([task])
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
        )

    async def _read_payments(self, task: TaskView) -> Sequence[PaymentView]:
        return await none_kept(self._source.list_payments(task.task_id), [])

    async def _read_agreed(self, task: TaskView) -> Sequence[int]:
        """Read S-bar from the block that settled the task; empty where there is none."""
        if not task.winner or not task.closed_height:
            return ()
        reply = await none_kept(self._source.get_block(task.closed_height), None)
        return () if reply is None else reply.block.settlement.mean_shapley_nano

    async def read_address(self, address: str, page: int) -> AddressDetail:
        """Read an address.

        Args:
            address: In bech32m.
            page: The page of its payments, from 1.

        Returns:
            The account with this page of its payments, as far as they are indexed.

        Raises:
            RpcError: BAD_ADDRESS for text that is no address.
        """
        account, validators = await asyncio.gather(
            self._source.get_account(address), self._source.list_validators()
        )
        index = self._follower.index
        payments = index.payments(account.address)
        num_pages, page = count_pages(len(payments), page)
        return AddressDetail(
            account=account,
            name=index.name(account.address),
            is_validator=any(each.address == account.address for each in validators),
            payments=payments,
            num_pages=num_pages,
            page=page,
            shown=cut_page(payments, page),
            since_height=index.since_height,
            indexed_height=index.height,
            is_indexing=self._follower.is_indexing,
        )

    async def read_proof(self, task_id: str, address: str) -> dict[str, Any]:
        """Read the content of a proof file of a task's payments to an address.

        Args:
            task_id: The task's id in hex.
            address: In bech32m.

        Returns:
            What `fedcoin-node task proof` prints.

        Raises:
            RpcError: PAYMENT_NOT_FOUND when the task paid this address nothing, or another code of
                `GetPaymentProof`.
            RefusalError: MALFORMED when the node's answer cannot be read.
        """
        return await fetch_document(self._source, task_id, address)


async def none_kept(work: Any, instead: T) -> Any | T:
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


def describe_validators(
    validators: Sequence[ValidatorView], total_power: int, blocks: Sequence[BlockView]
) -> tuple[ValidatorRow, ...]:
    """Describe validators by their power and their last votes.

    Args:
        validators: The validators of the next height.
        total_power: The power of all of them, in sap.
        blocks: The latest blocks, the latest first.

    Returns:
        One row for each, the most powerful first.
    """
    signed = [(block.height, frozenset(block.signers)) for block in blocks]
    rows = [
        ValidatorRow(
            each.address,
            each.bond,
            each.bond / total_power if total_power else 0.0,
            each.next_proposer,
            tuple(each.address in signers for _, signers in reversed(signed)),
            next((height for height, signers in signed if each.address in signers), 0),
        )
        for each in validators
    ]
    return tuple(sorted(rows, key=lambda row: (-row.power, row.address)))


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


def count_pages(num_rows: int, page: int) -> tuple[int, int]:
    """Count the pages of a table.

    Args:
        num_rows: How many rows it has.
        page: The page that was asked for, from 1.

    Returns:
        How many pages there are, at least one, and the page to show: the last one when the table
        has fewer.
    """
    num_pages = max(1, math.ceil(num_rows / ROWS))
    return num_pages, min(max(page, 1), num_pages)


def cut_page(rows: Sequence[T], page: int) -> tuple[T, ...]:
    """Cut one page out of a table.

    Args:
        rows: All rows.
        page: The page, from 1.

    Returns:
        Its rows, at most `ROWS`.
    """
    return tuple(rows[(page - 1) * ROWS : page * ROWS])


def indent_json(text: str) -> str:
    """Indent JSON for reading.

    Args:
        text: JSON, as the node wrote it.

    Returns:
        The indented JSON; text that is none unchanged.
    """
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
