"""Decodes each transaction once, also when several threads get it at the same moment.

A transaction comes from a peer while the block that holds it is checked in another thread. Whoever
is first decodes it, and the other waits for the result, which takes a tenth of a millisecond.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from copy import copy

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import Transaction, decode_transaction


class TransactionDecoder:
    """Decodes transactions of one network, and remembers the last ones. For all threads.

    Args:
        identity: The network that transactions must be signed for.
        max_bytes: The largest size of a transaction, in bytes.
        max_remembered: The largest size of all transactions that are remembered, in bytes; the
            oldest one is forgotten first.
    """

    def __init__(self, identity: ChainIdentity, max_bytes: int, max_remembered: int) -> None:
        self._identity = identity
        self._max_bytes = max_bytes
        self._max_remembered = max_remembered
        self._lock = threading.Lock()
        # In the order in which they came.
        self._results: dict[bytes, Future[Transaction]] = {}
        self._bytes = 0

    @property
    def num_bytes(self) -> int:
        """The size of the transactions that are remembered, in bytes."""
        return self._bytes

    def find(self, raw: bytes) -> Transaction | None:
        """Look for a transaction that is remembered.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction with exactly these bytes; None when it is not remembered, or is being
            decoded.
        """
        result = self._results.get(raw)
        if result is None or not result.done() or result.exception() is not None:
            return None
        return result.result()

    def forget(self) -> None:
        """Forget all transactions. Those that are being decoded still come to who asked."""
        with self._lock:
            self._results = {}
            self._bytes = 0

    def decode(self, raw: bytes) -> Transaction:
        """Decode and verify a transaction, unless it was the last time it was asked for.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction.

        Raises:
            RefusalError: A code of `decode_transaction`, such as MALFORMED or BAD_SIGNATURE, when
                it is not a valid transaction of the network. It is not remembered.
        """
        mine: Future[Transaction] = Future()
        with self._lock:
            result = self._results.setdefault(raw, mine)
            if result is mine:
                self._bytes += len(raw)
                self._forget_oldest()
        if result is mine:
            self._run(raw, mine)
        try:
            return result.result()
        except RefusalError as refusal:
            # A copy: an exception that several threads raise would collect their tracebacks.
            raise copy(refusal) from None

    def _run(self, raw: bytes, mine: Future[Transaction]) -> None:
        try:
            mine.set_result(decode_transaction(raw, self._identity, self._max_bytes))
        except BaseException as failure:
            mine.set_exception(failure)
            with self._lock:
                if self._results.get(raw) is mine:
                    self._remove(raw)

    def _forget_oldest(self) -> None:
        while self._bytes > self._max_remembered and len(self._results) > 1:
            self._remove(next(iter(self._results)))

    def _remove(self, raw: bytes) -> None:
        del self._results[raw]
        self._bytes -= len(raw)
