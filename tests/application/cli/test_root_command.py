"""Every command, its help, and how quickly it appears."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest

from fedcoin import __version__
from fedcoin.application.cli.root_command import cli


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return all commands, including those in groups."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


ALL = commands(cli)


def test_every_promised_command_is_there() -> None:
    promised = ["init", "start", "devnet", "status", "peers", "validators", "account", "block"]
    promised += ["tx", "send", "bond", "unbond", "verify", "version"]
    promised += ["task list", "task show", "task watch", "task publish"]
    promised += ["train server", "train client", "train simulate"]
    promised += ["keys new", "keys list", "keys show"]
    assert {" ".join(path) for path, _ in ALL} >= set(promised)


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_help_shows_an_example(fedcoin: Any, path: tuple[str, ...]) -> None:
    outcome = fedcoin(*path, "--help")
    assert outcome.code == 0
    assert "Example:" in outcome.out
    assert f"fedcoin-node {' '.join(path)}" in outcome.out.split("Example:")[1]


@pytest.mark.parametrize(
    "path",
    [
        ("status",), ("peers",), ("validators",), ("account",), ("block",), ("tx",), ("verify",),
        ("version",), ("task", "list"), ("task", "show"), ("task", "watch"), ("keys", "list"),
        ("keys", "show"), ("devnet",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_reading_commands_have_json(fedcoin: Any, path: tuple[str, ...]) -> None:
    assert "--json" in fedcoin(*path, "--help").out


def test_help_is_quick_and_light() -> None:
    program = (
        "import sys; from fedcoin.application.cli.entry import run; run(['--help']);"
        "print(sorted(m for m in ('tensorflow', 'keras', 'grpc', 'numpy', 'google.protobuf')"
        " if m in sys.modules), time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import time; {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules, seconds = done.stderr.rsplit(maxsplit=1)
    assert modules == "[]"
    # Processor time, which other work on the machine hardly changes; 0.1 s on an idle one.
    assert float(seconds) < 1.0


def test_no_command_imports_tensorflow() -> None:
    program = (
        "import sys\n"
        "from fedcoin.application.cli.root_command import cli\n"
        "import click\n"
        "for name in cli.list_commands(None): cli.get_command(None, name)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_version_option(fedcoin: Any) -> None:
    assert fedcoin("--version").out.strip().endswith(__version__)


@pytest.mark.parametrize(
    ("written", "meant"), [("statsu", "status"), ("tasks", "task"), ("devent", "devnet")]
)
def test_a_command_that_is_misspelt_is_guessed(fedcoin: Any, written: str, meant: str) -> None:
    outcome = fedcoin(written)
    assert outcome.code == 2
    assert f"Did you mean {meant}" in outcome.err
    assert "Did you mean" not in fedcoin("qqqqqq").err
