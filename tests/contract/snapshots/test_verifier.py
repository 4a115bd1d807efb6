"""The verifier refuses damaged and forged snapshots, each with its own code."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.snapshots.verifier import SnapshotVerifier
from fedcoin.contract.state.state_tree import bucket_index
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.v1.snapshot_pb2 import SnapshotPart, StateEntry
from tests.support.genesis import FDC, make_genesis
from tests.support.keys import ALICE, MINERS
from tests.support.ledger_snapshots import file_of
from tests.support.small_snapshots import (
    GENESIS,
    GENESIS_STATE,
    ChainSnapshot,
    cut_state,
    head_index,
    refusal_of,
)


def test_any_changed_byte_is_detected(made: ChainSnapshot, tmp_path: Path) -> None:
    raw = bytearray(made.path.read_bytes())
    chance, wrong = random.Random(3), tmp_path / "wrong"
    for _ in range(120):
        place = chance.randrange(len(raw))
        before = raw[place]
        raw[place] ^= chance.randrange(1, 256)
        wrong.write_bytes(raw)
        refusal_of(wrong, made.chain.genesis)
        raw[place] = before


def test_a_file_that_was_cut_short(made: ChainSnapshot, tmp_path: Path) -> None:
    raw, chance = made.path.read_bytes(), random.Random(4)
    wrong = tmp_path / "wrong"
    for length in (0, 5, 20, *(chance.randrange(len(raw)) for _ in range(30)), len(raw) - 1):
        wrong.write_bytes(raw[:length])
        refusal = refusal_of(wrong, made.chain.genesis)
        assert refusal.code is DataCode.BAD_SNAPSHOT
        assert str(wrong) in refusal.message
    wrong.write_bytes(b"something else that is long enough")
    assert refusal_of(wrong, made.chain.genesis).code is DataCode.BAD_SNAPSHOT
    wrong.write_bytes(raw + b"\0\0\0\1x")
    assert refusal_of(wrong, made.chain.genesis).code is DataCode.BAD_SNAPSHOT


Change = Callable[[SnapshotPart, ChainSnapshot], object]
Forge = Callable[[ChainSnapshot], list[SnapshotPart]]


def in_part(index: Callable[[list[SnapshotPart]], int], change: Change) -> Forge:
    """Copy a snapshot and change the part at this index."""

    def forge(made: ChainSnapshot) -> list[SnapshotPart]:
        copies = [SnapshotPart.FromString(part.SerializeToString()) for part in made.parts]
        change(copies[index(copies)], made)
        return copies

    return forge


def in_history(change: Change) -> Forge:
    """Change the first of the validator changes, which come before the head."""
    return in_part(lambda given: 0, change)


def in_head(change: Change) -> Forge:
    return in_part(head_index, change)


def in_first_chunk(change: Change) -> Forge:
    return in_part(lambda given: head_index(given) + 1, change)


def in_second_chunk(change: Change) -> Forge:
    return in_part(lambda given: head_index(given) + 2, change)


def rearranged(arrange: Callable[[list[SnapshotPart], int], list[SnapshotPart]]) -> Forge:
    """Reorder a snapshot's parts; `arrange` takes the parts and the head's index."""
    return lambda made: arrange(made.parts, head_index(made.parts))


def change_value(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.chunk.entries[0].value += b"x"


def drop_entry(part: SnapshotPart, made: ChainSnapshot) -> None:
    del part.chunk.entries[0]


def drop_entries(part: SnapshotPart, made: ChainSnapshot) -> None:
    del part.chunk.entries[:]


def add_entry(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.chunk.entries.add(key=b"zz/more", value=b"x")


def add_long_key(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.chunk.entries.insert(0, StateEntry(key=bytes(70_000)))


def add_hashes_before(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.chunk.before = bytes(32)


def clear_layout(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.head.ClearField("state_layout")


def replace_bucket_hash(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.head.bucket_hashes = bytes(32) + part.head.bucket_hashes[32:]


def drop_bucket_hash(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.head.bucket_hashes = part.head.bucket_hashes[32:]


def use_earlier_header(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.head.header = made.store.header_bytes(made.chain.height - 1) or b""


def drop_signatures(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.head.certificate = part.head.certificate[: len(part.head.certificate) // 5]


def raise_bond(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.change.validators[0].power += 1


def clear_bond(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.change.validators[0].power = 0


def repeat_validator(part: SnapshotPart, made: ChainSnapshot) -> None:
    part.change.validators.append(part.change.validators[0])


@dataclass(frozen=True)
class Forgery:
    """A snapshot that a dishonest peer may send, and the code that it is refused with."""

    name: str
    code: Enum
    forge: Forge


FORGERIES = [
    Forgery("another value", LedgerCode.WRONG_CHUNK, in_second_chunk(change_value)),
    Forgery("an entry is missing", LedgerCode.WRONG_CHUNK, in_second_chunk(drop_entry)),
    Forgery("an entry too many", LedgerCode.WRONG_CHUNK, in_second_chunk(add_entry)),
    Forgery("hashes before the first", LedgerCode.WRONG_CHUNK, in_first_chunk(add_hashes_before)),
    Forgery("an empty chunk", LedgerCode.WRONG_CHUNK, in_first_chunk(drop_entries)),
    Forgery("a key that is too long", LedgerCode.WRONG_CHUNK, in_first_chunk(add_long_key)),
    Forgery("a state of an earlier layout", DataCode.OTHER_LAYOUT, in_head(clear_layout)),
    Forgery("another bucket", LedgerCode.WRONG_APP_HASH, in_head(replace_bucket_hash)),
    Forgery("too few buckets", DataCode.MALFORMED, in_head(drop_bucket_hash)),
    Forgery("another block's header", ConsensusCode.BAD_CERTIFICATE, in_head(use_earlier_header)),
    Forgery("too few signatures", ConsensusCode.BAD_CERTIFICATE, in_head(drop_signatures)),
    Forgery("another bond", LedgerCode.WRONG_VALIDATORS_HASH, in_history(raise_bond)),
    Forgery("no bond", DataCode.MALFORMED, in_history(clear_bond)),
    Forgery("a validator twice", DataCode.MALFORMED, in_history(repeat_validator)),
    Forgery("the last chunk is left out", DataCode.BAD_SNAPSHOT,
            rearranged(lambda given, head: given[:-1])),
    Forgery("the last chunk comes twice", LedgerCode.WRONG_CHUNK,
            rearranged(lambda given, head: [*given, given[-1]])),
    Forgery("a change is left out", ConsensusCode.BAD_CERTIFICATE,
            rearranged(lambda given, head: given[1:])),
    Forgery("the last change is left out", LedgerCode.WRONG_VALIDATORS_HASH,
            rearranged(lambda given, head: [given[0], *given[2:]])),
    Forgery("a change comes twice", DataCode.MALFORMED,
            rearranged(lambda given, head: [given[0], *given])),
    Forgery("a chunk before the head", DataCode.MALFORMED,
            rearranged(lambda given, head: [given[-1], *given])),
    Forgery("a change after the head", DataCode.MALFORMED,
            rearranged(lambda given, head: [*given[: head + 1], given[0]])),
    Forgery("two heads", DataCode.MALFORMED,
            rearranged(lambda given, head: [*given[: head + 1], *given[head:]])),
    Forgery("a part of no kind", DataCode.BAD_SNAPSHOT,
            rearranged(lambda given, head: [SnapshotPart(), *given])),
    Forgery("no head", DataCode.BAD_SNAPSHOT, rearranged(lambda given, head: given[:head])),
]  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_forged_snapshots_are_refused(
    made: ChainSnapshot, tmp_path: Path, forgery: Forgery
) -> None:
    path = file_of(tmp_path / "wrong", forgery.forge(made))
    assert refusal_of(path, made.chain.genesis).code is forgery.code


def test_a_refused_part_changes_nothing(made: ChainSnapshot) -> None:
    found = SnapshotVerifier(made.chain.genesis)
    for part in made.parts:
        wrong = SnapshotPart.FromString(part.SerializeToString())
        if wrong.HasField("chunk"):
            wrong.chunk.entries[-1].value += b"x"
        elif wrong.HasField("head"):
            wrong.head.certificate += b"x"
        else:
            wrong.change.certificate += b"x"
        with pytest.raises(RefusalError):
            found.add_part(wrong)
        found.add_part(part)
    assert found.finish().height == made.chain.height


def test_chunks_are_cut_in_one_way(made: ChainSnapshot, tmp_path: Path) -> None:
    """Otherwise a liar could cut a large bucket into one chunk for each entry."""
    head = head_index(made.parts)
    chunk = next(p.chunk for p in made.parts[head + 1 :] if len(p.chunk.entries) > 1)
    place = next(i for i, p in enumerate(made.parts) if p.HasField("chunk") and p.chunk == chunk)
    split = next(
        i
        for i in range(1, len(chunk.entries))
        if bucket_index(chunk.entries[i].key) != bucket_index(chunk.entries[i - 1].key)
    )
    one, two = SnapshotPart(chunk=chunk), SnapshotPart(chunk=chunk)
    del one.chunk.entries[split:]
    del two.chunk.entries[:split]
    one.chunk.after, two.chunk.before = b"", b""
    contents = [*made.parts[:place], one, two, *made.parts[place + 1 :]]
    refusal = refusal_of(file_of(tmp_path / "wrong", contents), made.chain.genesis)
    assert refusal.code is LedgerCode.WRONG_CHUNK
    assert "cut" in refusal.message


def test_a_snapshot_of_another_network(made: ChainSnapshot) -> None:
    other = make_genesis({MINERS[0]: 10 * FDC}, {ALICE: FDC})
    assert refusal_of(made.path, other).code is ConsensusCode.BAD_CERTIFICATE


def test_a_snapshot_of_a_network_with_the_same_validators(made: ChainSnapshot) -> None:
    other = parse_genesis(made.chain.genesis.raw + b"\n")
    assert refusal_of(made.path, other).code is ConsensusCode.BAD_CERTIFICATE


def test_coins_out_of_nothing(tmp_path: Path) -> None:
    """The supply is checked even if all validators signed."""
    rich = next(k for k in GENESIS_STATE if k.startswith(b"account/"))
    state = {**GENESIS_STATE, b"account/" + bytes(20): GENESIS_STATE[rich]}
    refusal = refusal_of(file_of(tmp_path / "wrong", cut_state(state)), GENESIS)
    assert refusal.code is LedgerCode.WRONG_SUPPLY


def test_an_entry_that_no_ledger_writes(tmp_path: Path) -> None:
    for entry in ({b"no prefix": b""}, {b"account/x": b"\xff"}):
        path = file_of(tmp_path / "wrong", cut_state({**GENESIS_STATE, **entry}))
        assert refusal_of(path, GENESIS).code is LedgerCode.WRONG_CHUNK
