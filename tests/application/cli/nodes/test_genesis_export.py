"""`fedcoin-node genesis export`: a network starts again with its balances."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.genesis import Genesis, parse_genesis
from tests.support.keys import ALICE, BOB
from tests.support.node_process import started, wait_ready
from tests.support.one_validator_home import FUNDS, MINER, START_MS, make_home
from tests.support.ports import reserve_addresses

BLOCKS = 5


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "a", BLOCKS)


def export(fedcoin: Any, home: Home, file: Path, *options: object) -> Genesis:
    outcome = fedcoin("genesis", "export", "--home", home.root, *options, file, "--json")
    assert outcome.code == 0, outcome.err
    made = parse_genesis(file.read_bytes())
    assert outcome.json["genesis_hash"] == made.hash.hex()
    assert outcome.json["supply"] == made.supply
    assert made.supply + outcome.json["burned"] == home.genesis().supply
    return made


def test_balances_and_bonds_after_a_block(fedcoin: Any, home: Home, tmp_path: Path) -> None:
    with home.locked():  # while a node runs
        latest = export(fedcoin, home, tmp_path / "latest.json")
    at_end = export(fedcoin, home, tmp_path / "end.json", "--at", BLOCKS)
    assert at_end.raw == latest.raw
    assert latest.time_ms == START_MS + 1000 * BLOCKS
    assert latest.validators == ((MINER.public_key, 10**9),)
    assert latest.parameters == home.genesis().parameters
    paid = dict(latest.accounts)[MINER.address]  # the same in each block
    assert paid % BLOCKS == 0 < paid
    earlier = export(fedcoin, home, tmp_path / "earlier.json", "--at", 2)
    assert dict(earlier.accounts)[MINER.address] == 2 * paid // BLOCKS
    assert earlier.time_ms == START_MS + 2000
    first = export(fedcoin, home, tmp_path / "first.json", "--at", 0)
    assert dict(first.accounts) == {ALICE.address: FUNDS}


def test_a_home_without_the_first_blocks_writes_the_same(
    fedcoin: Any, home: Home, tmp_path: Path
) -> None:
    whole = export(fedcoin, home, tmp_path / "whole.json", "--at", BLOCKS)
    assert fedcoin("snapshot", "create", "--home", home.root, tmp_path / "s").code == 0
    other = Home(tmp_path / "b")
    other.write(home.genesis_path.read_bytes(), {})
    assert fedcoin("snapshot", "restore", "--home", other.root, tmp_path / "s").code == 0
    part = export(fedcoin, other, tmp_path / "part.json", "--at", BLOCKS)
    assert part.raw == whole.raw
    for height in (2, BLOCKS + 1):
        outcome = fedcoin("genesis", "export", "--home", other.root, "--at", height, tmp_path / "x")
        assert (outcome.code, "[NO_CHAIN]" in outcome.err) == (1, True), outcome.err


def test_small_balances_do_not_fill_the_file(fedcoin: Any, home: Home, tmp_path: Path) -> None:
    whole = dict(export(fedcoin, home, tmp_path / "whole.json").accounts)
    paid = whole[MINER.address]
    for least, kept in ((paid, whole), (paid + 1, {ALICE.address: whole[ALICE.address]})):
        file = tmp_path / f"{least}.json"
        made = export(fedcoin, home, file, "--min-balance", f"{least}sap")
        assert dict(made.accounts) == kept


def test_what_changes(fedcoin: Any, home: Home, tmp_path: Path) -> None:
    changed = export(
        fedcoin, home, tmp_path / "new.json", "--chain-id", "again", "--parameter", "base_fee=7"
    )
    assert (changed.chain_id, changed.parameters.base_fee) == ("again", 7)
    again = fedcoin("genesis", "export", "--home", home.root, tmp_path / "new.json")
    assert (again.code, "exists: name a file" in again.err) == (1, True)
    moved = export(
        fedcoin,
        home,
        tmp_path / "moved.json",
        "--move",
        f"{format_address(ALICE.address)}={format_address(BOB.address)}",
    )
    old, new = dict(changed.accounts), dict(moved.accounts)
    assert ALICE.address not in new
    assert new[BOB.address] == old[ALICE.address]
    nobody = f"{format_address(BOB.address)}={format_address(ALICE.address)}"
    for option, value, code in (
        ("--move", nobody, "BAD_ARGUMENT"),
        ("--without", BOB.public_key.hex(), "BAD_ARGUMENT"),
        ("--without", MINER.public_key.hex(), "BAD_GENESIS"),  # no validator would be left
        ("--parameter", "min_bond=1000000001", "BAD_GENESIS"),
        ("--parameter", "speed=1", "BAD_ARGUMENT"),
    ):
        outcome = fedcoin("genesis", "export", "--home", home.root, option, value, tmp_path / "x")
        assert f"[{code}]" in outcome.err
        assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_network_goes_on_with_its_balances(fedcoin: Any, home: Home, tmp_path: Path) -> None:
    export(fedcoin, home, tmp_path / "again.json")
    peers, api = reserve_addresses(2)
    new = Home(tmp_path / "new")
    new.add_key("node", MINER)
    new.add_key("alice", ALICE)
    listeners = ["--peers-listen", peers, "--api-listen", api]
    made = fedcoin("init", "--home", new.root, "--genesis", tmp_path / "again.json", *listeners)
    assert made.code == 0, made.err
    with started(new, tmp_path / "log", "--mine") as process:
        wait_ready(api)
        paid = fedcoin(
            "send", "--home", new.root, "--key", "alice", format_address(BOB.address), "5sap"
        )
        assert paid.code == 0, paid.err
        account = fedcoin("account", "--home", new.root, format_address(BOB.address), "--json")
        assert account.json["balance"] == 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
