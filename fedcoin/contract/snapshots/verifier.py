"""Verify a snapshot part by part, starting from nothing but genesis.

The parts come in this order. The changes of validators lead to the validators that certified the
head's block. The head holds the hashes of all buckets of the state, which are the leaves under that
block's app_hash. Each chunk holds entries that must hash to its buckets. So a wrong part is
detected when it arrives, and the parts before it stay valid, whichever peer sent them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from fedcoin.consensus.validator_messages import encode_validators, validators_from_messages
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.state_tree import NUM_BUCKETS, bucket_index, entry_hash
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.protocol import STATE_LAYOUT
from fedcoin.data.storage.block_index import SnapshotTask
from fedcoin.data.storage.snapshot_files import read_parts, snapshot_error
from fedcoin.data.storage.trusted_headers import SnapshotBase, TrustedHeader
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.snapshot_pb2 import SnapshotChunk, SnapshotHead, SnapshotPart, ValidatorChange

CHUNK_BYTES: Final = 524_288
"""The largest size of a chunk's keys and values together, in bytes; one entry may be larger."""

EMPTY_BUCKET: Final = merkle.leaf_hash(b"")
"""The hash of a bucket without entries."""

_MAX_KEY_BYTES: Final = 0xFFFF

Entry = tuple[bytes, bytes]
"""A key and a value of the state."""


@dataclass(slots=True)
class _EntrySummary:
    """Coins, campaigns and tasks of the entries so far, for the database."""

    coins: int = 0
    campaigns: list[bytes] = field(default_factory=list)
    opened_heights: dict[bytes, int] = field(default_factory=dict)
    campaign_ids: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, key: bytes, value: bytes) -> None:
        """Add an entry; raise ValueError or DecodeError when no ledger writes such an entry."""
        self.coins += records.count_entry_coins(key, value)
        for table in (records.CAMPAIGNS, records.TASKS, records.TERMS):
            if not key.startswith(table.prefix):
                continue
            id = key[len(table.prefix) :]
            if table is records.CAMPAIGNS:
                self.campaigns.append(id)
            elif table is records.TASKS:
                self.opened_heights[id] = records.TASKS.record_type.FromString(value).opened_height
            else:
                self.campaign_ids[id] = records.TERMS.record_type.FromString(value).campaign_id

    def tasks(self) -> tuple[SnapshotTask, ...]:
        """List all tasks with the campaigns that they belong to."""
        return tuple(
            SnapshotTask(height, id, self.campaign_ids[id])
            for id, height in self.opened_heights.items()
            if id in self.campaign_ids
        )


@dataclass(frozen=True, slots=True)
class _Position:
    """The progress of the state's transfer."""

    bucket: int = 0
    """All buckets below this one are complete."""
    entries: int = 0
    """The number of entries of this bucket that have arrived."""


