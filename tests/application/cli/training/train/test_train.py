"""`train client` beside a node that coordinates, and what the three commands refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.application.cli.training.train.client import parse_share
from fedcoin.application.configuration.home import Home
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.training.datasets import load_dataset
from tests.support.node_process import started, wait_ready, wait_said
from tests.support.paths import ROOT
from tests.support.ports import reserve_addresses


@pytest.mark.timeout(300)
def test_one_node_that_does_everything(fedcoin: Any, tmp_path: Path) -> None:
    home = Home(tmp_path / "a")
    peers, api, server = reserve_addresses(3)
    fedcoin("init", "--home", home.root, "--peers-listen", peers, "--api-listen", api)
    campaign = ["--coordinator-listen", server, "--set", "coordinator.rounds=1"]
    campaign += ["--set", "coordinator.epochs=1"]
    with started(home, tmp_path / "a.log", "--mine", "--coordinate", *campaign):
        wait_ready(api)
        trained = fedcoin(
            "train", "client", "--home", tmp_path / "c", "--server", server, "--data", "digits",
            "--share", "1/4", "--json", "--genesis", home.genesis_path,
        )  # fmt: skip
        assert trained.code == 0, trained.err
        tasks = fedcoin("task", "list", "--home", home.root, "--json").json
        # The client may learn of its pay before the coordinator has finished.
        wait_said(tmp_path / "a.log", "the campaign is finished")
    (paid,) = trained.json
    assert paid["task_id"] == tasks[0]["task_id"]
    gain = tasks[0]["clients"][0]["shapley_nano"]
    assert gain > 0
    # 70 FDC, all that the budget has for training, buy the step from 0 to 100 % accuracy.
    assert paid["payout"] == tasks[0]["clients"][0]["payout"] == gain * 70 * SAP_PER_FDC // 10**9
    assert (tmp_path / "c/keys/node.key").exists()
    assert "ERROR" not in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["train", "simulate", "DIR", "--clients", "1", "--free-riders", "2"], 2, "fewer"),
        (["train", "simulate", "DIR", "--dataset", "nonsense"], 1, "UNKNOWN_DATASET"),
        (["train", "simulate", "DIR", "--model", "nonsense"], 1, "UNKNOWN_MODEL"),
        (["train", "client", "--data", "x.npz"], 2, "--server"),
        (["train", "client", "--data", "digits", "--server", "x:1", "--share", "3/2"], 2, "I/N"),
        (["train", "client", "--data", "digits", "--server", "x:1"], 1, "NO_GENESIS"),
        (
            ["train", "client", "--data", "x", "--server", "x:1", "--genesis", "x"],
            2,
            "64 hex digits",
        ),
        (["train", "server", "--set", "nonsense"], 2, "TABLE.NAME=VALUE"),
        (["train", "server", "--set", "coordinator.nonsense=1"], 1, "UNKNOWN_SETTING"),
        (["train", "server", "--rounds", "0"], 1, "coordinator.rounds"),
        (["train", "server", "--listen", "0.0.0.0:1"], 1, "EXPOSED"),
        (["train", "server"], 1, "NO_KEY"),
    ],
)
def test_refusals(fedcoin: Any, tmp_path: Path, arguments: list[str], code: int, word: str) -> None:
    home = [] if arguments[1] == "simulate" else ["--home", str(tmp_path / "home")]
    (tmp_path / "home").mkdir()
    given = [str(tmp_path / "new") if a == "DIR" else a for a in arguments]
    outcome = fedcoin(*given, *home)
    assert (outcome.code, word in outcome.err) == (code, True), outcome.err
    assert not outcome.out


@pytest.mark.parametrize("value", ["", "1", "0/2", "3/2", "a/b", "1/", "-1/2", "²/3"])
def test_no_shares(value: str) -> None:
    with pytest.raises(ValueError, match="I/N"):
        parse_share(value)


def test_shares() -> None:
    assert parse_share("2/5") == (2, 5)


@pytest.mark.parametrize("command", [("train", "simulate", "new"), ("devnet", "--keep", "new")])
def test_a_bad_partition_is_refused_before_anything_is_written(
    fedcoin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = fedcoin(*command, "--partition", "labels:0")
    assert outcome.code == 1
    assert "BAD_PARTITION" in outcome.err
    assert not (tmp_path / "new").exists()


def test_a_bad_list_of_clients_is_refused(fedcoin: Any, tmp_path: Path) -> None:
    (tmp_path / "clients.json").write_text("[]")
    outcome = fedcoin("train", "clients", tmp_path / "clients.json", "--server", "127.0.0.1:9")
    assert outcome.code == 2
    assert "lists 0 clients" in outcome.err


def write_program(path: Path, code: str) -> str:
    """Write a training program; returns the command that runs it."""
    path.write_text(code)
    return f"{sys.executable} {path}"


@pytest.mark.timeout(300)
def test_programs_of_clients(fedcoin: Any, tmp_path: Path) -> None:
    """A failing, a hanging and a garbage-writing program are explained; a good one is paid."""
    home = Home(tmp_path / "a")
    peers, api, server = reserve_addresses(3)
    fedcoin("init", "--home", home.root, "--peers-listen", peers, "--api-listen", api)
    campaign = ["--coordinator-listen", server, "--set", "coordinator.rounds=1"]
    bad = {
        "exit code 3": "print('no data here'); raise SystemExit(3)",
        "was stopped after 2 s (--time-limit)": "import time; time.sleep(600)",
        "UNREADABLE_FILE": "import os\n"
        "open(os.environ['FEDCOIN_ROUND_UPDATE'], 'wb').write(os.urandom(99))",
    }
    client = ["train", "client", "--home", tmp_path / "c", "--server", server, "--json"]
    client += ["--genesis", home.genesis_path, "--time-limit"]
    digits = load_dataset("digits")
    np.savez(tmp_path / "mine.npz", x_train=digits.x_train, y_train=digits.y_train)
    with started(home, tmp_path / "a.log", "--mine", "--coordinate", *campaign):
        wait_ready(api)
        for words, code in bad.items():
            failed = fedcoin(*client, "2", "--command", write_program(tmp_path / "bad.py", code))
            assert failed.code == 1, failed.err
            assert words in failed.err
        good = f"{sys.executable} {ROOT / 'examples/train_numpy.py'} {tmp_path / 'mine.npz'}"
        trained = fedcoin(*client, "100", "--command", good)
        assert trained.code == 0, trained.err
        assert "epoch 5: loss 0." in trained.err
        wait_said(tmp_path / "a.log", "the campaign is finished")
    (paid,) = trained.json
    assert (paid["status"], paid["num_samples"]) == ("paid", 1437)
    assert paid["shapley_nano"] > 500_000_000
    assert paid["payout"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "either --data or --command"),
        (["--data", "digits", "--command", "x"], "either --data or --command"),
        (["--command", "x", "--share", "1/2"], "reads its data itself"),
        (["--command", ""], "must name a program"),
        (["--data", "digits", "--time-limit", "5"], "--time-limit is for --command"),
        (["--data", "digits", "--clip", "1"], "both --clip and --noise-multiplier"),
        (["--data", "digits", "--noise-multiplier", "1"], "both --clip and --noise-multiplier"),
        (["--data", "digits", "--delta", "0.1"], "--delta is for --clip"),
        (["--data", "digits", "--claim-privacy"], "--claim-privacy is for --command"),
        (["--command", "x", "--clip", "1", "--noise-multiplier", "1"], "must clip and add noise"),
    ],
)
def test_options_of_programs(fedcoin: Any, options: list[str], words: str) -> None:
    refused = fedcoin("train", "client", "--server", "127.0.0.1:9", *options)
    assert refused.code == 2
    assert words in refused.err
