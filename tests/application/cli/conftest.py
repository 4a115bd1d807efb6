"""Running the command line in this process."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fedcoin.application.cli.entry import run
from fedcoin.application.configuration.home import Home
from tests.support.node_process import Live, started, wait_ready
from tests.support.ports import reserve_addresses
from tests.support.programs import quiet_logging


@dataclass(frozen=True)
class Outcome:
    """A command's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


CommandLine = Callable[..., Outcome]


@pytest.fixture(name="quiet_logging")
def undo_logging() -> Iterator[None]:
    """Undo a command's logging setup, which is meant for its own process."""
    with quiet_logging():
        yield


@pytest.fixture
def fedcoin(
    capfd: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    quiet_logging: None,
) -> CommandLine:
    """`fedcoin("keys", "list")` runs a command with its own user's home."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("user")))

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        for handler in logging.getLogger().handlers:
            handler.flush()  # A thread of its own writes the log, past `sys.stderr`.
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    home = Home(folder / "home")
    peers, api = reserve_addresses(2)
    listeners = ["--peers-listen", peers, "--api-listen", api]
    rules = ["--fund", "alice=100fdc", "--parameter", "unbonding_ms=1"]
    assert run(["init", "--home", str(home.root), *listeners, *rules]) == 0
    log = folder / "node.log"
    with started(home, log, "--mine") as process:
        wait_ready(api)
        yield Live(home, api, peers, process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert "ERROR" not in log.read_text()
