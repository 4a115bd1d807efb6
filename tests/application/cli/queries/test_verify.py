from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.support.database_edits import editing
from tests.support.one_validator_home import FUNDS, make_home


def test_a_sound_chain(fedcoin: Any, tmp_path: Path) -> None:
    make_home(tmp_path / "a", 3)
    outcome = fedcoin("verify", "--home", tmp_path / "a", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["height"] == outcome.json["transactions"] == 3
    assert outcome.json["supply"] == FUNDS + 10**9
    assert "3 of 3 blocks" in outcome.err
    assert "Everything is valid." in fedcoin("verify", "--home", tmp_path / "a").out


def test_a_broken_chain(fedcoin: Any, tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", 3)
    with editing(home.chain_path) as connection:
        connection.execute("UPDATE receipts SET receipt = ? WHERE height = 2", (b"x",))
    outcome = fedcoin("verify", "--home", home.root)
    assert (outcome.code, "BAD_CHAIN" in outcome.err) == (1, True)
    assert not outcome.out


def test_damaged_truncated_and_missing_files(fedcoin: Any, tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", 3)
    raw = home.chain_path.read_bytes()
    home.chain_path.write_bytes(raw[: len(raw) // 2])
    outcome = fedcoin("verify", "--home", home.root)
    assert (outcome.code, "BAD_STORE" in outcome.err) == (1, True), outcome.err
    home.chain_path.write_bytes(b"nonsense")
    outcome = fedcoin("verify", "--home", home.root)
    assert (outcome.code, "BAD_STORE" in outcome.err) == (1, True), outcome.err
    home.chain_path.unlink()
    outcome = fedcoin("verify", "--home", home.root)
    assert (outcome.code, "NO_CHAIN" in outcome.err) == (1, True)


def test_no_home(fedcoin: Any, tmp_path: Path) -> None:
    outcome = fedcoin("verify", "--home", tmp_path)
    assert (outcome.code, "NO_HOME" in outcome.err) == (1, True)


def test_a_home_in_use_is_refused(fedcoin: Any, tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", 1)
    with home.locked():
        outcome = fedcoin("verify", "--home", home.root)
    assert (outcome.code, "HOME_IN_USE" in outcome.err) == (1, True)
    assert "stop the node, or verify a copy of its database" in outcome.err
    # A copy needs the genesis and the database alone.
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    for path in (home.genesis_path, home.chain_path):
        shutil.copy(path, copy)
    outcome = fedcoin("verify", "--home", copy)
    assert (outcome.code, "Everything is valid." in outcome.out) == (0, True), outcome.err


def test_another_networks_chain(fedcoin: Any, tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", 1)
    home.genesis_path.write_bytes(home.genesis_path.read_bytes() + b"\n")
    outcome = fedcoin("verify", "--home", home.root)
    assert (outcome.code, "WRONG_CHAIN" in outcome.err) == (1, True)
