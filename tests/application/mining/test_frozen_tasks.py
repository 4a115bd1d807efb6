"""Tasks whose model has frozen weights: fetched, checked, mined and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.mining.task_evaluator import Assignment
from fedcoin.application.retention.artifact_retention import find_needed
from fedcoin.data.errors import RefusalError
from fedcoin.v1 import block_pb2
from tests.support.mining_site import OpenMiningSite

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_task_with_frozen_weights_is_mined_and_paid(site: OpenMiningSite) -> None:
    here = site()
    here.job.freeze(["kernel"])
    await here.job.open_campaign()
    task = await here.job.open_task()
    here.start(*here.chain.miners)
    for _ in range(200):
        await here.chain.run()
        if here.chain.task(task.hash).closed_height:
            break
    assert here.chain.task(task.hash).phase == block_pb2.TASK_PHASE_SETTLED


async def test_frozen_weights_are_fetched_and_a_task_without_them_is_refused(
    site: OpenMiningSite,
) -> None:
    here = site()
    frozen = here.job.freeze(["kernel"])
    await here.job.open_campaign()
    assignment = Assignment(bytes(32), here.job.terms(), here.job.model_id)
    assert here.jobs.has_artifacts(assignment)
    await here.jobs.check(assignment, 0.1)
    here.store.remove(frozen)
    assert not here.jobs.has_artifacts(assignment)
    with pytest.raises(RefusalError, match=f"1 of .* artifacts .*{frozen.hex()[:16]}"):
        await here.jobs.check(assignment, 0.1)
    assert here.fetched[-1] == [frozen]


async def test_an_update_with_frozen_weights_in_it_is_refused(site: OpenMiningSite) -> None:
    here = site()
    whole = here.job.update_ids[0]
    here.job.freeze(["kernel"])
    here.job.update_ids[0] = whole
    await here.job.open_campaign()
    assignment = Assignment(bytes(32), here.job.terms(), here.job.model_id)
    # By the shapes of the trained weights alone it is too large, or holds what is not trained.
    with pytest.raises(RefusalError) as caught:
        await here.jobs.check(assignment, 0.1)
    assert caught.value.code.name in ("TOO_LARGE", "WRONG_NAMES")


async def test_frozen_weights_of_an_open_campaign_are_kept(
    site: OpenMiningSite, tmp_path: Path
) -> None:
    here = site()
    frozen = here.job.freeze(["kernel"])
    await here.job.open_campaign()
    home = Home(tmp_path / "home")
    home.root.mkdir()
    home.artifacts_path.symlink_to(here.store.folder)
    assert frozen in find_needed(home, here.chain.store)
