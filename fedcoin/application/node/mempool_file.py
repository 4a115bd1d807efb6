"""Keeps the waiting transactions in a file, so that they outlive the node's process.

A miner's opening that was lost with the process would cost its deposit, and a wallet that was told
that its transaction waits would wait for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from fedcoin.data.atomic_files import replace_file
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.plurals import format_count
from fedcoin.v1.transaction_relay_service_pb2 import RelayTransactionsRequest

log = logging.getLogger(__name__)

SAVE_SECONDS: Final = 5.0
"""The time between two looks at whether the file must be written again, in seconds."""


class WaitingTransactions(Protocol):
    """The part of the transaction intake that this module uses."""

    def pending(self) -> Sequence[Transaction]:
        """List all transactions that wait, in the order of their arrival."""
        ...

    def decode(self, raw: bytes) -> Transaction:
        """Decode and verify a signed transaction.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction, with its sender and action read.

        Raises:
            RefusalError: A code of `decode_transaction`, such as MALFORMED or BAD_SIGNATURE, when
                it is not valid.
        """
        ...

    def add_relayed(self, transaction: Transaction) -> bool:
        """Admit a transaction, or hold it while it is too early.

        Args:
            transaction: The decoded and verified transaction.

        Returns:
            True when it is new.

        Raises:
            RefusalError: A code of the ledger when it cannot be applied any more; TOO_MANY_PENDING
                or POOL_FULL when there is no room for it.
        """
        ...


class MempoolFile:
    """Writes the waiting transactions to a file, and admits them again after a restart.

    Args:
        path: The file: a serialised RelayTransactionsRequest. It need not exist.
        intake: Admits transactions.
    """

    def __init__(self, path: Path, intake: WaitingTransactions) -> None:
        self._path = path
        self._intake = intake
        self._saved: tuple[bytes, ...] = ()

    def load(self) -> int:
        """Admit the transactions of the file. Those that cannot be applied any more are left out.

        Returns:
            The number of transactions that wait now.
        """
        admitted = 0
        for raw in self._read():
            try:
                admitted += self._intake.add_relayed(self._intake.decode(raw))
            except RefusalError as refusal:
                log.info("a transaction of %s is left out: %s", self._path.name, refusal)
        if admitted:
            log.info("%s from before wait again", format_count(admitted, "transaction"))
        return admitted

    def save(self) -> None:
        """Write the file if other transactions wait than when it was written last."""
        pending = self._intake.pending()
        hashes = tuple(transaction.hash for transaction in pending)
        if hashes != self._saved:
            self._write([transaction.raw for transaction in pending])
            self._saved = hashes

    async def run(self) -> None:
        """Write the file every `SAVE_SECONDS`, when other transactions wait, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            pending = self._intake.pending()
            hashes = tuple(transaction.hash for transaction in pending)
            if hashes != self._saved:
                await asyncio.to_thread(self._write, [transaction.raw for transaction in pending])
                self._saved = hashes

    def _read(self) -> Sequence[bytes]:
        try:
            return RelayTransactionsRequest.FromString(self._path.read_bytes()).transactions
        except FileNotFoundError:
            return ()
        except (OSError, DecodeError) as fault:
            log.warning("%s cannot be read, and is ignored: %s", self._path, fault)
            return ()

    def _write(self, raws: Sequence[bytes]) -> None:
        replace_file(self._path, RelayTransactionsRequest(transactions=raws).SerializeToString())
