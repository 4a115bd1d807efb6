"""Which waiting transactions make room for one that pays more."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Final

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.mempool_usage import MempoolUsage
from fedcoin.contract.pending.refusals import full_of_held, pool_full
from fedcoin.contract.pending.sender_queue import Entry, SenderQueue, Suffix
from fedcoin.data.errors import RefusalError

_EXCESS_PERCENT: Final = 10
"""By how much a newcomer must pay more than what makes room for it, so that the network does not
carry transactions that replace each other for next to nothing."""

_MIN_COMPACTED: Final = 256


class EvictionOrder:
    """The senders in the order in which their last transactions make room.

    A heap with outdated items: an item is added for each sender whose queue has changed, and counts
    only while it is the sender's latest.
    """

    def __init__(self, queues: Mapping[bytes, SenderQueue]) -> None:
        """Order the queues of a mempool.

        Args:
            queues: The queues by sender, which the mempool changes.
        """
        self._queues = queues
        self._items: list[tuple[int, int, bytes]] = []
        self._latest: dict[bytes, int] = {}
        self._count = 0
        # Senders whose queues have changed since the order was last asked for, which is never while
        # the mempool has room.
        self._changed: dict[bytes, None] = {}

    def note_change(self, sender: bytes) -> None:
        """Follow a change of a sender's queue.

        Args:
            sender: The sender's address, 20 bytes.
        """
        self._latest.pop(sender, None)
        if sender in self._queues:
            self._changed[sender] = None
        else:
            self._changed.pop(sender, None)

    def cheapest(self) -> Suffix | None:
        """Find the transactions that make room first; None when no transaction may make room."""
        with closing(self.in_order()) as suffixes:
            return next(suffixes, None)

    def in_order(self) -> Generator[Suffix, None, None]:
        """Yield what may make room, the cheapest first: at most one suffix of each sender.

        The queues must not change until it is closed.
        """
        self._rank_changed()
        taken = []
        try:
            while self._items:
                item = heapq.heappop(self._items)
                if not self._is_latest(item):
                    continue
                taken.append(item)
                suffix = self._queues[item[2]].cheapest_suffix()
                assert suffix is not None, "an item of a queue that cannot make room"
                yield suffix
        finally:
            for item in taken:
                heapq.heappush(self._items, item)

    def _rank_changed(self) -> None:
        for sender in self._changed:
            suffix = self._queues[sender].cheapest_suffix()
            if suffix is not None:
                self._count += 1
                self._latest[sender] = self._count
                heapq.heappush(self._items, (suffix.fee_rate, self._count, sender))
        self._changed.clear()
        if len(self._items) > _MIN_COMPACTED + 2 * len(self._latest):
            self._items = [item for item in self._items if self._is_latest(item)]
            heapq.heapify(self._items)

    def _is_latest(self, item: tuple[int, int, bytes]) -> bool:
        return self._latest.get(item[2]) == item[1]


def min_fee_rate_above(suffix: Suffix) -> int:
    """Compute what a newcomer must pay so that some transactions make room for it.

    Args:
        suffix: The transactions of one sender that would make room.

    Returns:
        Sap for each KiB.
    """
    return suffix.fee_rate * (100 + _EXCESS_PERCENT) // 100 + 1


def choose_evicted(
    new: Entry, replaced: Entry | None, usage: MempoolUsage, order: EvictionOrder
) -> list[Entry]:
    """Choose the transactions that make room for a new one.

    Args:
        new: The new transaction.
        replaced: The transaction of the same sender and nonce that it replaces, if any.
        usage: The mempool's usage, without the new transaction.
        order: The order in which waiting transactions make room.

    Returns:
        The transactions to remove, `replaced` apart; none for a reserved step.

    Raises:
        RefusalError: POOL_FULL when the new transaction pays less for each KiB than
            `min_fee_rate_above` of one that would make room.
    """
    evicted: list[Entry] = []
    if new.step is not None or usage.has_room(new.num_bytes):
        return evicted
    is_freed = replaced is not None and replaced.step is None
    num_freed, bytes_freed = (1, replaced.num_bytes) if replaced and is_freed else (0, 0)
    # Closed at once: a refusal's traceback would keep the iterator, and the order, halfway.
    with closing(order.in_order()) as suffixes:
        while not usage.has_room(new.num_bytes, without=num_freed, without_bytes=bytes_freed):
            suffix = next(suffixes, None)
            if suffix is None:
                raise pool_full(new.transaction, new.fee_rate + 1)
            # The new transaction would be of no use without its sender's earlier ones.
            is_own = suffix.entries[0].transaction.sender == new.transaction.sender
            if is_own or new.fee_rate < min_fee_rate_above(suffix):
                raise pool_full(new.transaction, min_fee_rate_above(suffix))
            evicted.extend(suffix.entries)
            num_freed += len(suffix.entries)
            bytes_freed += sum(entry.num_bytes for entry in suffix.entries)
    return evicted


def choose_evicted_held(
    new: Entry, refusal: RefusalError, usage: MempoolUsage, ledger: Ledger
) -> list[Entry]:
    """Choose the transaction that makes room for one that is too early, and rank the latter.

    Args:
        new: The transaction that is too early.
        refusal: Why it cannot be applied yet.
        usage: The mempool's usage, without the new transaction.
        ledger: The ledger after the latest block.

    Returns:
        The transaction to remove, if one must be removed.

    Raises:
        RefusalError: POOL_FULL when as many are held as may be, and none has a lower rank.
    """
    new.held_rank = _compute_held_rank(new, ledger)
    if new.step is not None or not usage.is_full_of_held():
        return []
    lowest = min(usage.held.values(), key=lambda held: held.held_rank)
    if new.held_rank <= lowest.held_rank:
        raise full_of_held(len(usage.held), refusal)
    return [lowest]


def _compute_held_rank(entry: Entry, ledger: Ledger) -> tuple[bool, bool, int]:
    """Rank a transaction that is too early: those of validators are kept before all others.

    A fee counts only where the sender has the coins: a sender without coins can offer any fee.
    """
    sender, fee = entry.transaction.sender, entry.transaction.body.fee
    is_validator = ledger.validators().by_address(sender) is not None
    return is_validator, ledger.account(sender).balance >= fee, entry.fee_rate
