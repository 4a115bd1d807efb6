"""Reads of final blocks: the part of `ChainStore` that reads the chain.

Below the snapshot that a chain started from, headers and certificates come from the table
`trusted_headers`; there are no blocks and receipts.
"""

from __future__ import annotations

from typing import Final

from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.data.storage.database import Database
from fedcoin.data.storage.trusted_headers import TrustedHeader
from fedcoin.v1.block_pb2 import BlockHeader

_MAX_HEIGHT: Final = 2**63 - 1
"""The largest integer of SQLite."""


class BlockReader:
    """Reads blocks, headers, certificates and receipts; usable from several threads.

    Reads see committed data only. A height may be any integer, as requests from other nodes
    contain any.
    """

    def __init__(self, database: Database) -> None:
        """Read from a database.

        Args:
            database: The open database.
        """
        self._database = database

    def trusted_headers(self) -> list[TrustedHeader]:
        """List the headers that are kept from below the snapshot, in order of height."""
        rows = self._database.rows(
            "SELECT height, header, certificate, next_validators FROM trusted_headers"
            " ORDER BY height"
        )
        return [TrustedHeader(*row) for row in rows]

    def block(self, height: int) -> StoredBlock | None:
        """Read a block.

        Args:
            height: The block's height.

        Returns:
            The block and its certificate, or None when it is not stored.
        """
        row = self._at_height("SELECT block, certificate FROM blocks WHERE height = ?", height)
        return None if row is None else StoredBlock(row[0], row[1])

    def header_bytes(self, height: int) -> bytes | None:
        """Read the header of a block, or one of the trusted headers.

        Args:
            height: The block's height.

        Returns:
            The serialised BlockHeader, whose SHA-256 is the block's hash; None when neither is
            stored.
        """
        row = self._header_and_certificate(height)
        return None if row is None else bytes(row[0])

    def header(self, height: int) -> BlockHeader | None:
        """Read the header of a block, or one of the trusted headers.

        Args:
            height: The block's height.

        Returns:
            The header, or None when neither is stored.
        """
        raw = self.header_bytes(height)
        return None if raw is None else BlockHeader.FromString(raw)

    def certificate(self, height: int) -> bytes | None:
        """Read the certificate that made a block final, also that of a trusted header.

        Args:
            height: The block's height.

        Returns:
            The serialised Certificate, or None when neither is stored.
        """
        row = self._header_and_certificate(height)
        return None if row is None else bytes(row[1])

    def block_height(self, hash: bytes) -> int | None:
        """Find a block, or a trusted header, by its hash.

        Args:
            hash: The block's hash, 32 bytes.

        Returns:
            The height, or None when neither is stored.
        """
        row = self._database.row(
            "SELECT height FROM blocks WHERE hash = ?"
            " UNION ALL SELECT height FROM trusted_headers WHERE hash = ?",
            (hash, hash),
        )
        return None if row is None else int(row[0])

    def list_hashes_between(self, lowest: bytes, highest: bytes, limit: int) -> list[bytes]:
        """List the hashes of blocks and trusted headers in a range, the lowest first.

        Args:
            lowest: 32 bytes.
            highest: 32 bytes.
            limit: The largest number of hashes.

        Returns:
            The hashes, 32 bytes each.
        """
        rows = self._database.rows(
            "SELECT hash FROM blocks WHERE hash BETWEEN ? AND ?"
            " UNION SELECT hash FROM trusted_headers WHERE hash BETWEEN ? AND ?"
            " ORDER BY hash LIMIT ?",
            (lowest, highest, lowest, highest, limit),
        )
        return [bytes(row[0]) for row in rows]

    def receipts(self, height: int) -> tuple[bytes, ...]:
        """Read the receipts of a block.

        Args:
            height: The block's height.

        Returns:
            The serialised receipts, in order; empty when the block is not stored.
        """
        if not 0 < height <= _MAX_HEIGHT:
            return ()
        rows = self._database.rows(
            "SELECT receipt FROM receipts WHERE height = ? ORDER BY position", (height,)
        )
        return tuple(row[0] for row in rows)

    def _header_and_certificate(self, height: int) -> tuple[bytes, ...] | None:
        return self._at_height(
            "SELECT header, certificate FROM blocks WHERE height = ?", height
        ) or self._at_height(
            "SELECT header, certificate FROM trusted_headers WHERE height = ?", height
        )

    def _at_height(self, statement: str, height: int) -> tuple[bytes, ...] | None:
        # The database decides what is stored, not the store's tip: the index shows a block as soon
        # as it is committed.
        if not 0 < height <= _MAX_HEIGHT:
            return None
        return self._database.row(statement, (height,))
