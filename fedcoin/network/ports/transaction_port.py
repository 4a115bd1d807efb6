"""Transactions that wait for a block: how the network hands them in and looks them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fedcoin.data.errors import RefusalError
    from fedcoin.data.messages.transactions import Transaction


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What transactions must pay at present, and how many wait."""

    mempool: int
    """To be admitted to the mempool: sap for each KiB; 0 while it has room."""
    next_block: int
    """To be in the next block: sap for each KiB; 0 while it has room for all that wait."""
    pending_bytes: int
    """Bytes of all transactions that wait."""


class TransactionPort(Protocol):
    """Transactions that wait for a block.

    Bytes that arrive are decoded once, by `decode`; from there on the `Transaction` is passed.
    """

    async def decode_all(self, raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        """Decode and verify signed transactions, unless the node has them already.

        Args:
            raws: Serialised SignedTransactions. Hash and signature are over exactly these bytes.

        Returns:
            For each the transaction, the one that the node holds when it holds one with these
            bytes; or a refusal: TOO_LARGE when it has too many bytes, MALFORMED when it is not
            canonical, UNKNOWN_ACTION when it does not hold exactly one known action, WRONG_CHAIN
            when it names another chain, BAD_SIGNATURE when the key has not signed it for this
            network.
        """
        ...

    async def submit_all(self, transactions: Sequence[Transaction]) -> list[RefusalError | None]:
        """Admit transactions of this node's own users in their order, and wait for their audits.

        Nothing happens for one that waits already or is final.

        Args:
            transactions: The decoded and verified transactions.

        Returns:
            For each its refusal, or None: REPLACEMENT_UNDERPRICED when it pays too little to
            replace one with its nonce; TOO_MANY_PENDING when too many of its sender wait; POOL_FULL
            when it pays less than what would make room; a code of the ledger when it cannot be
            applied now, also when it is only too early; the code of the audit when artifacts or
            evidence do not pass it.
        """
        ...

    def add_relayed(self, transaction: Transaction) -> bool:
        """Admit a transaction that a peer relayed.

        One that is only too early, because the peer is a block ahead, is held for some blocks.

        Args:
            transaction: The decoded and verified transaction.

        Returns:
            True when it is new and in the mempool now; False when it waits already or is final.

        Raises:
            RefusalError: REPLACEMENT_UNDERPRICED when it pays too little to replace one with its
                nonce; TOO_MANY_PENDING when too many of its sender wait; POOL_FULL when it pays
                less than what would make room; a code of the ledger when it can never be applied.
        """
        ...

    def find(self, raw: bytes) -> Transaction | None:
        """Look a waiting transaction up by its signed bytes.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction with exactly these bytes; None when it does not wait here.
        """
        ...

    def get(self, hash: bytes) -> Transaction | None:
        """Look a waiting transaction up by its hash.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The transaction; None when it does not wait here.
        """
        ...

    def find_in_last_block(self, hash: bytes) -> tuple[int, int] | None:
        """Look a transaction up in the block that became final last, without a read from disk.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The block's height and the transaction's index in it, from 0; None when the transaction
            is not in that block.
        """
        ...

    def pending(self) -> Sequence[Transaction]:
        """List all transactions that wait.

        Returns:
            The transactions in the order of their arrival.
        """
        ...

    def fee_rates(self) -> FeeRates:
        """Report what transactions must pay at present.

        Returns:
            The fees for the mempool and for the next block, in sap for each KiB.
        """
        ...

    def dropped_reason(self, hash: bytes) -> str | None:
        """Say why a transaction that waited lately can no longer become final.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The reason, a sentence; None when nothing is known of it.
        """
        ...

    def pending_nonce(self, address: bytes) -> int:
        """Compute the nonce of an address' next transaction.

        Args:
            address: The address, 20 bytes.

        Returns:
            The nonce, counting the transactions that wait.
        """
        ...
