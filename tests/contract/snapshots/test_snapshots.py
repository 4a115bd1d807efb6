"""Snapshots: what is whole restores to the same state, and what is not is refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validator_history import ValidatorHistory
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.snapshots import verifier, writer
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.contract.snapshots.writer import ChunkCutter
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.state_tree import StateTree, bucket_index
from fedcoin.contract.state.validators import genesis_validators
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.genesis import Genesis, parse_genesis
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.trusted_headers import SnapshotBase
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.snapshot_pb2 import SnapshotHead, SnapshotPart
from tests.support.genesis import CHAIN_ID, FDC, make_genesis
from tests.support.keys import ALICE, MINERS
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_chain import LedgerChain
from tests.support.ledger_snapshots import chain_in, file_of, parts, snapshot_of

GENESIS = make_genesis({MINERS[0]: 10 * FDC}, {ALICE: FDC})
FIRST = {k: v for k, v in genesis_changes(GENESIS).items() if v is not None}


@dataclass(frozen=True)
class Made:
    chain: LedgerChain
    store: ChainStore
    path: Path
    parts: list[SnapshotPart] = field(repr=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A chain with two changes of validators and an open task, and its snapshot in small chunks."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch)
        chain = chain_in(folder)
        job = LedgerCampaign(chain)
        job.open_campaign()
        job.open_task()
        assert chain.store is not None
        path = snapshot_of(chain.store, chain.genesis, folder / "x.snapshot")
        yield Made(chain, chain.store, path, parts(path))
        chain.store.close()


def small_chunks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifier, "CHUNK_BYTES", 400)
    patch.setattr(writer, "CHUNK_BYTES", 400)


def check(path: Path, genesis: Genesis) -> tuple[dict[bytes, bytes], SnapshotBase]:
    found = SnapshotVerifier(genesis)
    entries = {key: value for batch in read_verified_entries(path, found) for key, value in batch}
    return entries, found.finish()


def refusal_of(path: Path, genesis: Genesis) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        check(path, genesis)
    assert caught.value.message
    return caught.value


# Whole ones -----------------------------------------------------------------------------------


def head_for(state: dict[bytes, bytes], cutter: ChunkCutter) -> SnapshotHead:
    """The head of a made-up block after which this is the state, certified by its validator."""
    header = BlockHeader(
        chain_id=CHAIN_ID,
        height=7,
        parent_hash=bytes(32),
        last_certificate_hash=bytes(32),
        transactions_root=bytes(32),
        receipts_root=bytes(32),
        app_hash=StateTree.load(state.items()).root,
        next_validators_hash=genesis_validators(GENESIS).hash(),
        proposer=bytes(20),
    )
    raw = canonical.encode(header)
    vote = sign_vote(PRECOMMIT, 7, 0, sha256(raw), MINERS[0], CHAIN_ID)
    return SnapshotHead(
        header=raw,
        certificate=make_certificate([vote]),
        bucket_hashes=b"".join(cutter.bucket_hashes),
        genesis_hash=GENESIS.hash,
    )


def in_order(state: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return sorted(state.items(), key=lambda entry: (bucket_index(entry[0]), entry[0]))


def taken(contents: list[SnapshotPart]) -> list[tuple[bytes, bytes]]:
    found = SnapshotVerifier(GENESIS)
    entries = [entry for part in contents for entry in found.add_part(part)]
    assert found.finish().height == 7
    return entries


def cut(state: dict[bytes, bytes]) -> list[SnapshotPart]:
    cutter = ChunkCutter()
    chunks = [SnapshotPart(chunk=chunk) for chunk in cutter.cut(in_order(state))]
    return [SnapshotPart(head=head_for(state, cutter)), *chunks]


# Keys that fall into one of two buckets, so that some buckets are cut in several places.
CROWDED = [k for n in range(60_000) if bucket_index(k := b"zz/%d" % n) in (0, 700)][:60]

states = st.dictionaries(
    st.sampled_from(CROWDED) | st.binary(max_size=12).map(lambda tail: b"zz/" + tail),
    st.binary(max_size=60) | st.integers(300, 900).map(bytes),
    max_size=60,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(extra=states, seed=st.integers(0, 2**32))
def test_any_state_comes_back(extra: dict[bytes, bytes], seed: int) -> None:
    """Every entry, once; and no part can be left out, sent twice, or swapped with another."""
    state = {**FIRST, **extra}
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch)
        given = cut(state)
        assert taken(given) == in_order(state)
        chance = random.Random(seed)
        place = chance.randrange(len(given))
        for wrong in (
            given[:place] + given[place + 1 :],
            [*given[: place + 1], *given[place:]],
            chance.sample(given, len(given)) if len(given) > 1 else [],
        ):
            if wrong == given:
                continue
            with pytest.raises(RefusalError):
                taken(wrong)


def test_restored_it_is_the_same_chain(made: Made, tmp_path: Path) -> None:
    assert len(made.parts) > 8
    found = SnapshotVerifier(made.chain.genesis)
    with ChainStore.open(tmp_path / "chain.sqlite", made.chain.genesis) as store:
        store.initialise(genesis_changes(made.chain.genesis))
        store.restore(read_verified_entries(made.path, found), found.finish)
        ledger = Ledger(store, made.chain.genesis)
        assert ledger.app_hash == made.chain.ledger.app_hash
        assert ledger.validators() == made.chain.ledger.validators()
        assert ledger.last_validators() == made.chain.ledger.last_validators()
        assert (store.base_height(), store.height()) == (made.chain.height, made.chain.height)
        assert store.tip_hash() == made.chain.hash
        changes = ValidatorHistory(store, made.chain.genesis).changes(1_000)
        assert changes == ValidatorHistory(made.store, made.chain.genesis).changes(1_000)
        assert [change.height for change in changes] == [4, 8]
        # Its own snapshot is the one that it came from, byte for byte.
        again = snapshot_of(store, made.chain.genesis, tmp_path / "again")
        assert again.read_bytes() == made.path.read_bytes()


def test_a_snapshot_is_of_the_moment_when_it_was_pinned(tmp_path: Path) -> None:
    chain = chain_in(tmp_path, blocks=3)
    assert chain.store is not None
    with chain.store.open_state_view() as state:
        app_hash = chain.ledger.app_hash
        chain.produce()
        path = tmp_path / "x"
        history = ValidatorHistory(chain.store, chain.genesis)
        writer.write_snapshot(path, state, chain.store, chain.genesis.hash, history)
    entries, base = check(path, chain.genesis)
    assert base.height == 3
    assert StateTree.load(entries.items()).root == app_hash
    chain.store.close()


def test_old_campaigns_and_tasks_are_told(made: Made) -> None:
    _, base = check(made.path, made.chain.genesis)
    assert len(base.campaigns) == len(base.tasks) == 1
    assert base.tasks[0].campaign_id == base.campaigns[0]
    assert base.tasks[0].opened_height == made.chain.height


# Others ---------------------------------------------------------------------------------------


def test_any_change_of_a_byte_is_found(made: Made, tmp_path: Path) -> None:
    raw = bytearray(made.path.read_bytes())
    chance, wrong = random.Random(3), tmp_path / "wrong"
    for _ in range(120):
        place = chance.randrange(len(raw))
        before = raw[place]
        raw[place] ^= chance.randrange(1, 256)
        wrong.write_bytes(raw)
        refusal_of(wrong, made.chain.genesis)
        raw[place] = before


def test_a_file_that_was_cut_short(made: Made, tmp_path: Path) -> None:
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


def wrong_parts(made: Made) -> Iterator[tuple[str, Enum, list[SnapshotPart]]]:
    """What a liar may send instead, and the code that it is refused with."""
    given = made.parts
    head = next(i for i, part in enumerate(given) if part.HasField("head"))

    def changed(place: int) -> tuple[list[SnapshotPart], SnapshotPart]:
        copies = [SnapshotPart.FromString(part.SerializeToString()) for part in given]
        return copies, copies[place]

    wrong, part = changed(head + 2)
    part.chunk.entries[0].value += b"x"
    yield "another value", LedgerCode.WRONG_CHUNK, wrong
    wrong, part = changed(head + 2)
    del part.chunk.entries[0]
    yield "an entry is missing", LedgerCode.WRONG_CHUNK, wrong
    wrong, part = changed(head + 2)
    part.chunk.entries.add(key=b"zz/more", value=b"x")
    yield "an entry too many", LedgerCode.WRONG_CHUNK, wrong
    wrong, part = changed(head + 1)
    part.chunk.before = bytes(32)
    yield "hashes before the first", LedgerCode.WRONG_CHUNK, wrong
    wrong, part = changed(head + 1)
    del part.chunk.entries[:]
    yield "an empty chunk", LedgerCode.WRONG_CHUNK, wrong
    wrong, part = changed(head + 1)
    part.chunk.entries.insert(0, part.chunk.entries[0].__class__(key=bytes(70_000)))
    yield "a key that is too long", LedgerCode.WRONG_CHUNK, wrong
    wrong, part = changed(head)
    part.head.bucket_hashes = bytes(32) + part.head.bucket_hashes[32:]
    yield "another bucket", LedgerCode.WRONG_APP_HASH, wrong
    wrong, part = changed(head)
    part.head.bucket_hashes = part.head.bucket_hashes[32:]
    yield "too few buckets", DataCode.MALFORMED, wrong
    yield "the last chunk is left out", DataCode.BAD_SNAPSHOT, given[:-1]
    yield "the last chunk comes twice", LedgerCode.WRONG_CHUNK, [*given, given[-1]]
    wrong, part = changed(head)
    part.head.header = made.store.header_bytes(made.chain.height - 1) or b""
    yield "another block's header", ConsensusCode.BAD_CERTIFICATE, wrong
    wrong, part = changed(head)
    part.head.certificate = part.head.certificate[: len(part.head.certificate) // 5]
    yield "too few signatures", ConsensusCode.BAD_CERTIFICATE, wrong
    wrong, part = changed(0)
    part.change.validators[0].power += 1
    yield "another bond", LedgerCode.WRONG_VALIDATORS_HASH, wrong
    wrong, part = changed(0)
    part.change.validators[0].power = 0
    yield "no bond", DataCode.MALFORMED, wrong
    wrong, part = changed(0)
    part.change.validators.append(part.change.validators[0])
    yield "a validator twice", DataCode.MALFORMED, wrong
    yield "a change is left out", ConsensusCode.BAD_CERTIFICATE, given[1:]
    yield "the last change is left out", LedgerCode.WRONG_VALIDATORS_HASH, given[:1] + given[2:]
    yield "a change comes twice", DataCode.MALFORMED, [given[0], *given]
    yield "a chunk before the head", DataCode.MALFORMED, [given[-1], *given]
    yield "a change after the head", DataCode.MALFORMED, [*given[: head + 1], given[0]]
    yield "two heads", DataCode.MALFORMED, [*given[: head + 1], *given[head:]]
    yield "a part of no kind", DataCode.BAD_SNAPSHOT, [SnapshotPart(), *given]
    yield "no head", DataCode.BAD_SNAPSHOT, given[:head]


def test_what_a_liar_may_send(made: Made, tmp_path: Path) -> None:
    for what, code, contents in wrong_parts(made):
        path = file_of(tmp_path / "wrong", contents)
        refusal = refusal_of(path, made.chain.genesis)
        assert refusal.code is code, f"{what}: {refusal.code.name}, {refusal}"


def test_a_refused_part_changes_nothing(made: Made) -> None:
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


def test_chunks_are_cut_in_one_way(made: Made, tmp_path: Path) -> None:
    """Else a liar could cut a large bucket into as many chunks as it has entries."""
    head = next(i for i, part in enumerate(made.parts) if part.HasField("head"))
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


def test_a_snapshot_of_another_network(made: Made) -> None:
    other = make_genesis({MINERS[0]: 10 * FDC}, {ALICE: FDC})
    assert refusal_of(made.path, other).code is ConsensusCode.BAD_CERTIFICATE


def test_a_snapshot_of_a_network_with_the_same_validators(made: Made) -> None:
    other = parse_genesis(made.chain.genesis.raw + b"\n")
    assert refusal_of(made.path, other).code is DataCode.WRONG_CHAIN


def test_coins_out_of_nothing(tmp_path: Path) -> None:
    """Even if all validators sign it."""
    rich = next(k for k in FIRST if k.startswith(b"account/"))
    state = {**FIRST, b"account/" + bytes(20): FIRST[rich]}
    refusal = refusal_of(file_of(tmp_path / "wrong", cut(state)), GENESIS)
    assert refusal.code is LedgerCode.WRONG_SUPPLY


def test_an_entry_that_no_ledger_writes(tmp_path: Path) -> None:
    for entry in ({b"no prefix": b""}, {b"account/x": b"\xff"}):
        path = file_of(tmp_path / "wrong", cut({**FIRST, **entry}))
        assert refusal_of(path, GENESIS).code is LedgerCode.WRONG_CHUNK
