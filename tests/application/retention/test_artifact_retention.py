"""Artifacts are kept while an open task or campaign needs them, and for a time after that."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.retention.artifact_retention import (
    FULL_SHARE,
    ArtifactKeeper,
    needed_artifacts,
)
from fedcoin.v1 import block_pb2
from tests.conftest import ReportAttack
from tests.support.mining_site import MiningSite, OpenMiningSite

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3600.0


def keeper(here: MiningSite, folder: Path, hours: float) -> ArtifactKeeper:
    return ArtifactKeeper(Home(folder / "home"), here.store, here.chain.store, hours * HOUR)


def age(here: MiningSite, hours: float) -> None:
    """Let the artifacts of a store look as if they were stored some hours ago."""
    then = time.time() - hours * HOUR
    for id in here.store.ids():
        os.utime(here.store.path(id), (then, then))


async def test_uploads_that_no_task_follows_are_deleted_after_the_retention_period(
    site: OpenMiningSite, tmp_path: Path
) -> None:
    here = site()
    await here.job.open_campaign()
    task = await here.job.open_task()
    await here.chain.run()
    needed = needed_artifacts(here.chain.store)
    assert set(here.store.ids()) == needed
    filler = [here.store.put(bytes([n]) * 1000) for n in range(20)]
    assert keeper(here, tmp_path, 2).sweep() == []
    age(here, 3)
    removed = keeper(here, tmp_path, 2).sweep()
    assert {artifact.id for artifact in removed} == set(filler)
    assert set(here.store.ids()) == needed
    assert here.store.used_bytes() == sum(here.store.size(id) or 0 for id in needed)
    assert here.chain.task(task.hash).phase == block_pb2.TASK_PHASE_COMMIT


async def test_artifacts_of_a_closed_task_are_kept_for_the_retention_period_from_its_end(
    site: OpenMiningSite, tmp_path: Path
) -> None:
    here = site()
    await here.job.open_campaign()
    task = await here.job.open_task()
    await here.chain.run()
    age(here, 100)
    assert keeper(here, tmp_path, 2).sweep() == []  # and they count as needed until now
    here.start(*here.chain.miners)
    for _ in range(200):
        await here.chain.run()
        if here.chain.task(task.hash).closed_height:
            break
    assert here.chain.task(task.hash).closed_height
    assert keeper(here, tmp_path, 2).sweep() == []
    kept = needed_artifacts(here.chain.store)
    age(here, 3)
    keeper(here, tmp_path, 2).sweep()
    assert set(here.store.ids()) == kept


async def test_shards_that_a_coordinator_has_not_published_are_needed(
    site: OpenMiningSite, tmp_path: Path
) -> None:
    here, home = site(), Home(tmp_path / "home")
    shard, other = here.store.put(b"shard"), here.store.put(b"other")
    home.root.mkdir()
    home.coordinator_path.write_text(f'{{"shards": [["{shard.hex()}", 12]]}}')
    age(here, 3)
    keeper(here, tmp_path, 2).sweep()
    assert (here.store.has(shard), here.store.has(other)) == (True, False)


async def test_a_store_that_somebody_fills_makes_room_before_the_retention_period_is_over(
    site: OpenMiningSite, tmp_path: Path, report_attack: ReportAttack
) -> None:
    here = site()
    await here.job.open_campaign()
    await here.job.open_task()
    await here.chain.run()
    needed = needed_artifacts(here.chain.store)
    limit = here.store.max_bytes_total
    filler = [here.store.put(bytes([n]) * (limit // 40)) for n in range(38)]
    for n, id in enumerate(filler):
        os.utime(here.store.path(id), (time.time() - 1000 + n,) * 2)
    removed = keeper(here, tmp_path, 2).sweep()
    assert [artifact.id for artifact in removed] == filler[: len(removed)]
    assert 0 < len(removed) < 8
    assert here.store.used_bytes() <= FULL_SHARE * limit
    assert needed <= set(here.store.ids())
    report_attack(
        "Fill every node's store of artifacts with uploads that no task follows",
        "`STORE_FULL` for all tasks, until an operator deletes files",
        "idle uploads go first, the oldest before the others; open tasks keep theirs",
    )
