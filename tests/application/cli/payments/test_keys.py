from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home


def test_new_list_show(fedcoin: Any, tmp_path: Path) -> None:
    made = fedcoin("keys", "new", "alice", "--home", tmp_path, "--json")
    assert made.code == 0
    assert (tmp_path / "keys/alice.key").stat().st_mode & 0o777 == 0o600
    about = made.json
    assert about["address"].startswith("fc1")
    assert fedcoin("keys", "list", "--home", tmp_path, "--json").json == [about]
    assert about["address"] in fedcoin("keys", "list", "--home", tmp_path).out
    assert fedcoin("keys", "show", "alice", "--home", tmp_path, "--json").json == about
    address = fedcoin("keys", "show", "alice", "--home", tmp_path, "--address")
    assert address.out == about["address"] + "\n"
    public = fedcoin("keys", "show", "alice", "--home", tmp_path, "--public-key")
    assert public.out == about["public_key"] + "\n"


def test_the_name_is_node_unless_it_is_given(fedcoin: Any, tmp_path: Path) -> None:
    assert fedcoin("keys", "new", "--home", tmp_path, "--json").json["name"] == "node"


def test_keys_are_never_overwritten(fedcoin: Any, tmp_path: Path) -> None:
    fedcoin("keys", "new", "--home", tmp_path)
    before = (tmp_path / "keys/node.key").read_bytes()
    outcome = fedcoin("keys", "new", "--home", tmp_path)
    assert (outcome.code, "KEY_EXISTS" in outcome.err) == (1, True)
    assert (tmp_path / "keys/node.key").read_bytes() == before


@pytest.mark.parametrize("name", ["../up", "UPPER", "", "a" * 64, "-dash"])
def test_names(fedcoin: Any, tmp_path: Path, name: str) -> None:
    outcome = fedcoin("keys", "new", "--home", tmp_path / "home", "--", name)
    assert (outcome.code, "BAD_ARGUMENT" in outcome.err) == (2, True)
    assert not (tmp_path / "home").exists()


def test_an_empty_home(fedcoin: Any, tmp_path: Path) -> None:
    assert fedcoin("keys", "list", "--home", tmp_path).out == ""
    outcome = fedcoin("keys", "show", "--home", tmp_path)
    assert (outcome.code, "NO_KEY" in outcome.err) == (1, True)


@pytest.mark.usefixtures("quick_passphrases")
def test_passphrase(fedcoin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    home = Home(tmp_path / "home")
    made = fedcoin("keys", "new", "--home", home.root, "--passphrase-file", secret, "--json").json
    # Showing the address needs no passphrase; signing does.
    assert fedcoin("keys", "show", "--home", home.root, "--json").json == made
    assert fedcoin("keys", "list", "--home", home.root, "--json").json == [made]
    outcome = fedcoin("bond", "1fdc", "--home", home.root)
    assert (outcome.code, "NO_PASSPHRASE" in outcome.err) == (1, True)
    monkeypatch.setenv("FEDCOIN_PASSPHRASE", "wrong")
    outcome = fedcoin("bond", "1fdc", "--home", home.root)
    assert (outcome.code, "WRONG_PASSPHRASE" in outcome.err) == (1, True)
    assert home.key(passphrase="correct horse").public_key.hex() == made["public_key"]
