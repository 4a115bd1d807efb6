"""What a node downloads for tasks that are not in a block, and so have paid nothing yet.

A validator needs a task's artifacts before it votes for a block that opens the task, so that they
are downloaded while the transaction waits. The sender could replace the transaction afterwards.
Therefore it must be able to pay at that moment, with the chain's latest state, whatever else it has
signed before; and one round of a campaign, and all campaigns of one requester, which cost coins to
open, are downloaded for only a few times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.chain import Chain
from fedcoin.contract.blocks.ledger import PendingState
from fedcoin.contract.errors import PREMATURE_CODES
from fedcoin.contract.state import records
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.background_tasks import run_within

MAX_DOWNLOADS: Final = 4
"""The number of different transactions of one campaign's round for which a node downloads
anything."""
MAX_OWNER_DOWNLOADS: Final = 16
"""The number of transactions of one requester that are in no block for which a node downloads in an
hour; one more for each FDC in the campaign's escrow."""

_MAX_ROUNDS: Final = 4_096
_MAX_OWNERS: Final = 4_096
_OWNER_SECONDS: Final = 3_600.0


async def wait_until_payable(chain: Chain, transaction: Transaction, timeout_s: float) -> None:
    """Wait until a transaction applies to the state after the latest block.

    The sender's balance then covers fee, deposit and all else, and the campaign's escrow is there.

    Args:
        chain: The node's chain.
        transaction: The decoded and verified transaction.
        timeout_s: How long to wait for blocks with what it depends on, in seconds.

    Raises:
        RefusalError: The code with which the ledger refuses it, such as INSUFFICIENT_BALANCE: at
            once when blocks cannot help, else after that time.
    """
    refusal: RefusalError | None = None

    async def follow_blocks() -> None:
        nonlocal refusal
        while True:
            height = chain.height()
            state = PendingState(chain.ledger, height)
            refusal = state.apply(transaction, chain.time_ms() + 1)
            if refusal is None or refusal.code not in PREMATURE_CODES:
                return
            await chain.wait_above(height)

    with suppress(asyncio.TimeoutError):
        await run_within(timeout_s, follow_blocks())
    if refusal is not None:
        raise refusal


class UnpaidDownloads:
    """Counts the transactions that this node downloaded for before they were in a block.

    Args:
        chain: The node's chain.
        clock: Gives seconds, on any clock that never goes back.
    """

    def __init__(self, chain: Chain, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain = chain
        self._clock = clock
        self._by_round: LruDict[tuple[bytes, int], set[bytes]] = LruDict(_MAX_ROUNDS)
        # When each transaction was admitted, by its campaign's requester.
        self._by_owner: LruDict[bytes, dict[bytes, float]] = LruDict(_MAX_OWNERS)

    def admit(self, transaction: Transaction) -> None:
        """Count a transaction for whose task artifacts have to be downloaded.

        Args:
            transaction: A transaction that opens a task, of a campaign that the chain has.

        Raises:
            RefusalError: TOO_MANY_DOWNLOADS when there were `MAX_DOWNLOADS` others for the round,
                or too many for campaigns of the same requester within an hour that are in no block:
                `MAX_OWNER_DOWNLOADS`, and one for each FDC in this campaign's escrow.
        """
        terms = transaction.body.open_task
        hashes = self._by_round.get_or_create((terms.campaign_id, terms.round), set)
        if transaction.hash in hashes:
            return
        if len(hashes) >= MAX_DOWNLOADS:
            raise RefusalError(
                ApplicationCode.TOO_MANY_DOWNLOADS,
                f"{len(hashes)} other transactions were to open round {terms.round} of this"
                f" campaign, and this node downloads for at most {MAX_DOWNLOADS}: let one of them"
                " open the task, or name artifacts that this node holds",
                field="open_task",
                limit=str(MAX_DOWNLOADS),
            )
        self._admit_owner(transaction)
        hashes.add(transaction.hash)

    def _admit_owner(self, transaction: Transaction) -> None:
        store = self._chain.store
        campaign = records.CAMPAIGNS.get(store, transaction.body.open_task.campaign_id)
        assert campaign is not None, "the ledger has admitted a task without a campaign"
        now = self._clock()
        admitted = self._by_owner.get_or_create(campaign.requester, dict)
        limit = MAX_OWNER_DOWNLOADS + campaign.escrow // SAP_PER_FDC
        if len(admitted) >= limit:
            for hash in [h for h, at in admitted.items() if at + _OWNER_SECONDS <= now]:
                del admitted[hash]
            for hash in [h for h in admitted if store.index.find_transaction(h) is not None]:
                del admitted[hash]
        if len(admitted) >= limit:
            raise RefusalError(
                ApplicationCode.TOO_MANY_DOWNLOADS,
                f"this node downloaded for {len(admitted)} tasks of this campaign's requester that"
                f" are in no block, and does so at most {limit} times an hour: wait, or open the"
                " task with artifacts that the network has",
                field="open_task",
                limit=str(limit),
            )
        admitted[transaction.hash] = now
