"""`fedcoin-node artifacts` lists and deletes what a home keeps of closed tasks."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from tests.support.settled_home import settled_home

HOUR = 3600.0


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return asyncio.run(settled_home(tmp_path_factory.mktemp("settled")))


def test_the_command_lists_and_deletes_what_is_idle(settled: Home, fedcoin: Any) -> None:
    listed = fedcoin("artifacts", "list", "--home", settled.root, "--json").json
    idle = {one["id"] for one in listed if not one["needed"]}
    assert len(listed) == len(list(settled.artifacts_path.glob("*.data")))
    assert idle, "closed tasks left artifacts"
    for path in settled.artifacts_path.glob("*.data"):
        os.utime(path, (time.time() - 5 * HOUR,) * 2)
    would = fedcoin("artifacts", "prune", "--home", settled.root, "--older-than", 4, "--dry-run")
    assert (would.code, f"{len(idle)} artifacts" in would.err) == (0, True)
    assert fedcoin("artifacts", "prune", "--home", settled.root, "--json").json == []
    done = fedcoin("artifacts", "prune", "--home", settled.root, "--older-than", 4, "--json").json
    assert {one["id"] for one in done} == idle
    left = {path.stem for path in settled.artifacts_path.glob("*.data")}
    assert left == {one["id"] for one in listed} - idle


def test_prune_refuses_a_home_in_use(settled: Home, fedcoin: Any) -> None:
    with settled.locked():
        outcome = fedcoin("artifacts", "prune", "--home", settled.root)
    assert (outcome.code, "HOME_IN_USE" in outcome.err) == (1, True)
