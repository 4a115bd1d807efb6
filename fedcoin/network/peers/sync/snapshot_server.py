"""Read this node's snapshots for peers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder, read_raw_parts
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_gossip_service_pb2 import SnapshotInfo

log = logging.getLogger(__name__)

MAX_LISTED = 16
"""The largest number of snapshots in one list."""

MAX_STREAMS = 4
"""The number of snapshots that are sent at once, to all peers together."""


class SnapshotServer:
    """Lists this node's snapshots and reads their parts, for peers that ask for them.

    Args:
        store: This node's chain.
        folder: The folder of the snapshots; None when this node keeps none.
    """

    def __init__(self, store: ChainStore, folder: SnapshotFolder | None) -> None:
        self._store = store
        self.folder = folder
        self._streams = 0

    def infos(self) -> list[SnapshotInfo]:
        """List the latest snapshots of blocks on the chain. Reads the disk."""
        found: list[SnapshotInfo] = []
        if self.folder is None:
            return found
        for height in self.folder.heights()[:MAX_LISTED]:
            header, path = self._store.header_bytes(height), self.folder.path(height)
            if header is not None and path.exists():
                size = path.stat().st_size
                found.append(SnapshotInfo(height=height, block_hash=sha256(header), bytes=size))
        return found

    async def parts(self, height: int, first_chunk: int) -> AsyncIterator[bytes]:
        """Read a snapshot.

        Args:
            height: The snapshot's height.
            first_chunk: The first chunk that is wanted; 0 starts with changes and head.

        Yields:
            Serialised `SnapshotPart` messages.

        Raises:
            RefusalError: SNAPSHOT_NOT_FOUND when there is none of this height; NO_ROOM when
                `MAX_STREAMS` are being sent; OUT_OF_RANGE when there is no such chunk.
        """
        if self._streams >= MAX_STREAMS:
            raise RefusalError(
                NetworkCode.NO_ROOM,
                f"{MAX_STREAMS} snapshots are being sent; ask another node, or try again later",
                limit=str(MAX_STREAMS),
            )
        self._streams += 1
        try:
            async for part in self._read(height, first_chunk):
                yield part
        finally:
            self._streams -= 1

    async def _read(self, height: int, first_chunk: int) -> AsyncIterator[bytes]:
        if self.folder is None or height not in self.folder.heights():
            raise _missing(height)
        parts = read_raw_parts(self.folder.path(height), first_chunk)
        empty = True
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                empty = False
                yield part
        except FileNotFoundError:
            raise _missing(height) from None
        except RefusalError as refusal:
            if refusal.code is not DataCode.BAD_SNAPSHOT:
                raise
            log.warning("cannot read a snapshot: %s", refusal)
            raise _missing(height) from None
        if empty:
            raise RefusalError(
                NetworkCode.OUT_OF_RANGE,
                f"first_chunk: the snapshot of height {height} has no chunk {first_chunk}",
                field="first_chunk",
            )


def _missing(height: int) -> RefusalError:
    return RefusalError(
        NetworkCode.SNAPSHOT_NOT_FOUND,
        f"height: there is no snapshot of height {height} here",
        field="height",
    )
