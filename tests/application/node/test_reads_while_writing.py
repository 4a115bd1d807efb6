"""While a thread writes a block, what a node reads is the state before it, whole.

A miner read that a task was open from the block that was being written, and no record of it from
the block before; its node ended.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.node.chain import Chain
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.storage.chain_store import ChainStore
from tests.support.keys import ALICE, key_of
from tests.support.ledger_snapshots import snapshot_of
from tests.support.local_chain import LocalChain
from tests.support.node_core import NoAudit
from tests.support.transfers import transfer_to
from tests.support.waiting import until


class PausedStore(ChainStore):
    """Stops after each write, before the chain hears of it, until it may go on."""

    def pause(self) -> None:
        self.written, self.may_go_on = threading.Event(), threading.Event()

    def append_all(self, blocks: Any) -> None:
        super().append_all(blocks)
        self._stop()

    def restore(self, *arguments: Any) -> None:
        super().restore(*arguments)
        self._stop()

    def _stop(self) -> None:
        self.written.set()
        assert self.may_go_on.wait(20)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalChain]:
    chain = LocalChain(tmp_path)
    chain.with_pool(NoAudit())
    yield chain
    await chain.close()


@pytest.fixture
async def reading(local: LocalChain, tmp_path: Path) -> AsyncIterator[Chain]:
    """A chain of the same network, over a store that pauses; its accounts have been read."""
    genesis = local.chain.genesis
    with PausedStore.open(tmp_path / "paused.sqlite", genesis) as store:
        store.initialise(genesis_changes(genesis))
        chain = Chain(store, Ledger(store, genesis), local.clock)
        yield chain


async def grow(local: LocalChain, blocks: int) -> list[tuple[Block, bytes]]:
    """Make blocks that change, create and spend, and decode them."""
    for number in range(blocks):
        await local.submit(ALICE, transfer_to((key_of(f"new {number}").address, number + 1)))
        await local.produce()
    stored = [local.store.block(height + 1) for height in range(blocks)]
    return [(decode_block(one.raw), one.certificate) for one in stored if one is not None]


def read_all(chain: Chain) -> dict[bytes, bytes]:
    reader = chain.ledger.reader
    entries = dict(reader.scan(b""))
    assert {key: reader.get(key) for key in entries} == entries
    return entries


async def read_during(chain: Chain, writing: Coroutine[Any, Any, None]) -> None:
    """Compare what is read before and during a write; after it, it must differ."""
    assert isinstance(chain.store, PausedStore)
    before = read_all(chain)
    missing = key_of("new 0").address
    assert chain.ledger.account(missing).balance == 0
    chain.store.pause()
    task = asyncio.create_task(writing)
    await until(chain.store.written.is_set)
    assert dict(chain.store.scan(b"")) != before
    assert read_all(chain) == before
    assert chain.ledger.account(missing).balance == 0
    for key, value in before.items():
        assert (key, value) in list(chain.ledger.reader.scan(key[:1]))
    chain.store.may_go_on.set()
    await task
    assert read_all(chain) == dict(chain.store.scan(b"")) != before
    assert chain.ledger.account(missing).balance == 1


async def test_while_a_block_is_committed(local: LocalChain, reading: Chain) -> None:
    [(block, certificate)] = await grow(local, 1)

    async def commit() -> None:
        await reading.commit(block, certificate, round=0)

    await read_during(reading, commit())


async def test_while_a_run_of_blocks_is_imported(local: LocalChain, reading: Chain) -> None:
    await read_during(reading, reading.import_blocks(await grow(local, 3)))


async def test_while_a_snapshot_is_restored(
    local: LocalChain, reading: Chain, tmp_path: Path
) -> None:
    await grow(local, 3)
    snapshot = snapshot_of(local.store, local.chain.genesis, tmp_path / "made.snapshot")
    await read_during(reading, reading.import_snapshot(snapshot))


async def test_a_chain_goes_on_after_a_damaged_snapshot(
    local: LocalChain, reading: Chain, tmp_path: Path
) -> None:
    blocks = await grow(local, 2)
    damaged = tmp_path / "damaged.snapshot"
    damaged.write_bytes(b"not a snapshot")
    before = read_all(reading)
    with pytest.raises(RefusalError) as refused:
        await reading.import_snapshot(damaged)
    assert refused.value.code is DataCode.BAD_SNAPSHOT
    assert read_all(reading) == before
    await read_during(reading, reading.import_blocks(blocks))
