"""The waiting transactions of one sender, by nonce."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fedcoin.contract.blocks.ledger import Ledger, PendingState
from fedcoin.contract.pending.reserved_steps import Step
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction

_KIB: Final = 1024

MAX_BYTES_BEFORE_STEP: Final = 64 * _KIB
"""How many bytes of other transactions may come before a reserved step of the same sender."""


def compute_fee_rate(fee: int, num_bytes: int) -> int:
    """Compute the fee for each KiB of a block that transactions pay.

    Args:
        fee: The fee in sap.
        num_bytes: The bytes of the signed transactions that pay it.

    Returns:
        Sap for each KiB, rounded down.
    """
    return fee * _KIB // num_bytes


@dataclass(slots=True, eq=False)
class Entry:
    """One waiting transaction."""

    transaction: Transaction
    """The decoded and verified transaction."""
    early: RefusalError | None
    """Why it cannot be applied yet; None when it can."""
    held_since: int
    """The height of the latest block when it became too early."""
    step: Step | None = None
    """The reserved step of a miner that it is, if any."""
    arrival: int = 0
    """Its number in the order of arrival."""
    cost: int | None = None
    """What it takes from its sender's balance at most, in sap, if it is known that only its
    sender's own acts, and its expiry, can keep it from being applied; None if not."""
    held_rank: tuple[bool, bool, int] = (False, False, 0)
    """While it is too early: it makes room for what has a higher rank."""
    reported: bytes | None = field(init=False)
    """The address of the validator that a report of conflicting votes names, 20 bytes. None for
    other transactions."""
    num_bytes: int = field(init=False)
    """The bytes of the signed transaction."""
    fee_rate: int = field(init=False)
    """Its fee in sap for each KiB."""

    @property
    def depends_on_sender_alone(self) -> bool:
        """Whether only its sender's own acts, and its expiry, can keep it from being applied.

        It is a transfer that could be applied, so it need not be checked after each block.
        """
        return self.early is None and self.cost is not None

    def __post_init__(self) -> None:
        """Compute what the mempool asks for again and again."""
        self.num_bytes = len(self.transaction.raw)
        self.fee_rate = compute_fee_rate(self.transaction.body.fee, self.num_bytes)
        self.reported = _find_reported(self.transaction)


def _find_reported(transaction: Transaction) -> bytes | None:
    """Find the owner of the bond that a report would burn."""
    body = transaction.body
    if not body.HasField("report_equivocation"):
        return None
    return derive_address(body.report_equivocation.first.public_key)


@dataclass(frozen=True, slots=True)
class Suffix:
    """The last transactions of a sender, from one nonce on. Only as a whole can they make room."""

    fee_rate: int
    """What they pay together, in sap for each KiB."""
    entries: tuple[Entry, ...]
    """In the order of their nonces."""


@dataclass(slots=True)
class SenderQueue:
    """One sender's transactions by nonce."""

    entries: dict[int, Entry] = field(default_factory=dict)
    """The entries by nonce."""
    state: PendingState | None = None
    """The state after those that can be applied; None when it has to be computed anew."""

    def in_order(self) -> list[Entry]:
        """List the transactions by nonce."""
        return [self.entries[nonce] for nonce in sorted(self.entries)]

    def candidates(self) -> Iterator[Entry]:
        """Yield the transactions that can be applied, by nonce."""
        for entry in self.in_order():
            if entry.early is not None:
                return
            yield entry

    def state_before(self, nonce: int, ledger: Ledger, height: int, time_ms: int) -> PendingState:
        """Give the state that a new transaction meets, behind those with lower nonces.

        Args:
            nonce: The new transaction's nonce.
            ledger: The ledger after the latest block.
            height: The height of the latest block.
            time_ms: The time that the next block may have, Unix ms.

        Returns:
            The state; for the highest nonce the queue's own, if no block has come since.
        """
        is_last = nonce > max(self.entries, default=-1)
        if is_last and self.state is not None and self.state.follows(ledger, height):
            return self.state
        state = PendingState(ledger, height)
        for entry in self.in_order():
            if entry.transaction.body.nonce < nonce:
                state.apply(entry.transaction, time_ms)
        return state

    def num_protected(self) -> int:
        """Count the first transactions, by nonce, that never make room for others.

        Those are the reserved steps and what comes before them, up to `MAX_BYTES_BEFORE_STEP`.
        """
        protected = other_bytes = 0
        for index, entry in enumerate(self.in_order()):
            if entry.step is None:
                other_bytes += entry.num_bytes
            elif other_bytes <= MAX_BYTES_BEFORE_STEP:
                protected = index + 1
        return protected

    def cheapest_suffix(self) -> Suffix | None:
        """Find the last transactions that pay the least for each KiB together.

        A transaction that pays much does not keep cheap ones before it, and cannot stay without
        them, so that both are weighed together.

        Returns:
            The transactions and their fee rate; None when all are among the `num_protected` first
            ones.
        """
        ordered = self.in_order()
        cheapest: tuple[int, int] | None = None
        fee = num_bytes = 0
        for start in range(len(ordered) - 1, self.num_protected() - 1, -1):
            fee += ordered[start].transaction.body.fee
            num_bytes += ordered[start].num_bytes
            rate = compute_fee_rate(fee, num_bytes)
            if cheapest is None or rate <= cheapest[0]:
                cheapest = rate, start
        return None if cheapest is None else Suffix(cheapest[0], tuple(ordered[cheapest[1] :]))


class Dropped(NamedTuple):
    """A transaction that the mempool removed because it can no longer be applied."""

    transaction: Transaction
    """The removed transaction."""
    # The error of the rule that it breaks, or that it was held for too long.
    reason: RefusalError
