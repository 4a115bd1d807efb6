"""One real worker process for each module's tests, and chains that are mined with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nacl import pwhash

from fedcoin.application.configuration import home
from fedcoin.data.crypto.key_files import Argon2Cost, save_key
from fedcoin.learning.workers import executors
from fedcoin.learning.workers.pool import WorkerPool
from tests.support.inline_workers import InlineWorker
from tests.support.mining_site import MiningSite, OpenMiningSite


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[WorkerPool]:
    """A worker pool on the module's event loop."""
    worker = WorkerPool()
    await worker.start()
    yield worker
    await worker.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path, worker: WorkerPool) -> AsyncIterator[OpenMiningSite]:
    """`site()` opens a mining site, which is closed after the test."""
    sites: list[MiningSite] = []

    def open_site(**options: Any) -> MiningSite:
        folder = tmp_path / str(len(sites))
        folder.mkdir()
        sites.append(MiningSite(folder, worker, **options))
        return sites[-1]

    yield open_site
    for each in sites:
        await each.close()


@pytest.fixture
def inline_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all workers in this process that are created from now on."""
    monkeypatch.setattr(executors, "LocalWorker", InlineWorker)


@pytest.fixture
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypt keys at the lowest cost: by default each use takes half a second and 256 MiB."""
    cost = Argon2Cost(pwhash.argon2id.OPSLIMIT_MIN, pwhash.argon2id.MEMLIMIT_MIN)
    monkeypatch.setattr(home, "save_key", partial(save_key, cost=cost))
