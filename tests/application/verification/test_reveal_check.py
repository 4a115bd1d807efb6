"""`verify --recompute` evaluates again what a chain's miners revealed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.verification.reveal_check import RevealCheck, check_reveals
from fedcoin.contract.state import records
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.incentive.errors import IncentiveCode
from tests.support.settled_home import copy_home, settled_home, task_ids

pytestmark = pytest.mark.usefixtures("inline_workers")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return asyncio.run(settled_home(tmp_path_factory.mktemp("settled")))


def recomputed(home: Home) -> tuple[RevealCheck, int]:
    steps: list[None] = []
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        work = check_reveals(store, home.genesis(), home.artifacts_path, lambda: steps.append(None))
        return asyncio.run(work), len(steps)


def test_recomputing_agrees_with_every_reveal(sound: Home) -> None:
    found, steps = recomputed(sound)
    assert (found.reveals, found.leaves, found.missing, steps) == (6, 6 * 12, (), 6)
    # The least possible: the free masks of 12 of 16 one-mask blocks, and 12 walks of 5 clients.
    assert found.coalitions >= 3 * (2 + 10) + 3 * (2 + 12 * 4)


def artifact_of(home: Home, task_id: bytes) -> Path:
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        terms = records.TERMS.get(store, task_id)
    assert terms is not None
    return ArtifactStore(home.artifacts_path, 1 << 30).path(terms.aggregate)


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_it_says_which_artifact_is_not_there(sound: Home, tmp_path: Path, how: str) -> None:
    home = copy_home(sound, tmp_path / "home")
    _, second = task_ids(home)
    path = artifact_of(home, second)
    if how == "missing":
        path.unlink()
    else:
        raw = path.read_bytes()
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    found, steps = recomputed(home)
    (missing,) = found.missing
    assert missing.task_id == second.hex()
    assert missing.artifact[:16] in str(path)
    assert (found.reveals, steps) == (3, 6)


def test_a_lie_that_all_miners_voted_for(tmp_path: Path) -> None:
    home = asyncio.run(settled_home(tmp_path, lie=5))
    with pytest.raises(RefusalError) as caught:
        recomputed(home)
    refusal = caught.value
    assert refusal.code is IncentiveCode.AUDIT_FAILED
    first, _ = task_ids(home)
    assert f"task {first.hex()}" in refusal.message
    assert refusal.message.startswith("block ")
    assert "recomputed" in refusal.message
