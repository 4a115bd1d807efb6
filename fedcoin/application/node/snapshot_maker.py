"""Make snapshots of a chain, check them, and start a chain from one."""

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

MAX_CPU_SHARE = 0.5
"""The largest share of a core's time for making a snapshot while the node runs."""


def restore_snapshot(
    path: Path, store: ChainStore, genesis: Genesis, on_part: Callable[[], None] = lambda: None
) -> SnapshotVerifier:
    """Start a database without blocks from a snapshot, in one transaction.

    Args:
        path: The snapshot's file.
        store: The database, which must hold no chain.
        genesis: The network's genesis.
        on_part: Called after each part.

    Returns:
        The verifier, which holds what was checked.

    Raises:
        RefusalError: CHAIN_EXISTS when there are blocks; BAD_SNAPSHOT when the file is damaged; a
            code of `SnapshotVerifier`, such as WRONG_CHUNK or BAD_CERTIFICATE, when its content is
            not valid. Then nothing has changed.
    """
    refuse_chain(store)
    check = SnapshotVerifier(genesis)
    store.restore(read_verified_entries(path, check, on_part), check.finish)
    return check


def refuse_chain(store: ChainStore) -> None:
    """Refuse a database that holds a chain.

    Args:
        store: The database, which must hold no chain.

    Raises:
        RefusalError: CHAIN_EXISTS when it has a block or started from a snapshot.
    """
    if store.height():
        raise RefusalError(
            ApplicationCode.CHAIN_EXISTS,
            f"the home holds a chain of height {store.height()}: move chain.sqlite and its -wal "
            "file away, or choose another home",
            field="home",
        )


def check_snapshot(
    path: Path, genesis: Genesis, on_part: Callable[[], None] = lambda: None
) -> SnapshotVerifier:
    """Check a whole snapshot with the genesis alone.

    Args:
        path: The snapshot's file.
        genesis: The network's genesis.
        on_part: Called after each part.

    Returns:
        The verifier, which holds what was checked.

    Raises:
        RefusalError: BAD_SNAPSHOT when the file is damaged; a code of `SnapshotVerifier`, such as
            WRONG_CHUNK or BAD_CERTIFICATE, when its content is not valid.
    """
    check = SnapshotVerifier(genesis)
    for _ in read_verified_entries(path, check, on_part):
        pass
    check.finish()
    return check


class SnapshotMaker:
    """Makes a snapshot at regular heights, in a thread, and deletes the oldest ones.

    Args:
        store: The database with the chain.
        genesis: The network's genesis.
        folder: Where snapshots are kept.
        owner: Owns the task.
        every: The number of blocks between two snapshots; 0 makes none.
        keep: The number of snapshots that are kept.
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
        """Start a snapshot if one is due and none is being made.

        Call this right after each block, before the next one is appended.

        Args:
            height: The block's height.
        """
        if self._busy or not self._every or height % self._every:
            return
        self._busy = True
        self._owner.start(self._make(self._store.open_state_view()), name="snapshot")

    async def _make(self, state: StateView) -> None:
        began, pace = time.monotonic(), _Pace(MAX_CPU_SHARE)
        try:
            size = await asyncio.to_thread(self._write, state, pace)
        except (OSError, sqlite3.Error, RefusalError) as error:
            log.warning("could not make a snapshot of height %d: %s", state.height, error)
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
    """Limits a thread's share of the time, since the event loop needs the interpreter too."""

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self._since = time.monotonic()
        self._stopped = threading.Event()

    def pause(self) -> None:
        """Sleep in proportion to the work since the last pause; InterruptedError after `stop`."""
        if self._stopped.wait((time.monotonic() - self._since) * self._rest):
            raise InterruptedError("the node is stopping")
        self._since = time.monotonic()

    def stop(self) -> None:
        """Make the next `pause` raise InterruptedError."""
        self._stopped.set()
