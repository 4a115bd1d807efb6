"""Precedence of settings: a flag of its own, --set, an environment variable, the file."""

from __future__ import annotations

from typing import Any

import click
import pytest

from fedcoin.application.cli.nodes import start
from fedcoin.application.cli.shared.settings_options import flags_of
from fedcoin.application.cli.training.train import server as train_server
from fedcoin.application.configuration.config import tables

COMMANDS = [(start.start, start.SETTINGS), (train_server.server, train_server.SETTINGS)]


FLAGS = [(command, name) for command, names in COMMANDS for name in names]


def parameters(command: click.Command) -> dict[str | None, click.Parameter]:
    return {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize(("command", "names"), COMMANDS)
def test_flags_set_existing_settings(command: click.Command, names: dict[str, str]) -> None:
    assert set(names) <= set(parameters(command))
    known = {f"{table}.{name}" for table, make in tables().items() for name in make.__slots__}
    assert set(names.values()) <= known


VALUES = {
    "mine": (), "coordinate": (), "insecure": (), "log_level": ("debug",), "log_format": ("json",),
    "key_name": ("k",), "clients": ("3",), "rounds": ("3",), "budget": ("3fdc",),
    "dataset": ("digits",), "scale": ("16",), "model": ("cnn",), "epochs": ("3",),
    "training_seed": ("3",), "utility": ("auc",), "private": (),
}  # fmt: skip


@pytest.mark.parametrize(("command", "name"), FLAGS, ids=[f"{c.name}-{name}" for c, name in FLAGS])
def test_a_flag_and_set_for_one_setting_are_refused(
    fedcoin: Any, command: click.Command, name: str
) -> None:
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


def test_what_is_given() -> None:
    with click.Context(start.start):
        given = {"mine": False, "api_listen": None, "seed": (), "log_level": "debug"}
        flags = flags_of([("coordinator.rounds", "7")], given, start.SETTINGS)
    assert flags == {"miner.enabled": False, "log.level": "debug", "coordinator.rounds": "7"}
