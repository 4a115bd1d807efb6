"""How much of its capacity a mempool uses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fedcoin.contract.pending.fee_ranking import FeeRanking
from fedcoin.contract.pending.reserved_steps import Step
from fedcoin.contract.pending.sender_queue import Entry


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """The capacity of the mempool."""

    # Transactions of all senders, without reserved steps of miners.
    transactions: int = 10_000
    # Bytes of these transactions, serialised.
    bytes: int = 32 << 20
    # Bytes of the reserved steps, beside which each miner has room for its share of as many bytes,
    # and for one step in any case. What is more competes with the other transactions.
    reserved_bytes: int = 32 << 20
    # Transactions of one sender.
    per_sender: int = 64
    # Transactions that are held because they are too early.
    held: int = 1_000
    # Blocks for which a transaction may be held.
    held_blocks: int = 16


class MempoolUsage:
    """Counts the waiting transactions against the limits."""

    def __init__(self, limits: MempoolLimits) -> None:
        """Start with an empty mempool.

        Args:
            limits: The numbers and bytes that the mempool may hold.
        """
        self.limits = limits
        self.num_bytes = 0
        """Bytes of all transactions, reserved steps included."""
        self.steps: set[Step] = set()
        """The reserved steps."""
        self.reserved_bytes = 0
        """Bytes of the reserved steps."""
        self._reserved_by: Counter[bytes] = Counter()
        self.ranking = FeeRanking()
        """The other transactions, by what they pay for each byte."""
        self.held: dict[bytes, Entry] = {}
        """By hash, what is too early and no reserved step."""
        self._count = 0

    def add(self, entry: Entry) -> None:
        """Count a transaction, its bytes and its reserved step.

        Args:
            entry: The transaction that was added to the mempool.
        """
        self._count += 1
        self.num_bytes += entry.num_bytes
        if entry.step is not None:
            self.steps.add(entry.step)
            self.reserved_bytes += entry.num_bytes
            self._reserved_by[entry.step.miner] += entry.num_bytes
        else:
            self.ranking.add(entry)
        self.note_early(entry)

    def remove(self, entry: Entry) -> None:
        """Subtract a transaction that has left the mempool.

        Args:
            entry: The transaction that was removed; it was added before.
        """
        self._count -= 1
        self.num_bytes -= entry.num_bytes
        if entry.step is not None:
            self.steps.remove(entry.step)
            self.reserved_bytes -= entry.num_bytes
            self._reserved_by[entry.step.miner] -= entry.num_bytes
            if not self._reserved_by[entry.step.miner]:
                del self._reserved_by[entry.step.miner]
        else:
            self.ranking.remove(entry)
        self.held.pop(entry.transaction.hash, None)

    def note_early(self, entry: Entry) -> None:
        """Follow a change of whether a transaction is too early.

        Args:
            entry: A counted transaction, whose `early` has been set or cleared.
        """
        if entry.early is not None and entry.step is None:
            self.held[entry.transaction.hash] = entry
        else:
            self.held.pop(entry.transaction.hash, None)

    def has_room(self, num_bytes: int, *, without: int = 0, without_bytes: int = 0) -> bool:
        """Tell whether one more transaction fits, other than a reserved step.

        Args:
            num_bytes: The size of the signed transaction, in bytes.
            without: How many transactions would be removed for it.
            without_bytes: The size of those that would be removed, in bytes.

        Returns:
            True when it fits.
        """
        count = self._count - len(self.steps) - without
        used = self.num_bytes - self.reserved_bytes - without_bytes
        return count < self.limits.transactions and used + num_bytes <= self.limits.bytes

    def has_reserved_room(self, miner: bytes, num_bytes: int, max_miners: int) -> bool:
        """Tell whether one more reserved step fits.

        Miners that answer in many tasks could fill all of the room, and the steps of others would
        have to pay as much as other transactions do. So each miner has a share of its own, and room
        for one step where that is larger.

        Args:
            miner: The miner's address, 20 bytes.
            num_bytes: The size of the signed transaction, in bytes.
            max_miners: The largest number of validators.

        Returns:
            True when all reserved steps then stay within `reserved_bytes`, or this miner's within
            as many bytes divided by the number of validators, or when this miner has no other one.
        """
        if self.reserved_bytes + num_bytes <= self.limits.reserved_bytes:
            return True
        if miner not in self._reserved_by:
            return True
        share = self.limits.reserved_bytes // max_miners
        return self._reserved_by[miner] + num_bytes <= share

    def is_full_of_held(self) -> bool:
        """Tell whether no further transaction fits that is too early."""
        return len(self.held) >= self.limits.held
