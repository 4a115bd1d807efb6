"""A quota on what a node fetches for the tasks of one campaign.

A campaign has one open task at a time, so what was fetched for its earlier tasks makes room for the
next one, but for archives, which delete nothing. What other tasks need is never deleted for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Set
from pathlib import Path

from fedcoin.application.mining.fetched_file import read_fetched, write_fetched
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.lru import LruDict

MAX_CAMPAIGNS = 1024
"""The number of campaigns whose fetched artifacts are remembered."""


class CampaignQuota:
    """Admits the artifacts of tasks before they are fetched.

    Args:
        store: The node's artifacts.
        max_bytes: The largest size of what is kept of the files fetched for one campaign, in bytes.
        needed: Lists the artifacts that open tasks and campaigns refer to.
        path: The file that keeps the ids of what was fetched, so that a restart does not give each
            campaign a whole quota again.
        is_archive: Whether nothing is deleted, so that a campaign with a full quota is refused.
    """

    def __init__(
        self,
        store: ArtifactStore,
        max_bytes: int,
        needed: Callable[[], Set[bytes]],
        path: Path,
        *,
        is_archive: bool = False,
    ) -> None:
        self._store = store
        self._is_archive = is_archive
        self._max_bytes = max_bytes
        self._needed = needed
        # The artifacts fetched for each campaign, in order.
        self._fetched: LruDict[bytes, dict[bytes, None]] = LruDict(MAX_CAMPAIGNS)
        self._path = path
        # Tasks are admitted in threads.
        self._lock = threading.Lock()
        rooms = store.rooms()
        for campaign_id, ids in read_fetched(path).items():
            place = rooms.get(campaign_id, store)
            self._fetched.put(campaign_id, {id: None for id in ids if place.has(id)})

    def admit(
        self, campaign_id: bytes, limits: Mapping[bytes, int], *, is_private: bool = False
    ) -> None:
        """Make room for artifacts that will be fetched for a campaign's task. Waits for the disk.

        Args:
            campaign_id: The campaign's id, 32 bytes.
            limits: The largest size of each artifact of the task in bytes, by id.
            is_private: Whether they go to the campaign's room of the store.

        Raises:
            RefusalError: STORE_FULL when there is no room within the quota.
        """
        with self._lock:
            store = self._store.room(campaign_id if is_private else b"")
            self._admit(campaign_id, limits, store)

    def _admit(self, campaign_id: bytes, limits: Mapping[bytes, int], store: ArtifactStore) -> None:
        missing = {id: size for id, size in limits.items() if not store.has(id)}
        if not missing:
            return
        fetched = self._fetched.get_or_create(campaign_id, dict)
        wanted = sum(missing.values())
        if _used(fetched, store) + wanted > self._max_bytes and not self._is_archive:
            kept = self._needed() | limits.keys()
            for id in [id for id in fetched if id not in kept]:
                if _used(fetched, store) + wanted <= self._max_bytes:
                    break
                store.remove(id)
                del fetched[id]
        used = _used(fetched, store)
        if used + wanted > self._max_bytes:
            raise RefusalError(
                DataCode.STORE_FULL,
                f"the task's artifacts may take {wanted} bytes and the campaign's others take "
                f"{used}; this node keeps {self._max_bytes} for a campaign: raise "
                "storage.campaign_bytes to take part",
                field="artifact",
                limit=str(self._max_bytes),
            )
        fetched.update(dict.fromkeys(missing))
        # Before anything is fetched, so that no crash leaves artifacts that no quota counts.
        write_fetched(self._path, self._fetched.items())


def _used(fetched: Mapping[bytes, None], store: ArtifactStore) -> int:
    return sum(store.size(id) or 0 for id in fetched)
