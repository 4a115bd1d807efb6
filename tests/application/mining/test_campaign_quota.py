"""A campaign fills no more of a node's store than its quota, and deletes nothing that is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedcoin.application.mining.campaign_quota import CampaignQuota
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError

SIZE = 1000
ONE, OTHER = b"1" * 32, b"2" * 32


class Fetching:
    """A store, its quota of three artifacts for a campaign, and a peer that has everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.needed: set[bytes] = set()
        self.restart()

    def restart(self, is_archive: bool = False) -> None:
        """Begin anew with what is on disk."""
        self.store = ArtifactStore(self.folder, 1 << 20)
        path = self.folder.parent / "fetched"
        self.quota = CampaignQuota(
            self.store, 3 * SIZE, lambda: self.needed, path, is_archive=is_archive
        )

    def fetch(self, campaign: bytes, *contents: bytes) -> list[bytes]:
        """Admit artifacts and put them into the store; returns their ids."""
        scratch = ArtifactStore(self.store.folder.parent / "peer", 1 << 20)
        ids = [scratch.put(content) for content in contents]
        self.quota.admit(campaign, dict.fromkeys(ids, SIZE))
        for content in contents:
            self.store.put(content)
        return ids


@pytest.fixture
def fetching(tmp_path: Path) -> Fetching:
    return Fetching(tmp_path / "store")


def content() -> bytes:
    return os.urandom(SIZE)


def test_tasks_of_one_campaign_make_room_for_each_other(fetching: Fetching) -> None:
    first = fetching.fetch(ONE, content(), content())
    foreign = fetching.fetch(OTHER, content(), content(), content())
    for _ in range(20):
        last = fetching.fetch(ONE, content(), content())
    assert not any(fetching.store.has(id) for id in first)
    assert all(fetching.store.has(id) for id in (*last, *foreign))
    assert fetching.store.used_bytes() <= 6 * SIZE


def test_a_task_beyond_the_quota_is_refused_before_anything_is_fetched(
    fetching: Fetching,
) -> None:
    with pytest.raises(RefusalError) as caught:
        fetching.fetch(ONE, *(content() for _ in range(4)))
    assert caught.value.code is DataCode.STORE_FULL
    assert "storage.campaign_bytes" in caught.value.message
    assert fetching.store.used_bytes() == 0


def test_what_an_open_task_needs_is_not_deleted(fetching: Fetching) -> None:
    fetching.needed.update(fetching.fetch(ONE, content(), content()))
    with pytest.raises(RefusalError):
        fetching.fetch(ONE, content(), content())
    assert fetching.needed <= set(fetching.store.ids())


def test_an_archive_refuses_instead_of_deleting(fetching: Fetching) -> None:
    fetching.restart(is_archive=True)
    ids = fetching.fetch(ONE, content(), content())
    with pytest.raises(RefusalError) as caught:
        fetching.fetch(ONE, content(), content())
    assert caught.value.code is DataCode.STORE_FULL
    assert set(ids) == set(fetching.store.ids())


def test_what_the_store_had_before_is_neither_counted_nor_deleted(fetching: Fetching) -> None:
    mine = content()
    id = fetching.store.put(mine)
    for _ in range(3):
        fetching.fetch(ONE, mine, content(), content())
    assert fetching.store.has(id)


def test_a_restart_gives_no_campaign_a_whole_quota_again(fetching: Fetching) -> None:
    first = fetching.fetch(ONE, content(), content())
    kept = fetching.fetch(OTHER, content())
    for _ in range(5):
        fetching.restart()
        last = fetching.fetch(ONE, content(), content())
        assert fetching.store.used_bytes() <= 4 * SIZE
    assert not any(fetching.store.has(id) for id in first)
    assert all(fetching.store.has(id) for id in (*last, *kept))
    fetching.needed.update(last)
    fetching.restart()
    with pytest.raises(RefusalError) as caught:
        fetching.fetch(ONE, content(), content())
    assert caught.value.code is DataCode.STORE_FULL


@pytest.mark.parametrize("damage", [b"no hex\n", b"\xff\n", b"12 34\n"])
def test_a_damaged_list_counts_as_empty(
    fetching: Fetching, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fetching.fetch(ONE, content(), content())
    (fetching.folder.parent / "fetched").write_bytes(damage)
    fetching.restart()
    assert "quotas of campaigns start empty" in caplog.text
    fetching.fetch(ONE, content(), content(), content())
