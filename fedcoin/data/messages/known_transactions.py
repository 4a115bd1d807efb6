"""The transactions that a node has decoded and verified lately, so that it does neither twice.

They are found by their signed bytes: those that wait in the mempool, those of other blocks of the
next height, and those of the last final block, which peers may still send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transaction_decoder import TransactionDecoder
from fedcoin.data.messages.transactions import Transaction


class KnownTransactions:
    """Finds transactions by their signed bytes, and decodes those that are not found.

    Args:
        identity: The network that transactions must be signed for.
        max_bytes: The largest size of a transaction, in bytes.
        max_remembered: The largest size of all transactions that are remembered until the next
            block is final, in bytes.
    """

    def __init__(self, identity: ChainIdentity, max_bytes: int, max_remembered: int) -> None:
        self._decoder = TransactionDecoder(identity, max_bytes, max_remembered)
        self._find_pending: Callable[[bytes], Transaction | None] = lambda raw: None
        # By signed bytes: the transactions of the last final block.
        self._last: dict[bytes, Transaction] = {}

    def use_mempool(self, find: Callable[[bytes], Transaction | None]) -> None:
        """Look for transactions in the mempool, too.

        Args:
            find: Returns the waiting transaction with the given signed bytes, or None. It is
                called from any thread.
        """
        self._find_pending = find

    def find(self, raw: bytes) -> Transaction | None:
        """Look for a transaction that was decoded and verified lately. For any thread.

        Args:
            raw: A serialised SignedTransaction, signature included.

        Returns:
            The transaction with exactly these bytes if it waits in the mempool, is in the last
            final block, or was decoded since then; else None.
        """
        return self._find_pending(raw) or self._decoder.find(raw) or self._last.get(raw)

    def find_or_decode(self, raw: bytes) -> Transaction:
        """Decode and verify a transaction, unless that was done lately. For any thread.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction that is known, or a new one.

        Raises:
            RefusalError: A code of `decode_transaction`, when it is not one of this network.
        """
        return self.find(raw) or self._decoder.decode(raw)

    def keep_final(self, transactions: Iterable[Transaction]) -> None:
        """Remember the transactions of the block that became final, in place of all others.

        Args:
            transactions: Its transactions; those in the mempool need not be among them.
        """
        self._last = {one.raw: one for one in transactions}
        self._decoder.forget()
