"""`fedcoin-node snapshot` on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import PREVOTE, sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.vote_log import OwnVote
from tests.support.one_validator_home import MINER, append, make_home

BLOCKS = 4


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "a", BLOCKS)


@pytest.fixture
def file(fedcoin: Any, home: Home, tmp_path: Path) -> Path:
    path = tmp_path / "state.snapshot"
    assert fedcoin("snapshot", "create", "--home", home.root, path).code == 0
    return path


def new_home(home: Home, root: Path) -> Home:
    """Another home of the same network."""
    other = Home(root)
    other.add_key("node", MINER)
    other.write(home.genesis_path.read_bytes(), {})
    return other


def test_create_and_verify(fedcoin: Any, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "state.snapshot"
    # While a node uses the home.
    with home.locked():
        outcome = fedcoin("snapshot", "create", "--home", home.root, path, "--json")
    assert outcome.code == 0, outcome.err
    made = outcome.json
    assert (made["height"], made["validator_changes"], made["chunks"]) == (BLOCKS, 0, 1)
    assert made["bytes"] == path.stat().st_size
    arguments = (path, "--genesis", home.genesis_path)
    assert fedcoin("snapshot", "verify", *arguments, "--json").json == made
    shown = fedcoin("snapshot", "verify", *arguments)
    assert "The snapshot is valid." in shown.out
    assert made["app_hash"] in shown.out
    again = fedcoin("snapshot", "create", "--home", home.root, path)
    assert (again.code, "exists: name a file" in again.err) == (1, True)
    assert not list(tmp_path.glob("*.part"))


def test_restore_and_go_on(fedcoin: Any, home: Home, file: Path, tmp_path: Path) -> None:
    other = new_home(home, tmp_path / "b")
    outcome = fedcoin("snapshot", "restore", "--home", other.root, file, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["height"] == BLOCKS
    listed = fedcoin("snapshot", "list", "--home", other.root, "--json").json
    assert [(one["height"], Path(one["file"]).name) for one in listed] == [
        (BLOCKS, f"{BLOCKS}.snapshot")
    ]
    with ChainStore.open(other.chain_path, other.genesis()) as store:
        append(store, Ledger(store, other.genesis()), BLOCKS + 1, store.certificate(BLOCKS) or b"")
    verified = fedcoin("verify", "--home", other.root, "--json")
    assert verified.code == 0, verified.err
    assert (verified.json["first_height"], verified.json["height"]) == (BLOCKS + 1, BLOCKS + 1)
    assert verified.json["transactions"] == 1
    shown = fedcoin("verify", "--home", other.root).out
    assert f"executed from {BLOCKS + 1} on" in shown
    assert "Everything is valid." in shown


def test_verify_without_the_snapshot(fedcoin: Any, home: Home, file: Path, tmp_path: Path) -> None:
    other = new_home(home, tmp_path / "b")
    assert fedcoin("snapshot", "restore", "--home", other.root, file).code == 0
    (other.snapshots_path / f"{BLOCKS}.snapshot").unlink()
    outcome = fedcoin("verify", "--home", other.root)
    assert (outcome.code, "NO_SNAPSHOT" in outcome.err) == (1, True)


def test_a_home_that_is_in_use_or_has_a_chain(
    fedcoin: Any, home: Home, file: Path, tmp_path: Path
) -> None:
    def refused(root: Path) -> str:
        outcome = fedcoin("snapshot", "restore", "--home", root, file)
        assert outcome.code == 1
        return str(outcome.err)

    assert "CHAIN_EXISTS" in refused(home.root)
    assert "NO_HOME" in refused(tmp_path)
    other = new_home(home, tmp_path / "b")
    with other.locked():
        assert "HOME_IN_USE" in refused(other.root)
    # A home without any block can be restored into; one that was restored cannot.
    with ChainStore.open(other.chain_path, other.genesis()) as store:
        store.initialise(genesis_changes(other.genesis()))
    assert fedcoin("snapshot", "restore", "--home", other.root, file).code == 0
    assert "CHAIN_EXISTS" in refused(other.root)


def test_files_that_are_not_right(fedcoin: Any, home: Home, file: Path, tmp_path: Path) -> None:
    raw, other = file.read_bytes(), new_home(home, tmp_path / "b")
    foreign = make_home(tmp_path / "c", 1)
    foreign.genesis_path.write_bytes(foreign.genesis_path.read_bytes() + b"\n")

    def refused(content: bytes, *more: object) -> str:
        wrong = tmp_path / "wrong"
        wrong.write_bytes(content)
        checked = fedcoin("snapshot", "verify", wrong, "--home", other.root, *more)
        assert checked.code == 1
        if not more:
            outcome = fedcoin("snapshot", "restore", "--home", other.root, wrong)
            assert (outcome.code, outcome.err) == (1, checked.err)
        return str(checked.err)

    assert "BAD_SNAPSHOT" in refused(b"")
    assert "BAD_SNAPSHOT" in refused(raw[:-1])
    assert "BAD_SNAPSHOT" in refused(raw + b"x")
    assert "WRONG_CHUNK" in refused(raw[:-3] + bytes((raw[-3] ^ 1,)) + raw[-2:])
    assert "WRONG_CHAIN" in refused(raw, "--genesis", foreign.genesis_path)
    assert not other.snapshots_path.exists()
    # No temporary file stays behind.
    assert fedcoin("snapshot", "restore", "--home", other.root, file).code == 0


def test_nothing_to_make_one_of(fedcoin: Any, home: Home, tmp_path: Path) -> None:
    other = new_home(home, tmp_path / "b")
    outcome = fedcoin("snapshot", "create", "--home", other.root, tmp_path / "x")
    assert (outcome.code, "NO_CHAIN" in outcome.err) == (1, True)
    with ChainStore.open(other.chain_path, other.genesis()) as store:
        store.initialise(genesis_changes(other.genesis()))
    outcome = fedcoin("snapshot", "create", "--home", other.root, tmp_path / "x")
    assert (outcome.code, "NO_CHAIN" in outcome.err) == (1, True)
    assert fedcoin("snapshot", "list", "--home", other.root, "--json").json == []
    assert fedcoin("snapshot", "list", "--home", other.root).code == 0


def test_help_has_examples(fedcoin: Any) -> None:
    for command in ((), ("create",), ("list",), ("verify",), ("restore",)):
        assert "Example:" in fedcoin("snapshot", *command, "--help").out


def keep_snapshot(fedcoin: Any, home: Home) -> None:
    """Put the snapshot of the latest block where a node puts its own."""
    home.snapshots_path.mkdir(exist_ok=True)
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        path = home.snapshots_path / f"{store.height()}.snapshot"
    assert fedcoin("snapshot", "create", "--home", home.root, path).code == 0


def grow(home: Home, blocks: int) -> None:
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        ledger = Ledger(store, home.genesis())
        certificate = store.certificate(store.height()) or b""
        for _ in range(blocks):
            certificate = append(store, ledger, store.height() + 1, certificate)


def test_prune_leaves_the_state_the_later_blocks_and_the_own_votes(
    fedcoin: Any, home: Home
) -> None:
    keep_snapshot(fedcoin, home)
    grow(home, 3)
    genesis = home.genesis()
    key = home.key()
    vote = sign_vote(PREVOTE, BLOCKS + 4, 0, bytes(32), key, genesis.hash)
    own = OwnVote("prevote", BLOCKS + 4, 0, bytes(32), vote.envelope.SerializeToString())
    with ChainStore.open(home.chain_path, genesis) as store:
        store.votes.record(own)
        state, tip = list(store.scan(b"")), store.tip_hash()
        kept = [store.block(height) for height in range(BLOCKS + 1, BLOCKS + 4)]
    done = fedcoin("snapshot", "prune", "--home", home.root, "--json")
    assert done.code == 0, done.err
    assert (done.json["first_height"], done.json["height"]) == (BLOCKS + 1, BLOCKS + 3)
    with ChainStore.open(home.chain_path, genesis) as store:
        assert (list(store.scan(b"")), store.tip_hash()) == (state, tip)
        assert store.base_height() == BLOCKS
        assert store.block(BLOCKS) is None
        assert [store.block(height) for height in range(BLOCKS + 1, BLOCKS + 4)] == kept
        assert store.votes.list_at(BLOCKS + 4) == [own]
        with pytest.raises(RefusalError, match="could conflict"):
            store.votes.record(replace(own, height=BLOCKS + 3))
    grow(home, 1)
    verified = fedcoin("verify", "--home", home.root)
    assert verified.code == 0, verified.err
    again = fedcoin("snapshot", "prune", "--home", home.root)
    assert (again.code, "NO_SNAPSHOT" in again.err) == (1, True)
    assert sorted(path.name for path in home.root.glob("*.sqlite*")) == ["chain.sqlite"]


def test_prune_refuses_an_archive_a_home_in_use_and_one_without_snapshot(
    fedcoin: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = home.chain_path.read_bytes()
    outcome = fedcoin("snapshot", "prune", "--home", home.root)
    assert (outcome.code, "NO_SNAPSHOT" in outcome.err) == (1, True)
    keep_snapshot(fedcoin, home)
    with home.locked():
        outcome = fedcoin("snapshot", "prune", "--home", home.root)
    assert (outcome.code, "HOME_IN_USE" in outcome.err) == (1, True)
    monkeypatch.setenv("FEDCOIN_STORAGE_ARCHIVE", "true")
    outcome = fedcoin("snapshot", "prune", "--home", home.root)
    assert (outcome.code, "[ARCHIVE]" in outcome.err) == (1, True)
    assert home.chain_path.read_bytes() == before


def test_a_snapshot_that_is_damaged_leaves_the_chain_as_it_was(fedcoin: Any, home: Home) -> None:
    keep_snapshot(fedcoin, home)
    grow(home, 1)
    path = home.snapshots_path / f"{BLOCKS}.snapshot"
    path.write_bytes(path.read_bytes()[:-20])
    before = home.chain_path.read_bytes()
    assert fedcoin("snapshot", "prune", "--home", home.root).code == 1
    assert home.chain_path.read_bytes() == before
    assert sorted(path.name for path in home.root.glob("*.sqlite*")) == ["chain.sqlite"]
