"""Which artifacts a node still needs, and the removal of the others after a time.

An artifact is needed while an open task or campaign refers to it. Whatever is not needed, such as
the artifacts of closed tasks, of tasks that never came into a block, and of uploads that no task
followed, is kept for the retention period and then deleted. The time at which an artifact was last
needed is the modification time of its file, so that it survives a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.home import Home
from fedcoin.application.mining.task_evaluator import Assignment
from fedcoin.contract.queries.artifact_readers import is_private
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.artifacts.store import ArtifactStore, list_rooms, room_folder
from fedcoin.data.plurals import format_count
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.learning.model.frozen_weights import frozen_artifact
from fedcoin.v1.task_pb2 import ClientUpdate

log = logging.getLogger(__name__)

SWEEP_SECONDS = 30.0
"""The time between two removals, in seconds."""

FULL_SHARE = 0.9
"""The share of the store's limit above which idle artifacts are deleted before their time."""

_ID = re.compile(r"\b[0-9a-f]{64}\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One complete artifact of a store."""

    id: bytes
    """The artifact's id, 32 bytes."""
    num_bytes: int
    """Its size, in bytes."""
    needed: bool
    """True while an open task or campaign refers to it."""
    idle_seconds: float
    """The time since it was last needed, or stored if it never was; 0 while it is needed."""
    campaign_id: bytes = b""
    """The private campaign in whose room it is, 32 bytes; empty for none."""


def needed_artifacts(state: StateReader) -> set[bytes]:
    """Collect the artifacts that open tasks, open campaigns and registered receipts refer to.

    Args:
        state: The state after a block.

    Returns:
        Artifact ids, 32 bytes each.
    """
    needed: set[bytes] = set()
    for _, campaign in records.CAMPAIGNS.scan(state):
        if not campaign.closed:
            needed |= {campaign.terms.model, campaign.terms.initial_weights}
            needed |= {campaign.last_base, campaign.last_aggregate, campaign.best_weights}
    for _, receipt in records.RECEIPTS.scan(state):
        needed.add(ClientUpdate.FromString(receipt.update.body).update)
    for task_id, _ in open_tasks(state):
        terms = records.TERMS.get(state, task_id)
        assert terms is not None, "an open task without terms"
        # Its campaign is open, so the model was added above.
        needed.update(Assignment(task_id, terms, terms.base).artifacts())
    # A campaign of which no round has ended has no last base yet.
    return needed - {b""}


def artifacts_of_campaign_file(path: Path) -> set[bytes]:
    """Collect the artifacts of the campaign that a coordinator runs in this home.

    They include evaluation shards that no task has published yet.

    Args:
        path: The file coordinator.json, which may not exist.

    Returns:
        Artifact ids, 32 bytes each, and other hashes of the file.
    """
    try:
        return {bytes.fromhex(id) for id in _ID.findall(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return set()


def find_needed(home: Home, state: StateReader) -> set[bytes]:
    """Collect the artifacts that a home needs.

    Args:
        home: The folder of a node; its coordinator's campaign needs artifacts, too.
        state: The state after a block.

    Returns:
        Artifact ids, 32 bytes each.
    """
    needed = needed_artifacts(state) | artifacts_of_campaign_file(home.coordinator_path)
    return needed | _frozen_weights(home, state)


def _frozen_weights(home: Home, state: StateReader) -> set[bytes]:
    """Collect the frozen weights that the models of open campaigns name."""
    found = set()
    for campaign_id, campaign in records.CAMPAIGNS.scan(state):
        folder = room_folder(home.artifacts_path, campaign_id if is_private(campaign) else b"")
        path = folder / f"{campaign.terms.model.hex()}.data"
        with contextlib.suppress(FileNotFoundError):
            found |= set() if campaign.closed else {frozen_artifact(path)}
    return found - {b""}


def list_artifacts(folder: Path, needed: Set[bytes], now_s: float) -> list[StoredArtifact]:
    """List the complete artifacts of a folder and its rooms, the longest idle ones first.

    Args:
        folder: The folder of an `ArtifactStore`, which a node may have open.
        needed: Ids of the artifacts that are needed.
        now_s: The present Unix time, in seconds.

    Returns:
        Each artifact with its size and how long it was idle; those that are needed come last.
    """
    found = []
    for room in (b"", *list_rooms(folder)):
        for path in room_folder(folder, room).glob("*.data"):
            if not _ID.fullmatch(path.stem):
                continue
            id = bytes.fromhex(path.stem)
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                status = path.stat()
                idle = 0.0 if id in needed else max(0.0, now_s - status.st_mtime)
                found.append(StoredArtifact(id, status.st_size, id in needed, idle, room))
    return sorted(found, key=lambda artifact: (artifact.needed, -artifact.idle_seconds))


def remove_idle(
    store: ArtifactStore, needed: Set[bytes], retention_s: float, now_s: float
) -> list[StoredArtifact]:
    """Delete artifacts that nothing has needed for the retention period.

    While the store is nearly full, those that were idle for a shorter time go as well, the longest
    idle ones first.

    Args:
        store: The artifacts of a home, which no other process changes.
        needed: Ids of the artifacts that are needed; the time of their files is set to `now_s`.
        retention_s: The retention period, in seconds.
        now_s: The present Unix time, in seconds.

    Returns:
        The artifacts that were deleted, as they were before.
    """
    removed = []
    for artifact in list_artifacts(store.folder, needed, now_s):
        room = store.room(artifact.campaign_id)
        if artifact.needed:
            os.utime(room.path(artifact.id), (now_s, now_s))
            continue
        is_old = artifact.idle_seconds > retention_s
        is_full = store.used_bytes() > FULL_SHARE * store.max_bytes_total
        if (is_old or is_full) and room.remove(artifact.id):
            removed.append(artifact)
    return removed


class ArtifactKeeper:
    """Deletes a running node's idle artifacts at intervals.

    Args:
        home: The node's home.
        store: The node's artifacts.
        chain: The node's database.
        retention_s: How long an artifact is kept that nothing needs, in seconds.
    """

    def __init__(
        self, home: Home, store: ArtifactStore, chain: ChainStore, retention_s: float
    ) -> None:
        self._home = home
        self._store = store
        self._chain = chain
        self._retention_s = retention_s

    async def run(self) -> None:
        """Delete idle artifacts every `SWEEP_SECONDS` until cancelled."""
        while True:
            await asyncio.to_thread(self.sweep)
            await asyncio.sleep(SWEEP_SECONDS)

    def sweep(self) -> list[StoredArtifact]:
        """Delete idle artifacts once. Waits for the disk.

        Returns:
            The artifacts that were deleted, as they were before.
        """
        # A block that is appended meanwhile may be seen in part. What it opens or closes was needed
        # a moment ago, so it is not idle.
        needed = find_needed(self._home, self._chain)
        removed = remove_idle(self._store, needed, self._retention_s, time.time())
        if removed:
            log.info(
                "deleted %s, %d bytes, that no open task or campaign needs",
                format_count(len(removed), "artifact"),
                sum(artifact.num_bytes for artifact in removed),
            )
        return removed
