"""What the checks of the machine say, and from which measure on."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration import descriptor_limit
from fedcoin.application.configuration.config import (
    ApiConfig,
    LimitsConfig,
    MinerConfig,
    NodeConfig,
)
from fedcoin.application.configuration.cpu_count import CpuCount
from fedcoin.application.diagnosis.finding import Finding, Level, is_healthy
from fedcoin.application.diagnosis.machine_checks import (
    check_descriptors,
    check_disk,
    check_inodes,
    check_libraries,
    check_processors,
    check_proxies,
)


@pytest.mark.parametrize(
    ("free", "level"),
    [(10**8, Level.WRONG), (10**9, Level.WARNING), (10**10, Level.OK)],
)
def test_room_on_the_disk(
    free: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(10**12, 10**12 - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    config = NodeConfig(limits=LimitsConfig(artifacts_total_bytes=5 * 10**9))
    # A home that does not exist yet is on the disk of its folder.
    assert next(check_disk(tmp_path / "new" / "home", config)).level is level


def test_free_inodes() -> None:
    (few,) = check_inodes(10**6, 100)
    (many,) = check_inodes(10**6, 10**5)
    assert (few.level, many.level) == (Level.WRONG, Level.OK)
    assert not list(check_inodes(0, 0))  # a file system without a fixed number of them


def test_a_limit_on_open_files_below_what_the_settings_need() -> None:
    config = NodeConfig(api=ApiConfig(max_streams=5000))
    needed = descriptor_limit.needed_descriptors(config)
    levels = [
        next(check_descriptors(config, soft, hard)).level
        for soft, hard in [(1024, 4096), (1024, needed), (needed, needed)]
    ]
    assert levels == [Level.WRONG, Level.OK, Level.OK]


def test_the_limit_on_open_files_is_raised_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    set_to: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: set_to.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    descriptor_limit.raise_descriptor_limit(NodeConfig())
    needed = descriptor_limit.needed_descriptors(NodeConfig())
    assert (set_to, caplog.records) == ([(needed, 4096)], [])
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 300))
    descriptor_limit.raise_descriptor_limit(NodeConfig())
    assert set_to[1:] == [(300, 300)]
    assert f"may open 300 files, and the settings may need {needed}" in caplog.text


def test_a_quota_below_one_processor_and_too_many_workers() -> None:
    def level(miner: MinerConfig, cpus: CpuCount) -> Level:
        return next(check_processors(NodeConfig(miner=miner), cpus)).level

    assert level(MinerConfig(), CpuCount(8, 0.5)) is Level.WARNING
    assert level(MinerConfig(enabled=True, processes=9), CpuCount(8, None)) is Level.WARNING
    assert level(MinerConfig(enabled=True, processes=8), CpuCount(8, None)) is Level.OK


def test_a_proxy_is_named_without_its_password() -> None:
    url = "http://me:secret@proxy:3128"
    (found,) = check_proxies("", {"https_proxy": url})
    assert found.text.startswith("https_proxy is http://proxy:3128, and is not used")
    (found,) = check_proxies(url, {})
    assert found.text.startswith("api.proxy is http://proxy:3128;")
    assert next(check_proxies("", {})).text == "no proxy is set"


def test_libraries_are_compared_with_what_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [found.level for found in check_libraries()] == [Level.OK]
    wanted = ["numpy>=999", "no-such-library>=1", "click>=8", "ray>=999; extra == 'ray'"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    old, missing = check_libraries()
    assert old.text == f"numpy is {metadata.version('numpy')}, and must be >=999"
    assert missing.text == "no-such-library is not installed"
    assert missing.advice == "pip install 'no-such-library>=1'"


def test_only_what_is_wrong_is_unhealthy() -> None:
    fine = [Finding("a", level, "") for level in Level if level is not Level.WRONG]
    assert is_healthy(fine)
    assert not is_healthy([*fine, Finding("a", Level.WRONG, "")])
