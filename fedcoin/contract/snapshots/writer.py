"""Write the snapshot of a chain's latest state, in one pass and with little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from fedcoin.consensus.validator_messages import validators_to_messages
from fedcoin.contract.blocks.validator_history import ValidatorHistory, ValidatorSetChange
from fedcoin.contract.snapshots.verifier import CHUNK_BYTES, EMPTY_BUCKET, Entry
from fedcoin.contract.state.state_tree import NUM_BUCKETS, bucket_index, entry_hash
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.protocol import STATE_LAYOUT
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotWriter, replace_part
from fedcoin.data.storage.state_view import StateView
from fedcoin.v1.snapshot_pb2 import SnapshotChunk, SnapshotHead, SnapshotPart, ValidatorChange


def validator_change_message(store: ChainStore, change: ValidatorSetChange) -> ValidatorChange:
    """Make the message by which a snapshot or a light client proves a change of validators.

    Args:
        store: The node's chain.
        change: The block that changed the validator set, and the new set.

    Returns:
        The header after which the validators changed, its certificate, and the new validators.
    """
    return ValidatorChange(
        header=store.header_bytes(change.height) or b"",
        certificate=store.certificate(change.height) or b"",
        validators=validators_to_messages(change.validators),
    )


def write_snapshot(
    path: Path,
    state: StateView,
    store: ChainStore,
    genesis_hash: bytes,
    history: ValidatorHistory,
    pause: Callable[[], None] = lambda: None,
) -> int:
    """Write a snapshot to a new file.

    Args:
        path: The file to create.
        state: The state after a block; later blocks of the store are ignored.
        store: The node's chain.
        genesis_hash: SHA-256 of the genesis file, 32 bytes.
        history: The changes of validators on this chain.
        pause: Called after each part, so that a background task can give way.

    Returns:
        The size of the file in bytes.

    Raises:
        RefusalError: TOO_LARGE when an entry or the validator set does not fit in a part.
    """
    writer = SnapshotWriter(path)
    try:
        for change in history.changes(below=state.height + 1):
            writer.add(SnapshotPart(change=validator_change_message(store, change)))
            pause()
        head = SnapshotHead(
            header=store.header_bytes(state.height) or b"",
            certificate=store.certificate(state.height) or b"",
            # Known at the end. The head comes first in the file, so zeros hold its place.
            bucket_hashes=bytes(HASH_BYTES * NUM_BUCKETS),
            genesis_hash=genesis_hash,
            state_layout=STATE_LAYOUT,
        )
        head_position, cutter = writer.position, ChunkCutter()
        writer.add(SnapshotPart(head=head))
        for chunk in cutter.cut(state.sorted_entries(bucket_index)):
            writer.add(SnapshotPart(chunk=chunk))
            pause()
        size = writer.position
    finally:
        writer.close()
    head.bucket_hashes = b"".join(cutter.bucket_hashes)
    replace_part(path, head_position, SnapshotPart(head=head))
    return size


class ChunkCutter:
    """Cuts the entries of a state into chunks and hashes its buckets meanwhile.

    Attributes:
        bucket_hashes: The hashes of all buckets so far, 32 bytes each.
    """

    def __init__(self) -> None:
        """Start before the first bucket."""
        self.bucket_hashes: list[bytes] = []

    def cut(self, entries: Iterable[Entry]) -> Iterator[SnapshotChunk]:
        """Cut entries into chunks. Holds one bucket in memory, about 1/1,024 of the state.

        Args:
            entries: All entries of the state, by bucket and then by key.

        Yields:
            Chunks of at most `CHUNK_BYTES` of keys and values, unless one entry is longer.
        """
        chunk, size = SnapshotChunk(), 0
        for bucket, group in groupby(entries, lambda entry: bucket_index(entry[0])):
            members = list(group)
            hashes = [entry_hash(key, value) for key, value in members]
            self._add_empty_buckets(bucket)
            self.bucket_hashes.append(merkle.leaf_hash(b"".join(hashes)))
            for position, (key, value) in enumerate(members):
                entry_size = len(key) + len(value)
                if chunk.entries and size + entry_size > CHUNK_BYTES:
                    # A cut between two buckets needs no hashes on either side.
                    chunk.after = b"".join(hashes[position:]) if position else b""
                    yield chunk
                    chunk, size = SnapshotChunk(before=b"".join(hashes[:position])), 0
                chunk.entries.add(key=key, value=value)
                size += entry_size
        self._add_empty_buckets(NUM_BUCKETS)
        if chunk.entries:
            yield chunk

    def _add_empty_buckets(self, bucket: int) -> None:
        missing = bucket - len(self.bucket_hashes)
        self.bucket_hashes.extend([EMPTY_BUCKET] * missing)
