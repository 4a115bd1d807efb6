"""The option `--home` of every command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fedcoin.application.cli.root_command import cli
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

MAKES_HOMES = {"init", "keys new", "train client"}


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Find all commands below a group, by their names in order."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


WITH_HOMES = {
    name: command
    for name, command in commands(cli)
    if any(parameter.name == "home" for parameter in command.params)
}


def read_home(name: str, home: Path) -> None:
    """Read `--home` of a command, and then nothing else."""
    # An argument may be missing; options that are given are read first.
    with contextlib.suppress(click.UsageError):
        WITH_HOMES[name].make_context(name, ["--home", str(home)])


@pytest.mark.parametrize("name", sorted(WITH_HOMES))
def test_a_home_that_is_named_exists(name: str, tmp_path: Path) -> None:
    read_home(name, tmp_path)
    missing = tmp_path / "mistyped"
    if name in MAKES_HOMES:
        read_home(name, missing)
        return
    with pytest.raises(RefusalError) as caught:
        read_home(name, missing)
    assert caught.value.code is ApplicationCode.NO_HOME
    assert str(missing) in caught.value.message


def test_the_variable_names_a_home_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDCOIN_HOME", str(tmp_path / "mistyped"))
    with pytest.raises(RefusalError) as caught:
        WITH_HOMES["status"].make_context("status", [])
    assert caught.value.code is ApplicationCode.NO_HOME
    # The default home need not exist: a node on this machine can be asked without one.
    monkeypatch.delenv("FEDCOIN_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    WITH_HOMES["status"].make_context("status", [])
