"""Choose the events of a block that concern some addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedcoin.data.crypto.addresses import format_address, parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import stored_sender
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.node_service_pb2 import WatchEventsResponse
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody
from fedcoin.v1.views_pb2 import TaskView

MAX_ADDRESSES = 16
"""The largest number of addresses of one stream."""

BOOKMARK_BLOCKS = 100
"""Blocks at multiples of this height are always sent, so that a watcher whose addresses are quiet
knows a recent height from which to continue."""


class AddressFilter:
    """Leaves out what does not concern some addresses."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Read the addresses.

        Args:
            texts: Addresses in bech32m, in any case.

        Raises:
            RefusalError: MALFORMED when there are more than `MAX_ADDRESSES`; BAD_ADDRESS when one
                is not an address.
        """
        if len(texts) > MAX_ADDRESSES:
            raise RefusalError(
                NetworkCode.MALFORMED,
                f"addresses has {len(texts)} entries; at most {MAX_ADDRESSES} are allowed: open "
                "more streams, or watch all events",
                field="addresses",
                limit=str(MAX_ADDRESSES),
            )
        self.addresses = frozenset(parse_address(text) for text in texts)
        """The addresses, 20 bytes each; empty when nothing is to be left out."""
        self._texts = {format_address(address) for address in self.addresses}

    def apply(
        self, events: WatchEventsResponse, transactions: Sequence[bytes]
    ) -> WatchEventsResponse | None:
        """Reduce the events of a block to those of the addresses.

        Args:
            events: All events of the block.
            transactions: The block's serialised SignedTransactions, in order.

        Returns:
            The events to send; None when the block has none and is no bookmark.
        """
        hashes = events.block.transactions
        chosen = WatchEventsResponse(
            block=events.block,
            payments=[each for each in events.payments if each.address in self._texts],
            tasks=[task for task in events.tasks if not self._texts.isdisjoint(_members(task))],
            transactions=[
                hash
                for hash, raw in zip(hashes, transactions, strict=True)
                if not self.addresses.isdisjoint(_parties(raw))
            ],
        )
        has_events = chosen.payments or chosen.tasks or chosen.transactions
        return chosen if has_events or events.block.height % BOOKMARK_BLOCKS == 0 else None


def _members(task: TaskView) -> Iterator[str]:
    yield from (task.server, task.opener, *task.declined)
    yield from (client.address for client in task.clients)
    yield from (miner.address for miner in task.miners)


def _parties(raw: bytes) -> Iterator[bytes]:
    """List the sender of a stored transaction and the receivers of its transfer."""
    signed = SignedTransaction.FromString(raw)
    yield stored_sender(signed)
    body = TransactionBody.FromString(signed.body)
    yield from (output.recipient for output in body.transfer.outputs)