class SnapshotVerifier:
    """Verifies the parts of one snapshot, in order. A refused part changes nothing.

    Attributes:
        num_entries: The number of entries that have arrived.
        num_chunks: The number of chunks that have arrived.
    """

    def __init__(self, genesis: Genesis) -> None:
        """Start a verification.

        Args:
            genesis: The network's genesis.
        """
        self._genesis = genesis
        self._trust = TrustPath(genesis)
        self._changes: list[TrustedHeader] = []
        self._head: SnapshotHead | None = None
        self._header = BlockHeader()
        self._bucket_hashes: list[bytes] = []
        # The number of buckets up to the last one that is not empty.
        self._num_buckets = 0
        self._position = _Position()
        # How many bytes of entries the last chunk had room for. The next entry must be larger.
        self._room = -1
        self._summary = _EntrySummary()
        self.num_entries = 0
        self.num_chunks = 0

    @property
    def header(self) -> BlockHeader | None:
        """The header of the block that the state follows; None before the head has arrived."""
        return None if self._head is None else self._header

    @property
    def head(self) -> SnapshotHead | None:
        """The head; None before it has arrived."""
        return self._head

    @property
    def num_changes(self) -> int:
        """The number of changes of validators that have arrived."""
        return len(self._changes)

    @property
    def is_complete(self) -> bool:
        """Whether the whole state has arrived, by the certified bucket hashes."""
        return self._head is not None and self._position.bucket >= self._num_buckets

    def add_part(self, part: SnapshotPart) -> Sequence[Entry]:
        """Verify the next part.

        Args:
            part: The decoded part, from a file or a peer.

        Returns:
            The entries that it contains.

        Raises:
            RefusalError: MALFORMED when the part is malformed or out of order; WRONG_CHAIN,
                BAD_CERTIFICATE or WRONG_VALIDATORS_HASH when a change of validators or the head is
                not certified by the validators before it; WRONG_APP_HASH for a head whose bucket
                hashes do not lead to the app_hash; WRONG_CHUNK for a chunk whose entries do not
                hash to its buckets.
        """
        kind = part.WhichOneof("kind")
        number = self.num_chunks + 1 if kind == "chunk" else len(self._changes)
        try:
            if (kind == "chunk") == (self._head is None) or kind is None:
                raise _malformed("the part is out of order")
            if kind == "chunk":
                return self._add_chunk(part.chunk)
            if kind == "head":
                self._add_head(part.head)
            else:
                self._add_change(part.change)
            return ()
        except RefusalError as refusal:
            name = kind or "part"
            raise refusal.prefixed(f"{name} {number}", parent=name) from None

    def finish(self) -> SnapshotBase:
        """Verify that the snapshot is complete and holds all coins.

        Returns:
            The headers, campaigns and tasks that the database needs beside the state.

        Raises:
            RefusalError: MALFORMED when a part is missing, WRONG_SUPPLY when the state does not
                hold as many coins as genesis created.
        """
        head = self._head
        if head is None or not self.is_complete:
            raise _malformed(f"the snapshot ends after {self.num_chunks} chunks; more are missing")
        if self._summary.coins != self._genesis.supply:
            raise RefusalError(
                LedgerCode.WRONG_SUPPLY,
                f"the state holds {self._summary.coins} sap; genesis created "
                f"{self._genesis.supply}",
                field="entries",
                limit=str(self._genesis.supply),
            )
        return SnapshotBase(
            self._trusted_headers(head), tuple(self._summary.campaigns), self._summary.tasks()
        )

    def _add_change(self, change: ValidatorChange) -> None:
        validators = validators_from_messages(change.validators)
        header = self._trust.follow(change.header, change.certificate, validators)
        next_validators = encode_validators(validators)
        self._changes.append(
            TrustedHeader(header.height, change.header, change.certificate, next_validators)
        )

    def _add_head(self, head: SnapshotHead) -> None:
        if head.genesis_hash != self._genesis.hash:
            # The hash is not certified. This only explains a file of another network.
            raise RefusalError(
                DataCode.WRONG_CHAIN,
                f"the snapshot is of the network with genesis {head.genesis_hash.hex()}; this is "
                f"{self._genesis.hash.hex()}",
                field="genesis_hash",
                limit=self._genesis.hash.hex(),
            )
        if head.state_layout != STATE_LAYOUT:
            raise RefusalError(
                DataCode.OTHER_LAYOUT,
                f"the snapshot holds a state of layout {head.state_layout or 1}; this program "
                f"reads layout {STATE_LAYOUT}: take one that this version of the program made",
                field="state_layout",
                limit=str(STATE_LAYOUT),
            )
        header = self._trust.check_certified(head.header, head.certificate)
        if header.height + 1 < self._trust.next_height:
            raise _malformed("the head is below a change of validators that came before it")
        self._trust.check_next(header)
        check_length(head.bucket_hashes, HASH_BYTES * NUM_BUCKETS, "bucket_hashes")
        starts = range(0, len(head.bucket_hashes), HASH_BYTES)
        hashes = [head.bucket_hashes[i : i + HASH_BYTES] for i in starts]
        if merkle.root_from_hashes(hashes) != header.app_hash:
            raise RefusalError(
                LedgerCode.WRONG_APP_HASH,
                "bucket_hashes: they do not lead to the app_hash in the header",
                field="bucket_hashes",
                limit=header.app_hash.hex(),
            )
        self._head, self._header, self._bucket_hashes = head, header, hashes
        filled = [index for index, hash in enumerate(hashes) if hash != EMPTY_BUCKET]
        self._num_buckets = max(filled, default=-1) + 1

    def _add_chunk(self, chunk: SnapshotChunk) -> list[Entry]:
        entries = [(entry.key, entry.value) for entry in chunk.entries]
        sizes = [len(key) + len(value) for key, value in entries]
        if not entries or any(len(key) > _MAX_KEY_BYTES for key, _ in entries):
            raise _wrong_chunk("it has no entries, or a key that is too long")
        # Only one way to cut is allowed, so that all nodes' chunks are equal, and few.
        if sizes[0] <= self._room or (sum(sizes) > CHUNK_BYTES and len(sizes) > 1):
            raise _wrong_chunk("it is not cut at the right entry")
        position = self._verify_entries(chunk, entries)
        try:
            for key, value in entries:
                self._summary.add(key, value)
        except (ValueError, DecodeError):
            raise _wrong_chunk("it holds an entry that no ledger writes") from None
        self._position, self._room = position, CHUNK_BYTES - sum(sizes)
        self.num_entries += len(entries)
        self.num_chunks += 1
        return entries

    def _verify_entries(self, chunk: SnapshotChunk, entries: list[Entry]) -> _Position:
        """Verify a chunk's entries against the bucket hashes; return the position behind it."""
        position = self._position
        groups = [(index, list(group)) for index, group in groupby(entries, _bucket_index)]
        for number, (index, group) in enumerate(groups):
            is_first, is_last = number == 0, number == len(groups) - 1
            before = chunk.before if is_first else b""
            if index < position.bucket or (position.entries and index != position.bucket):
                raise _wrong_chunk(f"bucket {index} comes where {position.bucket} should continue")
            if len(before) != HASH_BYTES * position.entries:
                raise _wrong_chunk(f"bucket {index} does not continue where the last chunk ended")
            if any(hash != EMPTY_BUCKET for hash in self._bucket_hashes[position.bucket : index]):
                raise _wrong_chunk(f"a bucket below {index} is missing")
            arrived = before + b"".join(entry_hash(key, value) for key, value in group)
            content = arrived + (chunk.after if is_last else b"")
            if merkle.leaf_hash(content) != self._bucket_hashes[index]:
                raise _wrong_chunk(f"bucket {index} is not the one that app_hash commits to")
            if len(content) == len(arrived):
                position = _Position(index + 1)
            else:
                position = _Position(index, len(arrived) // HASH_BYTES)
        return position

    def _trusted_headers(self, head: SnapshotHead) -> tuple[TrustedHeader, ...]:
        if self._changes and self._changes[-1].height == self._header.height:
            return tuple(self._changes)
        last = TrustedHeader(self._header.height, head.header, head.certificate, b"")
        return (*self._changes, last)


def read_verified_entries(
    path: Path, verifier: SnapshotVerifier, on_part: Callable[[], None] = lambda: None
) -> Iterator[Sequence[Entry]]:
    """Read and verify the entries of a snapshot file.

    Args:
        path: The snapshot file.
        verifier: A new verifier.
        on_part: Called after each part, for a progress display.

    Yields:
        The entries of each part.

    Raises:
        RefusalError: BAD_SNAPSHOT when the file is damaged; a code of `SnapshotVerifier.add_part`
            when a part is not valid. The file's name comes before the message.
    """
    for part in read_parts(path):
        try:
            entries = verifier.add_part(part)
        except RefusalError as refusal:
            raise refusal.prefixed(str(path)) from None
        on_part()
        yield entries
    if not verifier.is_complete:
        raise snapshot_error(path, f"is cut short: it ends after {verifier.num_chunks} chunks")


def _bucket_index(entry: Entry) -> int:
    return bucket_index(entry[0])


def _malformed(fault: str) -> RefusalError:
    return RefusalError(DataCode.MALFORMED, fault, field="")


def _wrong_chunk(fault: str) -> RefusalError:
    return RefusalError(LedgerCode.WRONG_CHUNK, fault, field="")
