from __future__ import annotations

import logging
import sys
from importlib.util import find_spec

import pytest

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.cpu_count import CpuCount, count_usable_cpus
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.mining import executor
from fedcoin.application.mining.executor import make_executor, ray_variables, start_early
from fedcoin.data.errors import RefusalError
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.process import NO_BOUNDS


def test_a_miner_uses_every_core_by_default() -> None:
    assert make_executor(MinerConfig(enabled=True), NO_BOUNDS).num_workers == count_usable_cpus()
    assert make_executor(MinerConfig(enabled=True, processes=3), NO_BOUNDS).num_workers == 3


def test_a_cpu_quota_decides_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(executor, "count_cpus", lambda: CpuCount(16, 3.5))
    caplog.set_level(logging.INFO, logger="fedcoin")
    assert make_executor(MinerConfig(enabled=True), NO_BOUNDS).num_workers == 3
    assert caplog.messages == [
        "coalitions are evaluated in 3 worker processes: 16 cores, of which a cgroup's CPU quota "
        "allows 3.5"
    ]


def test_a_node_that_does_not_mine_has_one_process() -> None:
    assert make_executor(MinerConfig(executor="ray", processes=3), NO_BOUNDS).num_workers == 1


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_ray_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else the variables would stay set
    with pytest.raises(RefusalError, match=r"miner.executor is 'ray', .*fedcoin\[ray\]") as caught:
        make_executor(MinerConfig(enabled=True, executor="ray"), NO_BOUNDS)
    assert caught.value.code is ApplicationCode.BAD_CONFIG


async def test_workers_that_do_not_start_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    pool = WorkerPool()
    await start_early(pool)
    await pool.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "the next task will try again" in caplog.messages[-1]


def test_an_own_ray_cluster_has_a_token_that_no_file_holds() -> None:
    first, second = (ray_variables("", {"HOME": "/root"}) for _ in range(2))
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        ("10.0.0.5:6379", {}, {}),  # Ray's own default
        ("", {"RAY_ADDRESS": "10.0.0.5:6379"}, {}),
        ("10.0.0.5:6379", {"RAY_AUTH_TOKEN_PATH": "/t"}, {"RAY_AUTH_MODE": "token"}),
        ("", {"RAY_AUTH_TOKEN": "secret"}, {"RAY_AUTH_MODE": "token"}),
        ("10.0.0.5:6379", {"RAY_AUTH_TOKEN": "x", "RAY_AUTH_MODE": "disabled"}, {}),
        ("", {"RAY_AUTH_MODE": "disabled"}, {}),
    ],
)
def test_a_token_is_sent_to_an_address_when_a_variable_names_it(
    address: str, environment: dict[str, str], expected: dict[str, str]
) -> None:
    assert ray_variables(address, environment) == expected
