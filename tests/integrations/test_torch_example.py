"""The example with PyTorch is valued on a chain, and its clients are paid."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch: make test-integrations")

from tests.support.paths import ROOT
from tests.test_examples import mining_node

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
def test_the_torch_example_is_paid(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    command = [sys.executable, str(ROOT / "examples/torch_paid_round.py"), str(folder)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.count("is paid to") == 4
    with mining_node(tmp_path) as (home, api):
        command = [sys.executable, "-m", "fedcoin.application.cli", "task", "publish", str(folder)]
        options = ["--home", str(home.root), "--node", api, "--budget", "10fdc"]
        options += ["--key", "coordinator", "--wait", "--json"]
        finished = subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
        )
    assert finished.returncode == 0, finished.stderr
    task = json.loads(finished.stdout)
    assert task["phase"] == "settled"
    values = {client["address"]: client["shapley_nano"] for client in task["clients"]}
    addresses = [line.split()[-1] for line in printed.splitlines()]
    assert sorted(values) == sorted(addresses)
    assert min(values, key=lambda address: values[address]) == addresses[-1]
