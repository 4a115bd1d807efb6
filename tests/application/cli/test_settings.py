"""Which of two settings counts: a flag of its own, --set, a variable, the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from fedcoin.application.cli import start, train_server
from fedcoin.application.cli.start import flags_of
from fedcoin.application.configuration.config import tables

COMMANDS = [(start.start, start.SETTINGS), (train_server.server, train_server.SETTINGS)]
FLAGS = [(command, name) for command, names in COMMANDS for name in names]


def parameters(command: click.Command) -> dict[str | None, click.Parameter]:
    return {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize(("command", "names"), COMMANDS)
def test_flags_stand_for_settings_that_exist(command: click.Command, names: dict[str, str]) -> None:
    assert set(names) <= set(parameters(command))
    known = {f"{table}.{name}" for table, make in tables().items() for name in make.__slots__}
    assert set(names.values()) <= known


VALUES = {
    "mine": (), "coordinate": (), "insecure": (), "log_level": ("debug",), "log_format": ("json",),
    "key_name": ("k",), "clients": ("3",), "rounds": ("3",), "budget": ("3fdc",),
    "dataset": ("digits",), "model": ("cnn",), "epochs": ("3",), "training_seed": ("3",),
}  # fmt: skip


@pytest.mark.parametrize(("command", "name"), FLAGS, ids=[f"{c.name}-{name}" for c, name in FLAGS])
def test_no_flag_stands_against_set(fedcoin: Any, command: click.Command, name: str) -> None:
    flag = parameters(command)[name].opts[0]
    (setting,) = (names[name] for c, names in COMMANDS if c is command)
    words = ["train", "server"] if command.name == "server" else ["start"]
    given = [flag, *VALUES.get(name, ("127.0.0.1:1",))]
    for order in ([*given, "--set", f"{setting}=x"], ["--set", f"{setting}=x", *given]):
        outcome = fedcoin(*words, *order)
        assert outcome.code == 2
        assert f"{setting} is given twice, by {flag} and by --set" in outcome.err
        assert not outcome.out


def test_one_setting_set_twice(fedcoin: Any) -> None:
    outcome = fedcoin("start", "--set", "log.level=info", "--set", "log.level=debug")
    assert outcome.code == 2
    assert "log.level is given twice, by --set and by --set" in outcome.err


def test_publish_has_one_payer(fedcoin: Any, tmp_path: Path) -> None:
    common = ["task", "publish", tmp_path, "--home", tmp_path]
    twice = fedcoin(*common, "--key", "alice", "--set", "coordinator.key=bob")
    assert (twice.code, "by --key and by --set" in twice.err) == (2, True)
    twice = fedcoin(*common, "--budget", "1fdc", "--set", "coordinator.budget=2fdc")
    assert (twice.code, "by --budget and by --set" in twice.err) == (2, True)
    fedcoin("keys", "new", "other", "--home", tmp_path)
    missing = fedcoin(*common, "--set", "coordinator.key=bob")
    assert (missing.code, "no key 'bob'" in missing.err) == (1, True)


def test_what_is_given() -> None:
    with click.Context(start.start):
        given = {"mine": False, "api_listen": None, "seed": (), "log_level": "debug"}
        flags = flags_of([("coordinator.rounds", "7")], given, start.SETTINGS)
    assert flags == {"miner.enabled": False, "log.level": "debug", "coordinator.rounds": "7"}


def test_a_new_campaign_needs_a_coordinator(fedcoin: Any, tmp_path: Path) -> None:
    fedcoin("init", "--home", tmp_path / "a")
    outcome = fedcoin("start", "--home", tmp_path / "a", "--new-campaign")
    assert (outcome.code, "add --coordinate" in outcome.err) == (2, True)
