from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from typing import Any

import click
import pytest
from grpc import StatusCode

from fedcoin import __version__
from fedcoin.application.cli import entry
from fedcoin.application.cli.failures import explain
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.network.client.rpc_error import RpcError


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """All commands, those in groups too."""
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


ALL = commands(entry.cli)


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
        " if m in sys.modules), file=sys.stderr)"
    )
    took = []
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        took.append(time.monotonic() - started)
    assert done.stderr.strip() == "[]"
    assert min(took) < 1.0  # 0.1 s on an idle machine


def test_no_command_imports_tensorflow() -> None:
    program = (
        "import sys\n"
        "from fedcoin.application.cli import entry\n"
        "import click\n"
        "for name in entry.cli.list_commands(None): entry.cli.get_command(None, name)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_version_option(fedcoin: Any) -> None:
    assert fedcoin("--version").out.strip().endswith(__version__)


def test_version(fedcoin: Any) -> None:
    found = fedcoin("version", "--json").json
    assert found["version"] == __version__
    assert found["protocol_version"] == 1
    assert "tensorflow" in fedcoin("version").out


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("status", "--nonsense"), ("tx",), ("tx", "xyz"), ("send", "fc1")]
)
def test_wrong_usage(fedcoin: Any, arguments: tuple[str, ...]) -> None:
    outcome = fedcoin(*arguments)
    assert outcome.code == 2
    assert "Usage:" in outcome.err
    assert not outcome.out


def test_refusals_are_one_sentence_with_a_code(fedcoin: Any, tmp_path: Any) -> None:
    outcome = fedcoin("account", "--home", tmp_path)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("Error: ")
    assert outcome.err.rstrip().endswith("[NO_KEY]")


def test_nobody_there(fedcoin: Any, tmp_path: Any) -> None:
    outcome = fedcoin("status", "--home", tmp_path, "--node", "127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: 127.0.0.1:1: cannot be reached")
    assert outcome.err.rstrip().endswith("[UNAVAILABLE]")


def test_bugs_say_that_they_are(fedcoin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(entry.cli, "main", broken)
    outcome = fedcoin("status")
    assert outcome.code == 1
    assert "KeyError" in outcome.err
    assert "[INTERNAL]" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.setenv("FEDCOIN_DEBUG", "1")
    with pytest.raises(KeyError):
        fedcoin("status")


def test_interrupted(fedcoin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry.cli, "main", interrupted)
    assert fedcoin("status").code == 1


def test_explanations() -> None:
    refusal = RefusalError(ApplicationCode.NO_KEY, "no key")
    assert explain(refusal).code == "NO_KEY"
    assert explain(WorkerError("worker 7 died")).code == "WORKER_FAILED"
    assert explain(sqlite3.OperationalError("disk is full")).code == "STORE_FAILED"
    bug = explain(ValueError("oops"))
    assert (bug.code, bug.unexpected) == ("INTERNAL", True)
    lost = explain(RpcError(StatusCode.UNAVAILABLE, "UNAVAILABLE", "is away", target="a:1"))
    assert (lost.sentence, lost.code) == ("a:1: is away", "UNAVAILABLE")
    assert not lost.unexpected
    missing = explain(FileNotFoundError(2, "No such file or directory", "x.npz"))
    assert missing.sentence == "x.npz: No such file or directory"
    assert missing.code == "OS_ERROR"
    assert not missing.unexpected
