"""Find the page of what somebody is looking for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Final, TypeVar
from urllib.parse import quote

from fedcoin.application.explorer.reading.chain_follower import ChainFollower
from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.explorer.reading.search_query import QueryKind, read_query
from fedcoin.application.explorer.reading.view_models import SearchResults
from fedcoin.network.client.rpc_error import RpcError

T = TypeVar("T")

MAX_FOUND: Final = 50
"""How many clients' names, campaigns and tasks are listed at most, each."""

_SEARCHED: Final = 100


class ChainSearch:
    """Searches a chain by the node's API and by the names that the follower heard.

    Args:
        source: The node.
        follower: Follows the same node.
    """

    def __init__(self, source: ChainSource, follower: ChainFollower) -> None:
        self._source = source
        self._follower = follower

    async def find(self, text: str) -> str | SearchResults:
        """Find something.

        Args:
            text: What somebody typed.

        Returns:
            The path of the only page that it can be, or the results for a part of an id or a name.

        Raises:
            RpcError: The node cannot be reached.
        """
        query = read_query(text)
        if query.kind is QueryKind.HEIGHT:
            return f"/block/{query.text}"
        if query.kind is QueryKind.ADDRESS:
            return f"/address/{quote(query.text)}"
        if query.kind is QueryKind.HASH:
            return await self._find_hash(query.text)
        if query.kind is QueryKind.PART:
            found = await self._find_part(query.text)
            is_empty = not (found.campaigns or found.tasks or found.names)
            return (await self._find_start(query.text) if is_empty else None) or found
        return SearchResults(query.text)

    async def _find_hash(self, hash: str) -> str | SearchResults:
        # An id is also the hash of the transaction that opened the campaign or task.
        found = await asyncio.gather(
            _exists(self._source.get_campaign(hash)),
            _exists(self._source.get_task(hash)),
            _exists(self._source.get_transaction(hash)),
            _exists(self._source.get_block(hash)),
        )
        paths = (f"/{kind}/{hash}" for kind in ("campaign", "task", "tx", "block"))
        path = next((path for path, exists in zip(paths, found, strict=True) if exists), None)
        return path or SearchResults(hash, is_searched=True)

    async def _find_start(self, text: str) -> str | None:
        """Find the one transaction or block whose hash begins with some digits."""
        digits = text.lower().removeprefix("0x").rstrip("….")  # tables shorten hashes so
        if not re.fullmatch(r"[0-9a-f]{8,63}", digits):
            return None
        transaction, block = await asyncio.gather(
            _find(self._source.get_transaction(digits)), _find(self._source.get_block(digits))
        )
        if block is not None and transaction is None:
            return f"/block/{block.block.hash}"
        if transaction is None or block is not None:
            return None
        # The hash of a transaction that opened a campaign or a task is its id, too.
        found = await self._find_hash(transaction.hash)
        return found if isinstance(found, str) else None

    async def _find_part(self, text: str) -> SearchResults:
        campaigns, tasks = await asyncio.gather(
            self._source.list_campaign_page(size=_SEARCHED),
            self._source.list_task_page(size=_SEARCHED),
        )
        part = text.lower()
        return SearchResults(
            text,
            True,
            tuple(each for each in campaigns.campaigns if part in each.campaign_id)[:MAX_FOUND],
            tuple(each for each in tasks.tasks if part in each.task_id)[:MAX_FOUND],
            self._follower.index.find_names(text, MAX_FOUND),
        )


async def _find(call: Awaitable[T]) -> T | None:
    try:
        return await call
    except RpcError as error:
        if error.is_transient:
            raise
        return None


async def _exists(call: Awaitable[object]) -> bool:
    return await _find(call) is not None
