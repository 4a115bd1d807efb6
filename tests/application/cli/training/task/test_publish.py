"""From simulated training to a task that is settled and paid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.cli.entry import run
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.node_process import Live
from tests.support.update_files import KEYS, NAMES, write_update_files

pytestmark = pytest.mark.usefixtures("inline_workers")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    for client in task["clients"]:
        gain = max(client["shapley_nano"], 0)
        assert client["payout"] == gain * 7 * SAP_PER_FDC // 10**9
    assert sum(miner["reward"] for miner in task["miners"]) == 2 * SAP_PER_FDC
    assert task["evaluation_size"] == 100
    assert "is open" in outcome.err

    shown = fedcoin("task", "show", task["task_id"], "--home", home, "--json").json
    assert shown["clients"] == task["clients"]
    assert {p["kind"] for p in shown["payments"]} >= {"training", "aggregation", "mining"}
    out = fedcoin("task", "show", task["task_id"], "--home", home).out
    assert "PAYOUT" in out
    assert task["winner"] in out
    assert sorted(re.findall(r"client-\d$", out, re.MULTILINE)) == [
        f"client-{number}" for number in (1, 2, 3)
    ]
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


def test_a_task_that_nobody_mines_ends_with_1(fedcoin: Any, live: Live, weights: Path) -> None:
    # Miners get a millionth, which does not pay for their transactions.
    poor = ("attempts=1", "commit_seconds=2", "split=1000000,1,1")
    settings = [part for one in poor for part in ("--set", f"coordinator.{one}")]
    outcome = fedcoin(
        "task", "publish", weights, "--budget", "0.01fdc", "--home", live.home.root, "--wait",
        *settings,
    )  # fmt: skip
    assert (outcome.code, "[TASK_FAILED]" in outcome.err) == (1, True), outcome.err
    assert re.search(r"^phase +failed$", outcome.out, re.MULTILINE)
    assert "in 1 attempt there was not enough work" in outcome.err


def test_publish_groups_look_alikes(fedcoin: Any, live: Live, weights: Path) -> None:
    home = live.home.root
    outcome = fedcoin(
        "task", "publish", weights, "--budget", "10fdc", "--home", home, "--wait", "--json",
        "--set", "coordinator.similarity_limit=0.5",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    task = outcome.json
    assert task["phase"] == "settled"
    # The free rider's update, which changes nothing, is like no other.
    riders = [i for i, c in enumerate(task["clients"]) if c["update"] == base_of(weights)]
    assert len(riders) == 1
    assert task["clients"][riders[0]]["group"] == riders[0]
    assert task["clients"][riders[0]]["payout"] == 0


def base_of(weights: Path) -> str:
    manifest: dict[str, Any] = json.loads((weights / "manifest.json").read_text())
    return str(manifest["base_artifact"])


def test_a_changed_file_is_not_published(
    fedcoin: Any, live: Live, weights: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    (copy / "client-1.weights").write_bytes(b"other")
    outcome = fedcoin("task", "publish", copy, "--home", live.home.root)
    assert (outcome.code, "BAD_STATE" in outcome.err) == (1, True)


def test_publish_has_one_payer(fedcoin: Any, tmp_path: Path) -> None:
    common = ["task", "publish", tmp_path, "--home", tmp_path]
    twice = fedcoin(*common, "--key", "alice", "--set", "coordinator.key=bob")
    assert (twice.code, "by --key and by --set" in twice.err) == (2, True)
    twice = fedcoin(*common, "--budget", "1fdc", "--set", "coordinator.budget=2fdc")
    assert (twice.code, "by --budget and by --set" in twice.err) == (2, True)
    fedcoin("keys", "new", "other", "--home", tmp_path)
    missing = fedcoin(*common, "--set", "coordinator.key=bob")
    assert (missing.code, "no key 'bob'" in missing.err) == (1, True)


def test_there_is_no_such_folder(fedcoin: Any, tmp_path: Path) -> None:
    outcome = fedcoin("task", "publish", tmp_path / "missing", "--home", tmp_path)
    assert (outcome.code, "does not exist" in outcome.err) == (2, True)


def test_publish_with_a_list_of_clients(
    fedcoin: Any, live: Live, weights: Path, tmp_path: Path
) -> None:
    content = json.loads((weights / "manifest.json").read_text())
    addresses = [client["address"] for client in content["clients"]]
    publish = ("task", "publish", weights, "--budget", "1fdc", "--home", live.home.root)
    low, high = tmp_path / "low", tmp_path / "high"
    low.write_text("".join(f"{address} 1\n" for address in addresses))
    outcome = fedcoin(*publish, "--clients", low)
    assert (outcome.code, "NOT_LISTED" in outcome.err) == (1, True)
    high.write_text("".join(f"{address} 10000\n" for address in addresses))
    outcome = fedcoin(*publish, "--clients", high, "--wait", "--json")
    assert (outcome.code, outcome.json["phase"]) == (0, "settled"), outcome.err
    campaign = outcome.json["campaign_id"]
    home = ("--home", live.home.root, "--json")
    shown = fedcoin("task", "clients", "show", campaign, "--file", high, *home).json
    assert (shown["count"], shown["matches_file"]) == (3, True)


def test_a_folder_of_updates_is_paid(fedcoin: Any, live: Live, tmp_path: Path) -> None:
    files = write_update_files(tmp_path)
    publish = ("task", "publish", files.updates, "--budget", "10fdc", "--home", live.home.root)
    given = ("--model", files.model, "--base", files.base, "--data", files.data)
    missing = fedcoin(*publish, *given)
    assert (missing.code, "missing: --table" in missing.err) == (2, True)
    outcome = fedcoin(*publish, *given, "--table", files.table, "--wait", "--json")
    assert outcome.code == 0, outcome.err
    task = outcome.json
    assert task["phase"] == "settled"
    payouts = {client["address"]: client["payout"] for client in task["clients"]}
    samples = {client["address"]: client["num_samples"] for client in task["clients"]}
    addresses = [format_address(KEYS[name].address) for name in NAMES]
    names = {client["address"]: client["name"] for client in task["clients"]}
    assert [names[address] for address in addresses] == [f"Praxis {name}" for name in NAMES]
    assert [samples[address] for address in addresses] == [100, 101, 102]
    assert payouts[addresses[0]] == max(payouts.values()) > 0
