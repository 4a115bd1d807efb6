"""Writing the snapshot of a chain's latest state: in one pass, with little memory."""

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
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotWriter, replace_part
from fedcoin.data.storage.state_view import StateView
from fedcoin.v1.snapshot_pb2 import SnapshotChunk, SnapshotHead, SnapshotPart, ValidatorChange


def validator_change_message(store: ChainStore, change: ValidatorSetChange) -> ValidatorChange:
    """A change of validators, with what proves it."""
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
    """Write the snapshot of a pinned state to a new file; returns its size in bytes.

    The store may have grown since. ``pause`` is called after each part. Raises Refusal TOO_LARGE
    for a state that cannot be cut into parts.
    """
    writer = SnapshotWriter(path)
    try:
        for change in history.changes(below=state.height + 1):
            writer.add(SnapshotPart(change=validator_change_message(store, change)))
            pause()
        head = SnapshotHead(
            header=store.header_bytes(state.height) or b"",
            certificate=store.certificate(state.height) or b"",
            # Known at the end: the file is read from the front, so room is left for it here.
            bucket_hashes=bytes(HASH_BYTES * NUM_BUCKETS),
            genesis_hash=genesis_hash,
        )
        place, cutter = writer.position, ChunkCutter()
        writer.add(SnapshotPart(head=head))
        for chunk in cutter.cut(state.sorted_entries(bucket_index)):
            writer.add(SnapshotPart(chunk=chunk))
            pause()
        size = writer.position
    finally:
        writer.close()
    head.bucket_hashes = b"".join(cutter.bucket_hashes)
    replace_part(path, place, SnapshotPart(head=head))
    return size


class ChunkCutter:
    """Cuts the entries of a state into chunks, and hashes its buckets on the way."""

    def __init__(self) -> None:
        self.bucket_hashes: list[bytes] = []

    def cut(self, entries: Iterable[Entry]) -> Iterator[SnapshotChunk]:
        """The chunks of all entries, which come by bucket and then by key.

        A bucket is held in memory at a time: a thousandth of the state.
        """
        chunk, size = SnapshotChunk(), 0
        for bucket, group in groupby(entries, lambda entry: bucket_index(entry[0])):
            members = list(group)
            hashes = [entry_hash(key, value) for key, value in members]
            self._hash_up_to(bucket)
            self.bucket_hashes.append(merkle.leaf_hash(b"".join(hashes)))
            for place, (key, value) in enumerate(members):
                more = len(key) + len(value)
                if chunk.entries and size + more > CHUNK_BYTES:
                    # A cut between two buckets leaves no hashes on either side.
                    chunk.after = b"".join(hashes[place:]) if place else b""
                    yield chunk
                    chunk, size = SnapshotChunk(before=b"".join(hashes[:place])), 0
                chunk.entries.add(key=key, value=value)
                size += more
        self._hash_up_to(NUM_BUCKETS)
        if chunk.entries:
            yield chunk

    def _hash_up_to(self, bucket: int) -> None:
        missing = bucket - len(self.bucket_hashes)
        self.bucket_hashes.extend([EMPTY_BUCKET] * missing)
