"""The programs in `examples/` run and print what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedcoin.application.cli.entry import run
from fedcoin.application.configuration.home import Home
from tests.support.node_process import started, wait_ready
from tests.support.paths import ROOT
from tests.support.ports import reserve_addresses


def example(name: str, *arguments: str) -> str:
    """Run an example; returns its output, and fails if it fails."""
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@contextmanager
def mining_node(folder: Path) -> Iterator[tuple[Home, str]]:
    """A node that mines alone, and whose key has coins: its home and its API's address."""
    peers, api = reserve_addresses(2)
    options = ["--peers-listen", peers, "--api-listen", api, "--fund", "coordinator=500fdc"]
    assert run(["init", "--home", str(folder / "a"), *options]) == 0
    home = Home(folder / "a")
    with started(home, folder / "log", "--mine"):
        wait_ready(api)
        yield home, api


def test_the_library_example_finds_the_known_value() -> None:
    # 421/2145: the Shapley value of a permanent member of the UN Security Council.
    assert f"permanent member {421 / 2145:.4f} (standard error 0.0000)" in example(
        "shapley_values.py"
    )


def test_the_federation_example_values_mislabelled_clients_least() -> None:
    printed = example("federation_values.py")
    values = [float(value) for value in re.findall(r"Shapley ([-+.0-9]+),", printed)]
    assert len(values) == 6
    assert max(values[4:]) < min(values[:4])
    first, *_, last = re.findall(r"0\.\d{3}", printed.splitlines()[-1])
    assert float(last) - float(first) > 0.5


def test_the_wallet_example_sends_coins(tmp_path: Path) -> None:
    with mining_node(tmp_path) as (home, api):
        printed = example("wallet.py", str(home.root), api)
    assert "final in block" in printed
    assert printed.rstrip().endswith(" 2 FDC")


@pytest.mark.slow
def test_the_client_example_is_paid(tmp_path: Path) -> None:
    with mining_node(tmp_path) as (home, api):
        (server,) = reserve_addresses(1)
        command = [sys.executable, "-m", "fedcoin.application.cli", "train", "server"]
        options = ["--home", str(home.root), "--key", "coordinator", "--node", api]
        options += ["--listen", server, "--rounds", "2", "--budget", "100fdc"]
        with subprocess.Popen([*command, *options]) as coordinator:
            printed = example("client_with_own_data.py", server, str(home.genesis_path))
            assert coordinator.wait(60) == 0
    assert "round 1: value +0." in printed
    assert re.search(r"round 1: .* paid \d+\.\d+ FDC", printed)
