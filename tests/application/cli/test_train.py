"""Training without a network, and what becomes of it on one. The rest is in `test_by_hand.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.cli.train_client import parse_share
from fedcoin.application.configuration.home import Home
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.node_process import Live, started, wait_ready, wait_said
from tests.support.ports import reserve_addresses


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fedcoin.application.cli.entry import run

    folder = tmp_path_factory.mktemp("simulated") / "weights"
    arguments = ["--clients", "3", "--mislabelled", "1", "--free-riders", "1", "--epochs", "1"]
    assert run(["train", "simulate", str(folder), *arguments, "--evaluation-size", "100"]) == 0
    return folder


def test_publish_values_and_pays(fedcoin: Any, live: Live, weights: Path) -> None:
    home = live.home.root
    outcome = fedcoin(
        "task", "publish", weights, "--budget", "10fdc", "--home", home, "--wait", "--json",
        "--set", "coordinator.reward=pro_rata",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    task = outcome.json
    assert task["phase"] == "settled"
    assert len(task["clients"]) == 3
    assert sum(client["payout"] for client in task["clients"]) == 7 * SAP_PER_FDC
    assert sum(miner["reward"] for miner in task["miners"]) == 2 * SAP_PER_FDC
    assert task["evaluation_size"] == 100
    assert "is open" in outcome.err

    shown = fedcoin("task", "show", task["task_id"], "--home", home, "--json").json
    assert shown["clients"] == task["clients"]
    assert {p["kind"] for p in shown["payments"]} >= {"training", "aggregation", "mining"}
    out = fedcoin("task", "show", task["task_id"], "--home", home).out
    assert "PAYOUT" in out
    assert task["winner"] in out
    listed = fedcoin("task", "list", "--home", home, "--json").json
    assert [view["task_id"] for view in listed] == [task["task_id"]]
    assert fedcoin("task", "list", "--open", "--home", home, "--json").json == []
    campaign = ("--campaign", task["campaign_id"])
    assert len(fedcoin("task", "list", *campaign, "--home", home, "--json").json) == 1
    watched = fedcoin("task", "watch", task["task_id"], "--home", home, "--json")
    assert watched.json["phase"] == "settled"
    block = fedcoin("block", task["closed_height"], "--home", home).out
    assert task["task_id"] in block
    assert "10 FDC" in fedcoin("task", "list", "--home", home).out


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
            "--share", "1/4", "--json",
        )  # fmt: skip
        assert trained.code == 0, trained.err
        tasks = fedcoin("task", "list", "--home", home.root, "--json").json
        # The client may hear of its pay before the coordinator has turned to the end.
        wait_said(tmp_path / "a.log", "the campaign is finished")
    (paid,) = trained.json
    assert paid["task_id"] == tasks[0]["task_id"]
    assert paid["payout"] == tasks[0]["clients"][0]["payout"] == 70 * SAP_PER_FDC
    assert (tmp_path / "c/keys/node.key").exists()
    assert "ERROR" not in (tmp_path / "a.log").read_text()


def test_a_changed_file_is_not_published(
    fedcoin: Any, live: Live, weights: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    (copy / "client-1.weights").write_bytes(b"other")
    outcome = fedcoin("task", "publish", copy, "--home", live.home.root)
    assert (outcome.code, "BAD_STATE" in outcome.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["train", "simulate", "DIR", "--clients", "1", "--free-riders", "2"], 2, "fewer"),
        (["train", "simulate", "DIR", "--dataset", "nonsense"], 1, "UNKNOWN_DATASET"),
        (["train", "simulate", "DIR", "--model", "nonsense"], 1, "UNKNOWN_MODEL"),
        (["train", "client", "--data", "x.npz"], 2, "--server"),
        (["train", "client", "--data", "digits", "--server", "x:1", "--share", "3/2"], 2, "I/N"),
        (["train", "server", "--set", "nonsense"], 2, "TABLE.NAME=VALUE"),
        (["train", "server", "--set", "coordinator.nonsense=1"], 1, "UNKNOWN_SETTING"),
        (["train", "server", "--rounds", "0"], 1, "coordinator.rounds"),
        (["train", "server", "--listen", "0.0.0.0:1"], 1, "EXPOSED"),
        (["train", "server"], 1, "NO_KEY"),
        (["task", "publish", "/nonsense"], 2, "does not exist"),
    ],
)
def test_refusals(fedcoin: Any, tmp_path: Path, arguments: list[str], code: int, word: str) -> None:
    home = [] if arguments[1] == "simulate" else ["--home", str(tmp_path / "home")]
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
