"""Chains that begin from a snapshot: made in a node, restored whole or not at all, verified."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.snapshot_maker import SnapshotMaker, check_snapshot, restore_snapshot
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.verification.replay import Replay, replay
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.snapshots import verifier, writer
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from tests.support.database_edits import editing
from tests.support.keys import ALICE, BOB
from tests.support.ledger_chain import LedgerChain
from tests.support.ledger_snapshots import chain_in, file_of, parts, snapshot_of
from tests.support.local_chain import LocalChain
from tests.support.node_core import NoAudit
from tests.support.paths import ROOT
from tests.support.transfers import transfer_to
from tests.support.waiting import until

AT = 12
RESTORER = "tests.support.processes.snapshot_restorer"


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalChain]:
    folder = tmp_path / "local"
    folder.mkdir()
    chain = LocalChain(folder)
    chain.with_pool(NoAudit())
    yield chain
    await chain.close()


def new_chain(folder: Path, genesis: Genesis, clock: LocalChain) -> Chain:
    folder.mkdir(exist_ok=True)
    store = ChainStore.open(folder / "chain.sqlite", genesis)
    store.initialise(genesis_changes(genesis))
    return Chain(store, Ledger(store, genesis), clock.clock)


# In a node ------------------------------------------------------------------------------------


def maker_of(local: LocalChain, folder: SnapshotFolder, every: int) -> SnapshotMaker:
    maker = SnapshotMaker(
        local.store, local.chain.genesis, folder, local.owner, every=every, keep=2
    )
    local.chain.on_block(lambda new: maker.after_block(new.block.height))
    return maker


async def made(folder: SnapshotFolder, *heights: int) -> None:
    await until(lambda: folder.heights() == list(heights) and not folder.making.exists())


async def test_a_snapshot_is_made_at_each_interval(local: LocalChain, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots")
    maker_of(local, folder, every=2)
    for height in range(1, 8):
        await local.submit(ALICE, transfer_to((BOB.address, height)))
        await local.produce()
        if height % 2 == 0:
            await made(folder, *sorted(range(2, height + 1, 2), reverse=True)[:2])
    check = check_snapshot(folder.path(6), local.chain.genesis)
    header = local.store.header(6)
    assert header is not None
    assert check.header == header


async def test_never(local: LocalChain, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots")
    maker_of(local, folder, every=0)
    for _ in range(3):
        await local.produce()
    assert folder.heights() == []


async def test_a_node_that_stops_does_not_wait_for_it(
    local: LocalChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedcoin.application.node.snapshot_maker.MAX_CPU_SHARE", 1e-9)
    folder = SnapshotFolder(tmp_path / "snapshots")
    maker_of(local, folder, every=1)
    await local.produce()
    await until(folder.making.exists)
    await asyncio.wait_for(local.owner.stop(), 10)
    assert folder.heights() == []


async def test_a_running_chain_begins_from_it_and_goes_on(
    local: LocalChain, tmp_path: Path
) -> None:
    for number in range(4):
        await local.submit(ALICE, transfer_to((BOB.address, number + 1)))
        await local.produce()
    path = snapshot_of(local.store, local.chain.genesis, tmp_path / "x")
    other = new_chain(tmp_path / "other", local.chain.genesis, local)
    pool = TransactionIntake(Mempool(), other, NoAudit(), local.owner, local.clock)
    waiting = asyncio.create_task(other.wait_above(0))
    jumps: list[int] = []
    other.on_jump(lambda: jumps.append(other.height()))
    transaction = local.sign(ALICE, transfer_to((BOB.address, 9)))
    # A node without blocks cannot use the transaction yet; it waits for the blocks ahead.
    assert pool.add_relayed(transaction)
    assert pool.ready() == []
    await other.import_snapshot(path)
    assert await waiting == 4
    assert jumps == [4]
    assert [ready.hash for ready in pool.ready()] == [transaction.hash]
    assert other.ledger.app_hash == local.chain.ledger.app_hash
    # The restored node builds blocks that the others accept, and accepts theirs.
    proposer = other.ledger.proposer(0)
    draft = await other.build(proposer.address, [transaction])
    await local.chain.check(draft.block, round=0)
    await local.produce(transaction)
    stored = local.store.block(5)
    assert stored is not None
    await other.import_block(decode_block(stored.raw), stored.certificate)
    assert other.ledger.app_hash == local.chain.ledger.app_hash
    with pytest.raises(RefusalError) as caught:
        await other.import_snapshot(path)
    assert caught.value.code is ApplicationCode.CHAIN_EXISTS
    other.store.close()


# Whole or not at all --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> LedgerChain:
    """A chain with some blocks above its snapshot, which is cut into small chunks."""
    folder = tmp_path_factory.mktemp("grown")
    with in_small_chunks():
        chain = chain_in(folder, AT)
        assert chain.store is not None
        snapshot_of(chain.store, chain.genesis, folder / f"{AT}.snapshot")
    for number in range(4):
        chain.produce(chain.sign(ALICE, transfer_to((BOB.address, number + 1))))
    (folder / "genesis.json").write_bytes(chain.genesis.raw)
    return chain


@contextmanager
def in_small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifier, "CHUNK_BYTES", 200)
        patch.setattr(writer, "CHUNK_BYTES", 200)
        yield


def folder_of(grown: LedgerChain) -> Path:
    assert grown.folder is not None
    return grown.folder


def is_whole(path: Path, genesis: Genesis) -> bool:
    """Tell whether the chain is there; if not, check that nothing of it is."""
    with ChainStore.open(path, genesis) as store:
        assert store.integrity_faults() == []
        if store.height():
            assert (store.base_height(), store.height()) == (AT, AT)
            header = store.header(AT)
            assert header is not None
            assert Ledger(store, genesis).app_hash == header.app_hash
            return True
        assert dict(store.scan(b"")) == {}
        assert store.trusted_headers() == []
        assert list(store.table("campaigns")) == list(store.table("tasks")) == []
        return False


def restore(grown: LedgerChain, database: Path, last_part: int) -> int:
    """Restore in a process that kills itself after a part; return how it ended."""
    folder = folder_of(grown)
    arguments = (folder / "genesis.json", database, folder / f"{AT}.snapshot", 200, last_part)
    command = [sys.executable, "-m", RESTORER, *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=ROOT).returncode


def test_a_kill_leaves_a_whole_restore_or_none(grown: LedgerChain, tmp_path: Path) -> None:
    total = len(parts(folder_of(grown) / f"{AT}.snapshot"))
    chance, database = random.Random(1), tmp_path / "chain.sqlite"
    for after in (1, chance.randrange(2, total - 1), total):
        assert restore(grown, database, after) == -signal.SIGKILL
        assert not is_whole(database, grown.genesis)
    # Restoring again succeeds.
    assert restore(grown, database, total + 1) == 0
    assert is_whole(database, grown.genesis)


def restored(grown: LedgerChain, folder: Path) -> ChainStore:
    """A store that began from the snapshot and has the blocks above it."""
    store = ChainStore.open(folder / "chain.sqlite", grown.genesis)
    with in_small_chunks():
        restore_snapshot(folder_of(grown) / f"{AT}.snapshot", store, grown.genesis)
    for height in range(AT, grown.height):
        execution = grown.executions[height]
        store.append(
            grown.blocks[height],
            grown.certificates[height],
            execution.receipts,
            execution.changes,
        )
    return store


def test_a_wrong_snapshot_leaves_nothing(grown: LedgerChain, tmp_path: Path) -> None:
    contents = parts(folder_of(grown) / f"{AT}.snapshot")
    contents[-1].chunk.entries[0].value += b"x"
    wrong = file_of(tmp_path / "wrong", contents)
    cut = tmp_path / "cut"
    cut.write_bytes(wrong.read_bytes()[:-100])
    with ChainStore.open(tmp_path / "chain.sqlite", grown.genesis) as store:
        for path, code in ((wrong, LedgerCode.WRONG_CHUNK), (cut, DataCode.BAD_SNAPSHOT)):
            with in_small_chunks(), pytest.raises(RefusalError) as caught:
                restore_snapshot(path, store, grown.genesis)
            assert caught.value.code is code
            assert str(path) in caught.value.message
    assert not is_whole(tmp_path / "chain.sqlite", grown.genesis)


# Verified -------------------------------------------------------------------------------------


def verified(grown: LedgerChain, store: ChainStore, folder: Path | None = None) -> Replay:
    with in_small_chunks():
        seen: list[int] = []
        there = SnapshotFolder(folder_of(grown) if folder is None else folder)
        found = replay(store, grown.genesis, seen.append, there)
        assert seen == list(range(AT + 1, grown.height + 1))
        return found


def test_what_is_there_is_verified(grown: LedgerChain, tmp_path: Path) -> None:
    with restored(grown, tmp_path) as store:
        found = verified(grown, store)
    assert (found.first_height, found.height) == (AT + 1, grown.height)
    assert found.transactions == grown.height - AT
    assert found.supply == grown.genesis.supply
    assert found.app_hash == grown.ledger.app_hash.hex()


def test_verifying_needs_the_snapshot(grown: LedgerChain, tmp_path: Path) -> None:
    with restored(grown, tmp_path) as store, pytest.raises(RefusalError) as caught:
        verified(grown, store, tmp_path / "elsewhere")
    assert caught.value.code is ApplicationCode.NO_SNAPSHOT
    assert str(AT) in caught.value.message


def reopened_and_verified(grown: LedgerChain, folder: Path) -> None:
    with ChainStore.open(folder / "chain.sqlite", grown.genesis) as store:
        verified(grown, store)


def changed(value: object) -> object:
    if isinstance(value, bytes):
        return value[:-1] + bytes((value[-1] ^ 1,)) if value else b"x"
    assert isinstance(value, int)
    return value + 1_000


def test_each_column_of_each_row_of_the_past(grown: LedgerChain, tmp_path: Path) -> None:
    restored(grown, tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "chain.sqlite", isolation_level=None)) as connection:
        found = connection.execute("SELECT * FROM trusted_headers ORDER BY height").fetchall()
        assert [row[0] for row in found] == [4, 8, AT]
        for row in found:
            for place, value in enumerate(row):
                wrong = (*row[:place], changed(value), *row[place + 1 :])
                connection.execute("DELETE FROM trusted_headers WHERE height = ?", row[:1])
                connection.execute("INSERT INTO trusted_headers VALUES (?, ?, ?, ?, ?)", wrong)
                with pytest.raises(RefusalError):
                    reopened_and_verified(grown, tmp_path)
                connection.execute("DELETE FROM trusted_headers WHERE height = ?", wrong[:1])
                connection.execute("INSERT INTO trusted_headers VALUES (?, ?, ?, ?, ?)", row)
    reopened_and_verified(grown, tmp_path)


TAMPERINGS = {
    "state": "UPDATE state SET value = x'00' WHERE key = CAST('ledger/' AS BLOB)",
    "no validators follow": "UPDATE trusted_headers SET next_validators = x'' WHERE height = 4",
    "a change is gone": "DELETE FROM trusted_headers WHERE height = 8",
    "an old task": f"INSERT INTO tasks VALUES ({AT}, 7, zeroblob(32), zeroblob(32))",
    "a block": f"UPDATE blocks SET block = x'00' WHERE height = {AT + 2}",
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_what_was_changed_is_found(grown: LedgerChain, tmp_path: Path, what: str) -> None:
    restored(grown, tmp_path).close()
    with editing(tmp_path / "chain.sqlite") as connection:
        assert connection.execute(TAMPERINGS[what]).rowcount == 1
    with pytest.raises(RefusalError) as caught:
        reopened_and_verified(grown, tmp_path)
    codes = (ApplicationCode.BAD_CHAIN, DataCode.BAD_STORE, DataCode.MALFORMED)
    assert caught.value.code in codes, caught.value
