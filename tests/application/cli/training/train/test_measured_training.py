"""Regression and tokens, from files to a paid round by the commands alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.application.configuration.home import Home
from tests.support.node_process import started, wait_ready
from tests.support.ports import reserve_addresses
from tests.support.small_models import layer, sequential

VOCABULARY, POSITIONS = 12, 6


def write_regression(folder: Path) -> tuple[list[str], str]:
    """Write tables of a noisy line with three inputs; returns the server's options and the end."""
    rng = np.random.default_rng(0)
    for name, rows in (("evaluation", 200), ("a", 200), ("b", 60)):
        x = rng.standard_normal((rows, 3))
        y = x @ [0.5, -0.25, 0.1] + 0.05 * rng.standard_normal(rows)
        lines = [
            ",".join(f"{number:.5f}" for number in (*row, target))
            for row, target in zip(x, y, strict=True)
        ]
        (folder / f"{name}.csv").write_text("\n".join(["u,v,w,target", *lines]) + "\n")
    return ["--utility", "r-squared"], ".csv"


def write_tokens(folder: Path) -> tuple[list[str], str]:
    """Write sequences in which each token decides the next one, and a model of them."""
    rng = np.random.default_rng(0)
    for name, rows in (("evaluation", 100), ("a", 200), ("b", 60)):
        sequences = np.zeros((rows, POSITIONS + 1), np.int64)
        sequences[:, 0] = rng.integers(0, VOCABULARY, rows)
        for place in range(POSITIONS):
            sequences[:, place + 1] = (5 * sequences[:, place] + 1) % VOCABULARY
        targets = sequences[:, 1:].copy()
        targets[:, 0] = -1
        np.savez(folder / f"{name}.npz", x=sequences[:, :-1], y=targets)
    embedding = layer("Embedding", input_dim=VOCABULARY + 3, output_dim=16)
    dense = layer("Dense", units=VOCABULARY + 3, activation="linear", use_bias=True)
    model = folder / "model.json"
    model.write_text(json.dumps(sequential((POSITIONS,), embedding, dense)))
    return ["--model", str(model), "--utility", "next-token-accuracy"], ".npz"


def command(*arguments: object) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    line = [sys.executable, "-m", "fedcoin.application.cli", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("write", [write_regression, write_tokens])
def test_from_files_to_a_paid_round(fedcoin: Any, tmp_path: Path, write: Any) -> None:
    options, ending = write(tmp_path)
    home = Home(tmp_path / "node")
    peers, api, server = reserve_addresses(3)
    fedcoin("init", "--home", home.root, "--peers-listen", peers, "--api-listen", api)
    campaign = ["train", "server", "--home", home.root, "--key", "node", "--node", api]
    campaign += ["--listen", server, "--clients", "2", "--rounds", "2", "--epochs", "20"]
    campaign += ["--set", "coordinator.round_seconds=300"]
    campaign += ["--dataset", tmp_path / f"evaluation{ending}", *options, "--json"]
    client = ["train", "client", "--server", server, "--genesis", home.genesis_path, "--json"]
    with started(home, tmp_path / "node.log", "--mine"):
        wait_ready(api)
        coordinator = command(*campaign)
        clients = [
            command(*client, "--home", tmp_path / name, "--data", tmp_path / f"{name}{ending}")
            for name in ("a", "b")
        ]
        try:
            payments = [result(process) for process in clients]
            records = result(coordinator)
        finally:
            for process in (coordinator, *clients):
                process.kill()
    assert records[-1]["measure"] == options[-1]
    assert records[-1]["utility"] > 900_000
    for paid in payments:
        assert sum(payment["payout"] for payment in paid) > 0
