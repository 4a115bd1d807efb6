"""Test networks run as real processes; what is wrong with one becomes its exit code."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import pytest

from fedcoin.testing.networks.network_run import choose_limit, run_network
from fedcoin.testing.networks.plan_parsing import read_plan
from tests.support.paths import TESTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

SHORT = TESTS / "networks" / "short.toml"


async def test_the_short_network_survives_its_faults(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = await run_network(read_plan(SHORT), tmp_path, said.append)
    assert outcome.faults == ()
    assert outcome.num_final > 4
    assert outcome.height > 0
    assert [line.split(": ")[1] for line in said if " s: " in line] == [
        "kill c for 1 s",
        "partition a, b | c, d for 1.5 s",
        "restart b for 1 s",
    ]


async def test_what_is_wrong_with_a_network_is_reported(tmp_path: Path) -> None:
    plan = dataclasses.replace(
        read_plan(SHORT), nodes=read_plan(SHORT).nodes[:1], faults=(), seconds=1.0, max_memory_mib=1
    )
    outcome = await run_network(plan, tmp_path)
    assert len(outcome.faults) == 1
    assert "MiB of memory, but may have 1 MiB" in outcome.faults[0]
    assert "short: 1 faults" in str(outcome)


async def test_a_network_that_is_stuck_is_ended_and_reported(tmp_path: Path) -> None:
    plan = dataclasses.replace(
        read_plan(SHORT), nodes=read_plan(SHORT).nodes[:1], faults=(), seconds=600.0
    )
    assert choose_limit(plan) > plan.seconds
    began = time.monotonic()
    outcome = await run_network(plan, tmp_path, limit_seconds=3.0)
    assert outcome.faults[0] == "the run did not end within 3 s"
    assert time.monotonic() - began < 120
