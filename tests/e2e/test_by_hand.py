"""The commands of the README's section on a network by hand, each terminal as a process.

Only the ports differ, set by the documented variables for the home with the default ports.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.ports import reserve_ports
from tests.support.programs import PROGRAM, Program, Stage, fedcoin
from tests.support.waiting import LOADED_SECONDS, WAIT_SECONDS, until

README = ROOT / "README.md"
FDC = 10**8
"""In sap."""
USUAL_PORTS = ("7050", "7051", "7052", "7060", "7061")

pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason="fedcoin-node is not installed"),
    pytest.mark.timeout(300),
]


def blocks() -> list[str]:
    """Return the section's blocks of commands, in order."""
    text = README.read_text(encoding="utf-8")
    section = text.split("## A network by hand\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@dataclass
class Desk:
    """A person with terminals in one folder."""

    stage: Stage
    folder: Path
    ports: Mapping[str, str]

    def moved(self, text: str) -> str:
        """Replace the default ports by this desk's ports."""
        for usual, port in self.ports.items():
            text = text.replace(f":{usual}", f":{port}")
        return text

    def variables(self, text: str) -> dict[str, str]:
        """Return the variables that move home a from the default ports, which may be in use."""
        path = {"PATH": f"{PROGRAM.parent}:/usr/bin:/bin"}
        if "--home a" not in text:
            return path
        listeners = {"PEERS": "7050", "API": "7051", "COORDINATOR": "7052"}
        moved = {
            f"FEDCOIN_{name}_LISTEN": f"127.0.0.1:{self.ports[usual]}"
            for name, usual in listeners.items()
        }
        return {**path, **moved}

    def terminal(self, name: str, block: str) -> Program:
        """Prepare one more terminal, in which a program runs."""
        return self.stage.typed(name, self.moved(block).strip(), self.folder, self.variables(block))

    def types(self, line: str) -> str:
        """Run a command that ends by itself; returns its output."""
        done = subprocess.run(
            ["bash", "-euc", self.moved(line)],
            check=False,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            cwd=self.folder,
            env=self.variables(line),
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def asks(self, line: str) -> Any:
        """Run a command of the program with `--json`, in this process; returns its result."""
        words = shlex.split(self.moved(line).removeprefix("fedcoin-node "))
        home = words.index("--home") + 1
        words[home] = str(self.folder / words[home])
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables(line).items():
                patch.setenv(name, value)
            return json.loads(fedcoin(*words, "--json"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root = tmp_path_factory.mktemp("by-hand")
    with Stage(root) as stage:
        folder = root / "network"
        folder.mkdir()
        ports = (str(port) for port in reserve_ports(len(USUAL_PORTS)))
        yield Desk(stage, folder, dict(zip(USUAL_PORTS, ports, strict=True)))


def balance(desk: Desk, home: str, key: str = "node") -> int:
    found = desk.asks(f"fedcoin-node account --key {key} --home {home} --node 127.0.0.1:7061")
    return int(found["balance"])


async def train(desk: Desk) -> None:
    """Start two nodes, a coordinator and a client, and train to the end."""
    enter, homes, first, second, coordinator, client, *_ = blocks()
    assert enter.strip().endswith("cd network")
    desk.types(homes)
    one = desk.terminal("terminal-1", first).start()
    two = desk.terminal("terminal-2", second).start()
    await one.says("serving: peers on")
    await two.says("serving: peers on")
    three = desk.terminal("terminal-3", coordinator).start()
    four = desk.terminal("terminal-4", client).start()
    assert await three.ended(LOADED_SECONDS) == 0
    assert await four.ended(LOADED_SECONDS) == 0
    for program in (three, four):
        table = re.findall(r"^ +([12]) .* [0-9.]+ FDC  [0-9a-f]{64}$", program.said(), re.MULTILINE)
        assert table == ["1", "2"]


def check_payments(desk: Desk) -> None:
    """The client is paid for what it gained; the fund's rest and 10 FDC go to the coordinator."""
    paid = balance(desk, "d")
    # 70 FDC buy the step from 0 to 100 % accuracy.
    assert 40 * FDC < paid < 70 * FDC
    paid_back = balance(desk, "a", "coordinator") - 400 * FDC
    assert 79 * FDC < paid_back + paid < 80 * FDC
    # Most of the fees are burned; node `a` gets 20 FDC for mining, less its own fees.
    assert abs(balance(desk, "a") - 1_000_020 * FDC) < FDC
    tasks = desk.asks("fedcoin-node task list --home b")
    assert [task["phase"] for task in tasks] == ["settled", "settled"]


async def check_observer(desk: Desk) -> None:
    """An observer that joins now gets the same state, and its database is valid."""
    peers, api = reserve_ports(2)
    desk.types(
        f"fedcoin-node init --home c --genesis a/genesis.json --seed 127.0.0.1:7060 "
        f"--peers-listen 127.0.0.1:{peers} --api-listen 127.0.0.1:{api}"
    )
    observer = desk.terminal("terminal-5", "fedcoin-node start --home c").start()
    await observer.says("serving: peers on")
    height = desk.asks("fedcoin-node status --home b")["height"]
    await until(
        lambda: desk.asks("fedcoin-node status --home c")["height"] >= height, "it has caught up"
    )
    late = desk.asks("fedcoin-node status --home c")
    early = desk.asks("fedcoin-node status --home a")
    assert (late["app_hash"], late["validator"]) == (early["app_hash"], False)
    assert late["supply"] == late["counted_supply"]
    observer.stop()
    assert "Everything is valid." in desk.types("fedcoin-node verify --home c")


async def test_the_four_terminals_train_and_are_paid(desk: Desk) -> None:
    await train(desk)
    check_payments(desk)
    *_, commands, _ = blocks()
    for line in commands.strip().splitlines():
        assert desk.types(line)
    # One of these commands made the second node a validator.
    validators = desk.asks("fedcoin-node validators --home b")
    assert [int(validator["bond"]) for validator in validators] == [1_000 * FDC] * 2
    await check_observer(desk)


@pytest.mark.slow
async def test_simulated_weights_are_published_and_settled(desk: Desk) -> None:
    """Publish a task without a coordinator, on the network that the first test left running."""
    simulate, publish = blocks()[-1].strip().splitlines()
    if not (desk.folder / "a").exists():
        await train(desk)
    made = desk.terminal("simulate", simulate).start()
    assert await made.ended(LOADED_SECONDS) == 0
    assert "mislabelled" in made.said()
    paid = desk.terminal("publish", publish).start()
    assert await paid.ended(LOADED_SECONDS) == 0
    assert "settled" in paid.said()
    (task, *_) = desk.asks("fedcoin-node task list --home b")
    assert task["phase"] == "settled"
    by_role = {client["address"]: client for client in task["clients"]}
    manifest = json.loads((desk.folder / "weights/manifest.json").read_text())
    for client in manifest["clients"]:
        payout = int(by_role[client["address"]]["payout"])
        assert (payout > 0) == (client["role"] != "free rider")
    validators = desk.asks("fedcoin-node validators --home b")
    assert len(task["miners"]) == len(validators)


async def test_the_nodes_stop_at_ctrl_c_with_valid_databases(desk: Desk) -> None:
    if not (desk.folder / "a").exists():
        pytest.skip("nothing ran before")
    for program in desk.stage.running():
        program.stop()
    found = [desk.asks(f"fedcoin-node verify --home {home}") for home in "ab"]
    assert found[0]["settlements"] >= 2
    assert found[0]["height"] == found[1]["height"]
    assert found[0]["app_hash"] == found[1]["app_hash"]
    assert found[0]["supply"] == found[1]["supply"]
