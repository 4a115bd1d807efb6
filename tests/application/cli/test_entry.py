"""How the program ends, and what it says when a command fails."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.application.cli.root_command import cli


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("status", "--nonsense"), ("tx",), ("tx", "xyz"), ("send", "fc1")]
)
def test_wrong_usage(fedcoin: Any, arguments: tuple[str, ...]) -> None:
    outcome = fedcoin(*arguments)
    assert outcome.code == 2
    assert "Usage:" in outcome.err
    assert not outcome.out


def test_all_missing_parameters_are_named_at_once(
    fedcoin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: str) -> str:
        outcome = fedcoin(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        return str(outcome.err).splitlines()[-1]

    everything = "'--model', '--base', '--updates', '--data'"
    assert missing("shapley") == f"Error: Missing: {everything}. All of them are needed."
    given = ("--base", "base.npz", "--data", "test.npz")
    assert "Missing: '--model', '--updates'." in missing("shapley", *given)
    assert missing("shapley", *given, "--model", "m") == "Error: Missing option '--updates'."
    # Arguments, too, which click reads before the options that are not given.
    keys = missing("keys", "policy", "create")
    assert "'KEY...', '--threshold', '--out'" in keys
    # One of two is needed, and neither is there.
    assert "'--server', either '--data' or '--command'." in missing("train", "client")
    assert "'--server'." in missing("train", "client", "--data", "digits")
    assert "'CAMPAIGN', either '[FILE]' or '--anybody'" in missing("task", "clients", "set")
    # What a variable gives is not missing.
    monkeypatch.setenv("FEDCOIN_SERVER", "127.0.0.1:1")
    assert "'--server'" not in missing("train", "client")


def test_refusals_are_one_sentence_with_a_code(fedcoin: Any, tmp_path: Any) -> None:
    outcome = fedcoin("account", "--home", tmp_path)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("Error: ")
    assert outcome.err.rstrip().endswith("[NO_KEY]")


def test_an_unreachable_node_is_named(fedcoin: Any, tmp_path: Any) -> None:
    outcome = fedcoin("status", "--home", tmp_path, "--node", "127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: 127.0.0.1:1: cannot be reached")
    assert outcome.err.rstrip().endswith("[UNAVAILABLE]")


def test_bugs_say_that_they_are(fedcoin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(cli, "main", broken)
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

    monkeypatch.setattr(cli, "main", interrupted)
    assert fedcoin("status").code == 1
