from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from fedcoin.application.devnet.child_processes import (
    ChildProcesses,
    child_environment,
    read_tail,
)
from fedcoin.application.errors import ApplicationCode
from tests.application.devnet.conftest import refused

SERVER = ["0", "--bind", "127.0.0.1"]
"""Arguments of Python's `http.server`, which runs until it is killed."""


def test_processes_end_with_the_context(tmp_path: Path) -> None:
    with ChildProcesses(tmp_path) as processes:
        processes.start("version", ["version"], lasting=False)
        asyncio.run(processes.wait("version", 60))
        processes.check()
        assert "protocol_version" in (tmp_path / "version.log").read_text()


def test_nothing_is_imported_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "fedcoin", "click", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from here')")
    monkeypatch.chdir(tmp_path)
    with ChildProcesses(tmp_path / "logs") as processes:
        processes.start("version", ["version"], lasting=False)
        asyncio.run(processes.wait("version", 60))
    assert "protocol_version" in (tmp_path / "logs/version.log").read_text()


def test_a_failed_process_is_reported_with_its_log(tmp_path: Path) -> None:
    with ChildProcesses(tmp_path) as processes:
        processes.start("broken", ["status", "--node", "127.0.0.1:1"], lasting=True)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(asyncio.wait_for(processes.watch(), 30))
    assert "broken failed with exit code 1" in caught.value.message
    assert "cannot be reached" in caught.value.message


def test_a_lasting_process_must_not_end(tmp_path: Path) -> None:
    with ChildProcesses(tmp_path) as processes:
        processes.start("version", ["version"], lasting=True)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(asyncio.wait_for(processes.watch(), 30))
    assert "ended too early" in caught.value.message


def test_the_exit_code_is_none_until_a_process_has_ended(tmp_path: Path) -> None:
    with ChildProcesses(tmp_path) as processes:
        processes.start("server", SERVER, lasting=False, module="http.server")
        assert processes.exit_code("server") is None
        assert asyncio.run(processes.wait_for_code("server", 0.01)) is None
        os.kill(processes.pid("server"), signal.SIGKILL)
        assert asyncio.run(processes.wait_for_code("server", 30)) == -signal.SIGKILL


def test_a_killed_process_is_reported(tmp_path: Path) -> None:
    with ChildProcesses(tmp_path) as processes:
        processes.start("waiting", SERVER, lasting=False, module="http.server")
        os.kill(processes.pid("waiting"), signal.SIGKILL)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(asyncio.wait_for(processes.watch(), 30))
    assert "SIGKILL" in caught.value.message


def test_a_process_that_runs_on_is_reported(tmp_path: Path) -> None:
    with ChildProcesses(tmp_path) as processes:
        processes.start("waiting", SERVER, lasting=False, module="http.server")
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(processes.wait("waiting", 0.2))
    assert "waiting did not end in time" in caught.value.message


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("\n".join(f"line {i}" for i in range(100_000)))
    assert read_tail(log).splitlines()[-1].strip() == "line 99999"
    assert len(read_tail(log).splitlines()) == 15
    log.write_text("")
    assert "nothing" in read_tail(log)


def test_processes_get_no_settings_of_the_user() -> None:
    inner = child_environment({"FEDCOIN_API_LISTEN": "x", "FEDCOIN_MNIST": "m", "PATH": "/bin"})
    assert "FEDCOIN_API_LISTEN" not in inner
    assert (inner["FEDCOIN_MNIST"], inner["PATH"]) == ("m", "/bin")
    assert inner["OMP_NUM_THREADS"] == "1"
