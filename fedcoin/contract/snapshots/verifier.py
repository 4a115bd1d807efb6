"""Checking a snapshot part by part, with nothing but the genesis to begin with.

The changes of validators lead to those who certified the head's block. The head's bucket hashes
are the leaves under that block's app_hash, and each chunk must fill the buckets that it is of with
entries that hash to these. So a part that is wrong is found as it arrives, and what was taken
before it stays good, whoever it came from.
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
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.block_index import SnapshotTask
from fedcoin.data.storage.snapshot_files import read_parts, snapshot_error
from fedcoin.data.storage.trusted_headers import SnapshotBase, TrustedHeader
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.snapshot_pb2 import SnapshotChunk, SnapshotHead, SnapshotPart, ValidatorChange

CHUNK_BYTES: Final = 524_288
"""Keys and values of a chunk together, at most; a single entry may have more."""

EMPTY_BUCKET: Final = merkle.leaf_hash(b"")

_HASH: Final = 32
_MAX_KEY: Final = 0xFFFF

Entry = tuple[bytes, bytes]


@dataclass(slots=True)
class _Noted:
    """What the entries tell of the past, and their coins."""

    coins: int = 0
    campaigns: list[bytes] = field(default_factory=list)
    opened: dict[bytes, int] = field(default_factory=dict)
    campaign_of: dict[bytes, bytes] = field(default_factory=dict)

    def entry(self, key: bytes, value: bytes) -> None:
        """Note one entry. ValueError or DecodeError when no ledger wrote it."""
        self.coins += records.count_entry_coins(key, value)
        for table in (records.CAMPAIGNS, records.TASKS, records.TERMS):
            if not key.startswith(table.prefix):
                continue
            id = key[len(table.prefix) :]
            if table is records.CAMPAIGNS:
                self.campaigns.append(id)
            elif table is records.TASKS:
                self.opened[id] = records.TASKS.record_type.FromString(value).opened_height
            else:
                self.campaign_of[id] = records.TERMS.record_type.FromString(value).campaign_id

    def tasks(self) -> tuple[SnapshotTask, ...]:
        """Every task, and the campaign that it is of."""
        return tuple(
            SnapshotTask(height, id, self.campaign_of[id])
            for id, height in self.opened.items()
            if id in self.campaign_of
        )


@dataclass(frozen=True, slots=True)
class _Position:
    """Up to where the state is there: all buckets below one, and so many entries of it."""

    bucket: int = 0
    entries: int = 0


class SnapshotVerifier:
    """Takes the parts of one snapshot, in order. A part that is refused changes nothing."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._trust = TrustPath(genesis)
        self._past: list[TrustedHeader] = []
        self._head: SnapshotHead | None = None
        self._header = BlockHeader()
        self._leaves: list[bytes] = []
        self._end = 0
        self._at = _Position()
        self._room = -1
        self._noted = _Noted()
        self.entries = 0
        """How many have come."""
        self.chunks = 0
        """Likewise."""

    @property
    def header(self) -> BlockHeader | None:
        """The block that the state is after, once it is known."""
        return None if self._head is None else self._header

    @property
    def head(self) -> SnapshotHead | None:
        """What the head says, once it has come."""
        return self._head

    @property
    def changes(self) -> int:
        """How often the validators changed on the way from genesis, as far as was told."""
        return len(self._past)

    @property
    def complete(self) -> bool:
        """Has all of the state come? The bucket hashes tell, which are certified."""
        return self._head is not None and self._at.bucket >= self._end

    def take(self, part: SnapshotPart) -> Sequence[Entry]:
        """Take the next part, and return the entries that it brings.

        Raises Refusal: MALFORMED, also for a part that is out of order; what `TrustPath` raises
        for a change or the head; WRONG_APP_HASH for a head whose buckets are others; WRONG_CHUNK.
        """
        kind = part.WhichOneof("kind")
        number = self.chunks + 1 if kind == "chunk" else len(self._past)
        try:
            if (kind == "chunk") == (self._head is None) or kind is None:
                raise _malformed("it does not belong here")
            if kind == "chunk":
                return self._chunk(part.chunk)
            if kind == "head":
                self._take_head(part.head)
            else:
                self._change(part.change)
            return ()
        except RefusalError as refusal:
            name = kind or "part"
            raise refusal.prefixed(f"{name} {number}", parent=name) from None

    def finish(self) -> SnapshotBase:
        """What the state stands on, now that all of it has come.

        Raises Refusal: MALFORMED when something is missing, WRONG_SUPPLY when the coins in it
        are not those that genesis made.
        """
        head = self._head
        if head is None or not self.complete:
            raise _malformed(
                f"the snapshot ends after {self.chunks} chunks, which is not all of it"
            )
        if self._noted.coins != self._genesis.supply:
            raise RefusalError(
                LedgerCode.WRONG_SUPPLY,
                f"there are {self._noted.coins} sap; genesis made {self._genesis.supply}",
                field="entries",
                limit=str(self._genesis.supply),
            )
        return SnapshotBase(
            self._past_headers(head), tuple(self._noted.campaigns), self._noted.tasks()
        )

    def _change(self, change: ValidatorChange) -> None:
        validators = validators_from_messages(change.validators)
        header = self._trust.follow(change.header, change.certificate, validators)
        next_validators = encode_validators(validators)
        self._past.append(
            TrustedHeader(header.height, change.header, change.certificate, next_validators)
        )

    def _take_head(self, head: SnapshotHead) -> None:
        if head.genesis_hash != self._genesis.hash:
            # Nothing certified says so: it is for who takes the wrong file by mistake.
            raise RefusalError(
                DataCode.WRONG_CHAIN,
                f"it is of the network with genesis {head.genesis_hash.hex()}, not of "
                f"{self._genesis.hash.hex()}",
                field="genesis_hash",
                limit=self._genesis.hash.hex(),
            )
        header = self._trust.check_certified(head.header, head.certificate)
        if header.height + 1 < self._trust.next_height:
            raise _malformed("it is below a change that came before it")
        self._trust.check_next(header)
        leaves = head.bucket_hashes
        if len(leaves) != _HASH * NUM_BUCKETS:
            raise _malformed(f"bucket_hashes has {len(leaves)} bytes, not {_HASH * NUM_BUCKETS}")
        hashes = [leaves[i : i + _HASH] for i in range(0, len(leaves), _HASH)]
        if merkle.root_from_hashes(hashes) != header.app_hash:
            raise RefusalError(
                LedgerCode.WRONG_APP_HASH,
                "bucket_hashes: they do not lead to the app_hash that the header has",
                field="bucket_hashes",
                limit=header.app_hash.hex(),
            )
        self._head, self._header, self._leaves = head, header, hashes
        self._end = max((i + 1 for i, leaf in enumerate(hashes) if leaf != EMPTY_BUCKET), default=0)

    def _chunk(self, chunk: SnapshotChunk) -> list[Entry]:
        entries = [(entry.key, entry.value) for entry in chunk.entries]
        sizes = [len(key) + len(value) for key, value in entries]
        if not entries or any(len(key) > _MAX_KEY for key, _ in entries):
            raise _wrong_chunk("it has no entries, or a key that is too long")
        # Cut in one way only: then everybody's chunks are the same, and their number is bounded.
        if sizes[0] <= self._room or (sum(sizes) > CHUNK_BYTES and len(sizes) > 1):
            raise _wrong_chunk("it is not cut where it should be")
        at = self._filled(chunk, entries)
        try:
            for key, value in entries:
                self._noted.entry(key, value)
        except (ValueError, DecodeError):
            raise _wrong_chunk("it holds an entry that no ledger writes") from None
        self._at, self._room = at, CHUNK_BYTES - sum(sizes)
        self.entries += len(entries)
        self.chunks += 1
        return entries

    def _filled(self, chunk: SnapshotChunk, entries: list[Entry]) -> _Position:
        """Where the state stands after a chunk. Raises WRONG_CHUNK unless all of it is right."""
        at = self._at
        groups = [(index, list(group)) for index, group in groupby(entries, _bucket)]
        for number, (index, group) in enumerate(groups):
            first, last = number == 0, number == len(groups) - 1
            before = chunk.before if first else b""
            if index < at.bucket or (at.entries and index != at.bucket):
                raise _wrong_chunk(f"bucket {index} stands where {at.bucket} should go on")
            if len(before) != _HASH * at.entries:
                raise _wrong_chunk(f"bucket {index} does not go on where the chunk before ended")
            if any(leaf != EMPTY_BUCKET for leaf in self._leaves[at.bucket : index]):
                raise _wrong_chunk(f"a bucket below {index} is left out")
            known = before + b"".join(entry_hash(key, value) for key, value in group)
            content = known + (chunk.after if last else b"")
            if merkle.leaf_hash(content) != self._leaves[index]:
                raise _wrong_chunk(f"bucket {index} is not what app_hash commits to")
            whole = len(content) == len(known)
            at = _Position(index + 1) if whole else _Position(index, len(known) // _HASH)
        return at

    def _past_headers(self, head: SnapshotHead) -> tuple[TrustedHeader, ...]:
        if self._past and self._past[-1].height == self._header.height:
            return tuple(self._past)
        last = TrustedHeader(self._header.height, head.header, head.certificate, b"")
        return (*self._past, last)


def read_verified_entries(
    path: Path, check: SnapshotVerifier, on_part: Callable[[], None] = lambda: None
) -> Iterator[Sequence[Entry]]:
    """The entries of a file, checked, a part at a time.

    Raises Refusal: BAD_SNAPSHOT for a file that is damaged, and what `SnapshotCheck` raises, with
    the file's name.
    """
    for part in read_parts(path):
        try:
            entries = check.take(part)
        except RefusalError as refusal:
            raise refusal.prefixed(str(path)) from None
        on_part()
        yield entries
    if not check.complete:
        raise snapshot_error(path, f"is cut short: it ends after {check.chunks} chunks")


def _bucket(entry: Entry) -> int:
    return bucket_index(entry[0])


def _malformed(why: str) -> RefusalError:
    return RefusalError(DataCode.MALFORMED, why, field="")


def _wrong_chunk(why: str) -> RefusalError:
    return RefusalError(LedgerCode.WRONG_CHUNK, why, field="")
