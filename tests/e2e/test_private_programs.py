"""A client's own program that trains with differential privacy, beside one that does not."""

from __future__ import annotations

import json
import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.learning.training.datasets import load_dataset
from tests.support.paths import ROOT
from tests.support.ports import reserve_addresses
from tests.support.programs import PROGRAM, Program, Stage, fedcoin, spawned
from tests.support.waiting import LOADED_SECONDS

pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason="fedcoin-node is not installed"),
    pytest.mark.skipif(
        find_spec("dp_accounting") is None, reason="needs dp-accounting: the extra `privacy`"
    ),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

ROUNDS = 2


def command(example: str, data: Path) -> str:
    return f"{sys.executable} {ROOT / 'examples' / example} {data}"


def write_shares(folder: Path) -> list[Path]:
    """Write half of the digits for each of two clients."""
    digits = load_dataset("digits")
    paths = [folder / f"share-{number}.npz" for number in range(2)]
    for number, path in enumerate(paths):
        np.savez(path, x_train=digits.x_train[number::2], y_train=digits.y_train[number::2])
    return paths


class Site:
    """A node that mines and coordinates a campaign for two clients."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.home = stage, stage.root / "a"
        peers, self.api, self.server = reserve_addresses(3)
        fedcoin("init", "--home", self.home, "--peers-listen", peers, "--api-listen", self.api)
        settings = ["--set", f"coordinator.rounds={ROUNDS}", "--set", "coordinator.clients=2"]
        self.node = stage.program(
            "node", "start", "--home", self.home, "--mine", "--coordinate",
            "--coordinator-listen", self.server, *settings,
        )  # fmt: skip

    def arguments(self, name: str, *options: str) -> list[object]:
        network = ("--server", self.server, "--genesis", self.home / "genesis.json")
        return ["train", "client", "--home", self.stage.root / name, *network, *options]

    def client(self, name: str, *options: str) -> Program:
        """Start a client."""
        return self.stage.program(name, *self.arguments(name, *options)).start()

    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks as `task show` has them, by round."""
        listed = json.loads(fedcoin("task", "list", "--home", self.home, "--json"))
        ids = [task["task_id"] for task in sorted(listed, key=lambda task: int(task["round"]))]
        return [
            json.loads(fedcoin("task", "show", one, "--home", self.home, "--json")) for one in ids
        ]


async def test_a_private_program_is_paid_and_its_claim_is_on_the_chain(tmp_path: Path) -> None:
    private_data, plain_data = write_shares(tmp_path)
    with Stage(tmp_path) as stage:
        here = Site(stage)
        here.node.start()
        await here.node.says("serving: peers on", LOADED_SECONDS)
        silent = here.arguments(
            "silent", "--claim-privacy", "--command", command("train_numpy.py", private_data)
        )
        plain = here.client("plain", "--command", command("train_numpy.py", plain_data))
        code, _, said = spawned(*silent, seconds=LOADED_SECONDS)
        assert (code, "[PROGRAM_FAILED]" in said, "wrote no privacy.json" in said) == (
            1,
            True,
            True,
        )
        private = here.client(
            "private", "--claim-privacy", "--command", command("train_private.py", private_data)
        )
        assert await private.ended(LOADED_SECONDS) == 0, private.said()
        assert await plain.ended(LOADED_SECONDS) == 0, plain.said()
        tasks = here.tasks()
        assert [task["phase"] for task in tasks] == ["settled"] * ROUNDS
        claims = [check_claims(task) for task in tasks]
        # The second round's claim counts the first one's steps.
        assert 0 < claims[0] < claims[1] < 100
        shown = fedcoin("task", "show", tasks[1]["task_id"], "--home", here.home)
        assert "CLAIMED PRIVACY" in shown
        assert re.search(r"epsilon [0-9.]+, delta 1e-05, clip 1, noise 1\.1$", shown, re.MULTILINE)
        assert json.loads((tmp_path / "private" / "privacy.json").read_text())
        here.node.stop()


def check_claims(task: dict[str, Any]) -> float:
    """Check that one of two clients claims privacy and that both may be paid; returns epsilon."""
    claims = [client["privacy"] for client in task["clients"] if client["privacy"]]
    assert (len(task["clients"]), len(claims)) == (2, 1)
    assert sum(client["payout"] for client in task["clients"]) > 0
    return float(claims[0]["epsilon_milli"]) / 1e3


def test_the_programs_gradients_are_shortened_one_by_one() -> None:
    path = ROOT / "examples" / "train_private.py"
    program: Any = runpy.run_path(str(path))
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((6, 5), (5,), (5, 3), (3,))]
    x, y = rng.normal(size=(7, 6)), rng.integers(0, 3, 7)

    def loss(x: Any, y: Any) -> float:
        hidden = np.maximum(x @ weights[0] + weights[1], 0)
        logits = hidden @ weights[2] + weights[3]
        return float(np.log(np.exp(logits).sum(axis=1))[0] - logits[0, y[0]])

    def slope(example: int, weight: Any, index: tuple[int, ...]) -> float:
        values, kept = [], weight[index]
        for step in (1e-6, -1e-6):
            weight[index] = kept + step
            values.append(loss(x[[example]], y[[example]]))
        weight[index] = kept
        return (values[0] - values[1]) / 2e-6

    total = [np.zeros_like(weight) for weight in weights]
    for example in range(len(y)):
        gradient = [
            np.array([slope(example, w, i) for i in np.ndindex(w.shape)]).reshape(w.shape)
            for w in weights
        ]
        norm = np.sqrt(sum((part**2).sum() for part in gradient))
        for whole, part in zip(total, gradient, strict=True):
            np.add(whole, part * min(1, program["CLIP"] / norm), out=whole)
    found = program["clipped_sum"](weights, x, y)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, total, strict=True))
