"""`--watch SECONDS`: which commands have it, and what it does."""

from __future__ import annotations

import time

import click
import pytest
from grpc import StatusCode

from fedcoin.application.cli.entry import run
from fedcoin.application.cli.root_command import cli
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.network.client.rpc_error import RpcError

WATCHED = ["status", "peers", "validators", "fees", "account", "block", "tx"]
WATCHED_TASKS = ["list", "show"]


def options_of(command: click.Command | None) -> set[str]:
    assert command is not None
    return {option for each in command.params for option in each.opts}


def test_reading_commands_can_be_watched() -> None:
    context = click.Context(cli)
    task = cli.get_command(context, "task")
    assert isinstance(task, click.Group)
    found = [cli.get_command(context, name) for name in WATCHED]
    found += [task.get_command(context, name) for name in WATCHED_TASKS]
    assert all("--watch" in options_of(command) for command in found)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the pauses; the third is Ctrl-C."""
    seen: list[float] = []

    def sleep(seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    return seen


def test_it_shows_again_until_it_is_interrupted(
    pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[int] = []

    @click.command()
    @watch_option
    def show() -> None:
        shown.append(len(shown))
        if len(shown) == 2:
            raise RpcError(StatusCode.UNAVAILABLE, "UNAVAILABLE", "is away", target="a:1")
        click.echo(f"look {len(shown)}")

    assert run(["--watch", "2"], show) == 0
    assert pauses == [2.0, 2.0, 2.0]
    output = capsys.readouterr()
    assert output.out == "look 1\nlook 3\n"
    assert output.err == "a:1: is away; asking again\n"
    assert run([], show) == 0
    assert len(shown) == 4


def test_what_does_not_pass_ends_it(
    pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    @watch_option
    def show() -> None:
        raise RpcError(StatusCode.NOT_FOUND, "TASK_NOT_FOUND", "no such task", target="a:1")

    assert run(["--watch", "2"], show) == 1
    assert "[TASK_NOT_FOUND]" in capsys.readouterr().err
    assert pauses == []


def test_it_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    @watch_option
    def show() -> None:
        raise AssertionError("nothing is shown")

    assert run(["--watch", "2", "--watch", "3"], show) == 2
    assert "--watch is given twice" in capsys.readouterr().err
