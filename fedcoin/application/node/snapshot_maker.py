"""Making snapshots of a chain, and beginning a chain from one."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fedcoin.application.errors import ApplicationCode
from fedcoin.contract.blocks.validator_history import ValidatorHistory
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.contract.snapshots.writer import write_snapshot
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.data.storage.state_view import StateView
from fedcoin.network.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

SHARE = 0.5
"""At most this share of a core's time goes into making a snapshot while the node works."""


def restore_snapshot(
    path: Path, store: ChainStore, genesis: Genesis, on_part: Callable[[], None] = lambda: None
) -> SnapshotVerifier:
    """Begin a store without blocks from a snapshot's file, in one write.

    What was checked is returned. Raises Refusal: CHAIN_EXISTS when there are blocks, and what
    :func:`~fedcoin.contract.snapshots.verifier.entries_of` raises; then nothing has changed.
    """
    refuse_chain(store)
    check = SnapshotVerifier(genesis)
    store.restore(read_verified_entries(path, check, on_part), check.finish)
    return check


def refuse_chain(store: ChainStore) -> None:
    """Raise CHAIN_EXISTS when there are blocks, or a snapshot that the chain begins from."""
    if store.height():
        raise RefusalError(
            ApplicationCode.CHAIN_EXISTS,
            f"there is a chain of height {store.height()} already: move chain.sqlite and its -wal "
            "file away, or choose another home",
            field="home",
        )


def check_snapshot(
    path: Path, genesis: Genesis, on_part: Callable[[], None] = lambda: None
) -> SnapshotVerifier:
    """Check a whole file with nothing but the genesis. Raises Refusal as `entries_of` does."""
    check = SnapshotVerifier(genesis)
    for _ in read_verified_entries(path, check, on_part):
        pass
    check.finish()
    return check


class SnapshotMaker:
    """Makes a snapshot every so many blocks, in a thread, and removes the oldest ones.

    Call `after_block` right after each block, before there can be another one.
    """

    def __init__(
        self,
        store: ChainStore,
        genesis: Genesis,
        folder: SnapshotFolder,
        owner: BackgroundTasks,
        *,
        every: int,
        keep: int,
    ) -> None:
        self._store = store
        self._history = ValidatorHistory(store, genesis)
        self._genesis_hash = genesis.hash
        self._folder = folder
        self._owner = owner
        self._every = every
        self._keep = keep
        self._busy = False

    def after_block(self, height: int) -> None:
        """Begin one if it is time, unless the last one is still being made."""
        if self._busy or not self._every or height % self._every:
            return
        self._busy = True
        self._owner.start(self._make(self._store.open_state_view()), name="snapshot")

    async def _make(self, state: StateView) -> None:
        began, pace = time.monotonic(), _Pace(SHARE)
        try:
            size = await asyncio.to_thread(self._write, state, pace)
        except (OSError, sqlite3.Error, RefusalError) as error:
            log.warning("no snapshot of height %d: %s", state.height, error)
        else:
            took = time.monotonic() - began
            log.info("snapshot of height %d: %d bytes in %.1f s", state.height, size, took)
        finally:
            pace.stop()
            self._busy = False

    def _write(self, state: StateView, pace: _Pace) -> int:
        making = self._folder.making
        making.unlink(missing_ok=True)
        with state:
            size = write_snapshot(
                making, state, self._store, self._genesis_hash, self._history, pace.pause
            )
        self._folder.publish(making, state.height)
        self._folder.prune(self._keep, always=self._store.base_height())
        return size


class _Pace:
    """Lets work have a share of the time only: the event loop needs the interpreter as well."""

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self._since = time.monotonic()
        self._stopped = threading.Event()

    def pause(self) -> None:
        """Sleep for as long as the work since the last pause asks for.

        Raises `InterruptedError` once the work is no longer wanted.
        """
        if self._stopped.wait((time.monotonic() - self._since) * self._rest):
            raise InterruptedError("the node stops")
        self._since = time.monotonic()

    def stop(self) -> None:
        """Have the work given up, if it still goes on."""
        self._stopped.set()
