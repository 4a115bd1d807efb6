"""Read what the pages of the network, of blocks, of transactions and of addresses show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from fedcoin.application.explorer.reading.chain_follower import ChainFollower
from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.explorer.reading.table_pages import ROWS, count_pages, cut_page
from fedcoin.application.explorer.reading.view_models import (
    AddressDetail,
    BlockDetail,
    BlockList,
    Overview,
    PendingList,
    TransactionDetail,
    ValidatorRow,
)
from fedcoin.application.verification.proof_file import fetch_document
from fedcoin.v1.views_pb2 import BlockView, ValidatorView

NUM_LATEST_BLOCKS: Final = 20
"""How many of the latest blocks the overview shows."""

MAX_DETAILS: Final = 40_000
"""How much of a transaction's action is shown, in characters."""


class ChainReader:
    """Reads these pages; every failure of a call is an `RpcError`.

    Args:
        source: The node.
        follower: Follows the same node, for payments by address.
    """

    def __init__(self, source: ChainSource, follower: ChainFollower) -> None:
        self._source = source
        self._follower = follower

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
            self._source.list_block_page(size=NUM_LATEST_BLOCKS),
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
