"""Devnets with one dishonest miner, run as a user runs them: all rounds settle, and nodes agree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.devnet.home_folders import MINER_BOND
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.testing.dishonest.fund_attacks import DUST_BONDS
from fedcoin.testing.dishonest.mining_strategies import MINING_STRATEGIES
from fedcoin.testing.dishonest.node_components import KINDS

COMMAND = [sys.executable, "-m", "fedcoin.application.cli", "devnet", "--json", "--budget", "20fdc"]

SIGNS = {
    "late-bonder": ("miner-4", "sap more, since the challenge is known", 3),
    "selective-withholder": ("miner-4", "withholds its salt, since it is not drawn", 6),
    # Enough rounds for each miner to propose in each phase.
    "censor": ("miner-4", "out of its block", 4),
    "hasty-censor": ("miner-4", "out of its block", 4),
    "challenge-grinder": ("miner-4", "is dishonest on request", 4),
    "misnaming-proposer": ("miner-4", "as the proposer of its block", 4),
    "equivocator": ("miner-4", "voted twice", 2),
    "stale-peer": ("miner-1", "banned", 2),
    "wrong-network": ("miner-1", "banned", 2),
    "dust-validators": ("miner-4", "bonds the least from 4 accounts", 3),
    "task-spammer": ("miner-4", "that pay nothing", 3),
    "difficulty-mover": ("miner-4", "that pay nothing", 3),
    "slow-model": ("miner-1", "failed its audit: one coalition takes", 3),
    "pool-filler": ("miner-4", "transfers to fill mempools", 3),
}
"""For each kind: the log that shows the dishonest act, its words, and how many rounds to run."""


def devnet(folder: Path, kind: str, rounds: int) -> dict[str, Any]:
    """Run four miners, the last of them dishonest, and two clients; checks that all nodes agree."""
    asked = ["--miners", "4", "--clients", "2", "--rounds", str(rounds), "--keep", str(folder)]
    done = subprocess.run(
        [*COMMAND, *asked, "--adversary", kind],
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def read_powers(home: Path) -> list[int]:
    """The powers of the validators after the last block of a stopped node."""
    genesis = parse_genesis((home / "genesis.json").read_bytes())
    store = ChainStore.open(home / "chain.sqlite", genesis)
    try:
        return [validator.power for validator in Ledger(store, genesis).validators()]
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in MINING_STRATEGIES])
def test_a_devnet_with_a_dishonest_miner(tmp_path: Path, kind: str) -> None:
    log, words, rounds = SIGNS[kind]
    result = devnet(tmp_path / "net", kind, rounds)
    dishonest = [node for node in result["nodes"] if "adversary" in node]
    assert [node["adversary"] for node in dishonest] == [kind]
    assert result["supply_before"] == result["supply_after"]
    log_text = (tmp_path / f"net/logs/{log}.log").read_text()
    assert words in log_text
    # A grinder with openings to choose from had at most one challenge.
    tried = re.findall(r"tried [0-9]+ blocks: ([0-9]+) challenges?", log_text)
    assert set(tried) <= {"0", "1"}
    bonds = [node["bond"] for node in result["nodes"]]
    if kind == "equivocator":
        assert sorted(bonds) == [0, *[MINER_BOND] * 3]
        assert dishonest[0]["bond"] == 0
    elif kind == "late-bonder":
        # What it bonds more is in its bond, unless the network ends before that is final.
        assert sorted(bonds)[:3] == [MINER_BOND] * 3
        assert dishonest[0]["bond"] >= MINER_BOND
    else:
        assert bonds == [MINER_BOND] * 4
    if kind == "dust-validators":
        assert len(read_powers(tmp_path / "net/miner-1")) == 4 + DUST_BONDS
    address = dishonest[0]["address"]
    for turn in result["rounds"]:
        honest = [miner for miner in turn["miners"] if miner["address"] != address]
        assert len(honest) == 3
        assert all(miner["inlier"] for miner in honest)
        # At most what a quarter of the power earns honestly, to a sap that cannot be divided.
        rewards = {miner["address"]: miner["reward"] for miner in turn["miners"]}
        assert rewards.get(address, 0) <= sum(rewards.values()) / 4 + 1
