"""The network that README starts by hand: two nodes, a coordinator, a client with its own data."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.application.devnet.ports import free_ports
from fedcoin.data.amounts import SAP_PER_FDC
from fedcoin.learning import datasets

FEDCOIN = [sys.executable, "-m", "fedcoin.application.cli"]


class Terminal:
    """A person's terminals: all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, str] = {}

    def line(self, text: str) -> list[str]:
        """The command of a line of README, on ports that are free here."""
        words = text.removeprefix("fedcoin-node ").split()
        return [*FEDCOIN, *(self.ports.get(word, word) for word in words)]

    def run(self, text: str) -> str:
        done = subprocess.run(
            self.line(text),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, text: str) -> Any:
        return json.loads(self.run(f"{text} --json"))

    @contextmanager
    def open(self, text: str, log: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on, and is ended with its terminal."""
        path = self.folder / log
        with path.open("wb") as file:
            process = subprocess.Popen(
                [*self.line(text), "--stop-with-stdin"],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        with process:  # leaving closes its standard input
            try:
                yield process
            except BaseException:
                print(path.read_text())
                process.kill()
                raise


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    found = Terminal(tmp_path)
    usual = [
        "127.0.0.1:7050",
        "127.0.0.1:7051",
        "127.0.0.1:7060",
        "127.0.0.1:7061",
        "127.0.0.1:7052",
    ]
    found.ports = dict(zip(usual, (f"127.0.0.1:{p}" for p in free_ports(5)), strict=True))
    return found


def own_data(path: Path) -> None:
    """A person's own images and labels: as uint8, as cameras give them."""
    digits = datasets.load("digits")
    images = (digits.x_train[:500] * 255).astype(np.uint8)
    np.savez(path, x_train=images, y_train=digits.y_train[:500])


def wait_for(terminal: Terminal, text: str, wanted: Any) -> None:
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run(
            [*terminal.line(text), "--json"], cwd=terminal.folder, capture_output=True, check=False
        )
        if done.returncode == 0 and wanted(json.loads(done.stdout)):
            return
        assert time.monotonic() < deadline, done.stderr or done.stdout
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_four_terminals(terminal: Terminal, tmp_path: Path) -> None:
    own_data(tmp_path / "mine.npz")
    with ExitStack() as stack:
        # Terminal 1: a node that mines, and coins for a coordinator.
        # (Where README relies on the usual ports, the test has to name them.)
        terminal.run(
            "fedcoin-node init --home a --fund coordinator=500fdc "
            "--peers-listen 127.0.0.1:7050 --api-listen 127.0.0.1:7051"
        )
        stack.enter_context(terminal.open("fedcoin-node start --home a --mine", "a.log"))
        wait_for(terminal, "fedcoin-node status --home a", lambda status: status["mining"])

        # Terminal 2: a second node, which becomes a miner, too.
        terminal.run(
            "fedcoin-node init --home b --genesis a/genesis.json --seed 127.0.0.1:7050 "
            "--peers-listen 127.0.0.1:7060 --api-listen 127.0.0.1:7061"
        )
        stack.enter_context(terminal.open("fedcoin-node start --home b --mine", "b.log"))
        wait_for(terminal, "fedcoin-node peers --home b", lambda peers: len(peers) == 1)
        address = terminal.run("fedcoin-node keys show --home b --address").strip()
        terminal.run(f"fedcoin-node send --home a {address} 300fdc")
        wait_for(
            terminal, "fedcoin-node account --home b", lambda a: a["balance"] == 300 * SAP_PER_FDC
        )
        terminal.run("fedcoin-node bond --home b 200fdc")

        # Terminal 3: the coordinator, with the first home's second key.
        coordinator = stack.enter_context(
            terminal.open(
                "fedcoin-node train server --home a --key coordinator --clients 1 --rounds 2 "
                "--budget 100fdc --epochs 2 --listen 127.0.0.1:7052",
                "server.log",
            )
        )
        # Terminal 4: a client with data of its own, and nothing else.
        client = stack.enter_context(
            terminal.open(
                "fedcoin-node train client --home c --server 127.0.0.1:7052 --data mine.npz",
                "client.log",
            )
        )
        assert client.wait(100) == 0
        assert coordinator.wait(30) == 0

        tasks = terminal.json("fedcoin-node task list --home b")
        assert [task["phase"] for task in tasks] == ["settled", "settled"]
        for task in tasks:
            assert {miner["revealed"] for miner in task["miners"]} == {True}
            assert len(task["miners"]) == 2
        paid = sum(task["clients"][0]["payout"] for task in tasks)
        mine = terminal.run("fedcoin-node keys show --home c --address").strip()
        assert terminal.json(f"fedcoin-node account {mine} --home b")["balance"] == paid > 0
        states = [terminal.json(f"fedcoin-node status --home {home}") for home in "ab"]
        assert states[0]["counted_supply"] == states[1]["counted_supply"] == states[0]["supply"]
    for log in ("a.log", "b.log", "server.log", "client.log"):
        text = (tmp_path / log).read_text()
        assert "ERROR" not in text, text
        assert "Traceback" not in text, text
    assert terminal.json("fedcoin-node verify --home b")["settlements"] == 2
