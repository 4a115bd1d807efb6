"""Whole devnets, run as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.waiting import until

DEAD_PROXY = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:1")
"""The environment may name a proxy, which cannot reach this machine's ports."""

COMMAND = [sys.executable, "-m", "fedcoin.application.cli", "devnet"]
ROUND_KEYS = [
    "round", "task_id", "measure", "utility", "winner", "difficulty_nano", "schedule",
    "evaluations",
    "settle_seconds", "training_price", "aggregation_price", "mining_price",
    "server", "clients", "miners", "note",
]  # fmt: skip


def run_devnet(*arguments: str, seconds: float) -> tuple[dict[str, Any], str]:
    """Return the object on standard output and the text on standard error."""
    done = subprocess.run(
        [*COMMAND, "--json", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **DEAD_PROXY, "no_proxy": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout), done.stderr


def check(result: dict[str, Any], *, miners: int, clients: int, rounds: int, budget: int) -> None:
    """Check what must hold in any devnet."""
    assert list(result) == [
        "chain_id", "supply_before", "supply_after", "rounds", "nodes", "elapsed_seconds",
    ]  # fmt: skip
    assert result["supply_before"] == result["supply_after"]
    assert len(result["nodes"]) == miners
    assert len({(node["height"], node["app_hash"]) for node in result["nodes"]}) == 1
    assert all(node["rss_bytes"] < 150_000_000 for node in result["nodes"])
    assert [turn["round"] for turn in result["rounds"]] == list(range(1, rounds + 1))
    paid = 0
    for turn in result["rounds"]:
        assert list(turn) == ROUND_KEYS
        assert len(turn["clients"]) == clients
        assert turn["winner"] in {miner["address"] for miner in turn["miners"] if miner["inlier"]}
        assert 0 < turn["utility"] <= 1
        payouts = [client["payout"] for client in turn["clients"]]
        assert sum(payouts) == turn["training_price"]
        for client in turn["clients"]:
            # By default a unit costs the budget's whole part for training.
            gain = max(client["shapley_nano"], 0)
            assert client["payout"] == gain * (budget * 7 // 10) // 10**9
            if client["role"] == "free rider":
                assert client["shapley_nano"] == client["payout"] == 0
        assert sum(miner["reward"] for miner in turn["miners"]) == turn["mining_price"]
        paid += turn["aggregation_price"] + turn["mining_price"]
    assert paid == budget * 3 // 10


@pytest.mark.timeout(300)
def test_a_small_devnet(tmp_path: Path) -> None:
    result, told = run_devnet(
        "--miners", "2", "--clients", "1", "--rounds", "1", "--budget", "10fdc", "--seed", "7",
        "--keep", str(tmp_path / "net"), seconds=250,
    )  # fmt: skip
    check(result, miners=2, clients=1, rounds=1, budget=10 * 10**8)
    assert {log.name for log in (tmp_path / "net/logs").iterdir()} >= {
        "miner-1.log", "miner-2.log", "coordinator.log", "client-1.log",
    }  # fmt: skip
    for line in (
        "2 miners serve", "1 of 1 client joined", "round 1: settled and paid",
        "see it while it runs: http://127.0.0.1:",
    ):  # fmt: skip
        assert line in told
    assert json.loads((tmp_path / "net/result.json").read_text()) == result
    assert "<svg" in (tmp_path / "net/report.html").read_text()
    for log in (tmp_path / "net/logs").iterdir():
        assert "ERROR" not in log.read_text(), log
        assert "Traceback" not in log.read_text(), log
    # A devnet does not overwrite a folder, and a finished node's chain is valid.
    keep = ["--keep", str(tmp_path / "net")]
    again = subprocess.run([*COMMAND, *keep], check=False, capture_output=True)
    assert (again.returncode, b"HOME_EXISTS" in again.stderr) == (1, True)
    verify = [*COMMAND[:-1], "verify", "--json", "--home", str(tmp_path / "net/miner-2")]
    replayed = json.loads(subprocess.run(verify, capture_output=True, check=True).stdout)
    assert replayed["app_hash"] == result["nodes"][0]["app_hash"]
    assert replayed["settlements"] == 1


@pytest.mark.timeout(300)
def test_clients_that_share_a_process(tmp_path: Path) -> None:
    result, _ = run_devnet(
        "--miners", "1", "--clients", "4", "--rounds", "1", "--budget", "10fdc",
        "--training-processes", "1", "--no-explorer", "--keep", str(tmp_path / "net"), seconds=250,
    )  # fmt: skip
    check(result, miners=1, clients=4, rounds=1, budget=10 * 10**8)
    roles = {client["role"] for client in result["rounds"][0]["clients"]}
    assert roles == {"honest", "mislabelled", "free rider"}
    assert {log.name for log in (tmp_path / "net/logs").iterdir()} == {
        "miner-1.log", "coordinator.log", "clients.log",
    }  # fmt: skip
    log = (tmp_path / "net/logs/clients.log").read_text()
    # Each client reports its own payments, and the command lists them at its end.
    for client in result["rounds"][0]["clients"]:
        assert f"({client['address']}): round 1: paid" in log
        assert f"{client['address']}       1" in log


@pytest.mark.timeout(300)
def test_a_frequent_label_that_explains_the_base_model_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    data = tmp_path / "rare.npz"
    # Nine of ten examples are of class 0, and the inputs say nothing.
    np.savez(
        data,
        x_train=random.normal(size=(200, 6)).astype(np.float32),
        y_train=(np.arange(200) % 10 == 9).astype(np.int64),
        x_test=random.normal(size=(100, 6)).astype(np.float32),
        y_test=(np.arange(100) % 10 == 9).astype(np.int64),
    )
    result, _ = run_devnet(
        "--miners", "1", "--clients", "1", "--rounds", "1", "--budget", "10fdc", "--no-explorer",
        "--dataset", str(data), "--keep", str(tmp_path / "net"), seconds=250,
    )  # fmt: skip
    sentence = "always answering 0, the most frequent label, is right for 90.0 %"
    assert sentence in result["rounds"][0]["note"]
    assert sentence in (tmp_path / "net/report.html").read_text()
    # The coordinator says it before the round's task is opened.
    assert sentence in (tmp_path / "net/logs/coordinator.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_default_devnet() -> None:
    result, _ = run_devnet(seconds=250)
    check(result, miners=4, clients=5, rounds=3, budget=300 * 10**8)
    accuracies = [turn["utility"] for turn in result["rounds"]]
    assert accuracies[-1] > 0.8
    paid: dict[str, list[int]] = {"honest": [], "mislabelled": [], "free rider": []}
    for turns in zip(*(turn["clients"] for turn in result["rounds"]), strict=True):
        paid[turns[0]["role"]].append(sum(client["payout"] for client in turns))
    assert 0 < 3 * paid["mislabelled"][0] < 2 * min(paid["honest"])
    assert paid["free rider"] == [0]
    for turn in result["rounds"]:
        assert turn["settle_seconds"] < 5


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a devnet, and kill it at the end."""
    process = subprocess.Popen(
        [*COMMAND, "--no-explorer", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def gone(pids: list[int]) -> bool:
    """Tell whether all processes have ended; a zombie has ended, too."""
    states = []
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        states.append(stat.rpartition(")")[2].split()[0])
    return all(state == "Z" for state in states)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
)
def test_no_process_outlives_the_devnet(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "net"
    with started("--miners", "1", "--clients", "1", "--keep", str(folder)) as process:
        wait_for_line(process, "miner serves")
        pids = children(process.pid)
        assert pids
        os.kill(process.pid, number)
        process.wait(30)
        asyncio.run(until(lambda: gone(pids)))
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_dead_miner_ends_the_devnet_with_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with started("--miners", "2", "--clients", "1", "--keep", str(folder)) as process:
        wait_for_line(process, "miners serve")
        pids = children(process.pid)
        os.kill(pids[0], signal.SIGKILL)
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(30) == 1
        assert "miner-1 was ended by SIGKILL" in told
        assert "serving: peers on" in told  # The end of its log.
        assert "[PROCESS_FAILED]" in told
        asyncio.run(until(lambda: gone(pids)))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_devnet_that_stays_serves_other_programs_until_interrupted(tmp_path: Path) -> None:
    arguments = ["--miners", "1", "--clients", "2", "--rounds", "1", "--stay", "--json"]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        check_standing(shown, tmp_path)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert not Path(shown["network"]["genesis"]).exists()


def check_standing(shown: dict[str, Any], folder: Path) -> None:
    """Pay from the printed key over the printed node, and prove a payment by the genesis."""
    network = shown["network"]
    node = network["nodes"][0]
    client = shown["rounds"][0]["clients"][-1]["address"]
    send = ["send", client, "1fdc", "--node", node, "--home", network["payer_home"]]
    assert "final" in run_command(*send)
    proof = folder / "proof.json"
    task = shown["rounds"][0]["task_id"]
    proof.write_text(run_command("task", "proof", task, client, "--node", node))
    assert run_command("verify", "--proof", str(proof), "--genesis", network["genesis"])


def run_command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fedcoin.application.cli", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
