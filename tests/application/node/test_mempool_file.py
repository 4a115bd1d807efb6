"""Transactions that wait outlive the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.application.node import mempool_file
from fedcoin.application.node.mempool_file import MempoolFile
from fedcoin.data.messages.transactions import Transaction
from tests.support.keys import ALICE, BOB
from tests.support.local_chain import LocalChain
from tests.support.transfers import transfer_to
from tests.support.waiting import until


class PassingAudit:
    """Accepts everything."""

    async def check_transaction(self, transaction: Transaction) -> None:
        """Accept a transaction."""


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalChain]:
    local = LocalChain(tmp_path)
    yield local
    await local.close()


async def test_transactions_wait_again_after_a_restart(local: LocalChain, tmp_path: Path) -> None:
    pool = local.with_pool(PassingAudit())
    waiting = []
    for sender, nonce in ((ALICE, 0), (BOB, 0), (ALICE, 1), (BOB, 2)):
        waiting.append(local.sign(sender, transfer_to((ALICE.address, 5)), nonce=nonce))
        assert pool.add_relayed(waiting[-1])
    path = tmp_path / "mempool"
    MempoolFile(path, pool).save()
    # One of them became final elsewhere before this node came back.
    await local.produce()
    again = local.with_pool(PassingAudit())
    file = MempoolFile(path, again)
    # Only the one with a gap before its nonce still waits.
    assert file.load() == 1
    assert list(again.pending()) == [waiting[3]]
    assert file.load() == 0


async def test_a_missing_or_damaged_file_is_ignored(local: LocalChain, tmp_path: Path) -> None:
    pool = local.with_pool(PassingAudit())
    path = tmp_path / "mempool"
    assert MempoolFile(path, pool).load() == 0
    path.write_bytes(b"\xff" * 100)
    assert MempoolFile(path, pool).load() == 0


async def test_the_file_follows_the_mempool(
    local: LocalChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool_file, "SAVE_SECONDS", 0.01)
    pool = local.with_pool(PassingAudit())
    path = tmp_path / "mempool"
    running = asyncio.ensure_future(MempoolFile(path, pool).run())
    try:
        transaction = local.sign(ALICE, transfer_to((BOB.address, 5)))
        pool.add_relayed(transaction)
        await until(lambda: path.exists() and transaction.raw in path.read_bytes())
        written = path.stat().st_mtime_ns
        await asyncio.sleep(0.05)
        assert path.stat().st_mtime_ns == written
    finally:
        running.cancel()
