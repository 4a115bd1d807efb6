from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.genesis import parse_genesis


def test_a_new_network(fedcoin: Any, tmp_path: Path) -> None:
    outcome = fedcoin(
        "init", "--home", tmp_path / "a", "--chain-id", "lab-1", "--fund", "coordinator=500fdc",
        "--balance", "7fdc", "--bond", "300fdc", "--parameter", "challenge_leaves=8", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    about = outcome.json
    home = Home(tmp_path / "a")
    genesis = home.genesis()
    assert genesis.chain_id == about["chain_id"] == "lab-1"
    assert genesis.hash.hex() == about["genesis_hash"]
    assert genesis.parameters.challenge_leaves == 8
    assert genesis.supply == about["supply"] == 807 * SAP_PER_FDC
    assert genesis.validators == ((home.key().public_key, 300 * SAP_PER_FDC),)
    assert dict(genesis.accounts) == {
        home.key().address: 7 * SAP_PER_FDC,
        home.key("coordinator").address: 500 * SAP_PER_FDC,
    }
    assert home.artifacts_path.is_dir()


def test_more_nodes_of_one_network(fedcoin: Any, tmp_path: Path) -> None:
    other = fedcoin("keys", "new", "--home", tmp_path / "b", "--json").json
    stranger = KeyPair.generate()
    made = fedcoin(
        "init", "--home", tmp_path / "a", "--validator", f"{other['public_key']}=100fdc",
        "--account", f"{other['address']}=5fdc", "--account", f"{other['address']}=1sap",
        "--validator", f"{stranger.public_key.hex()}=100fdc",
    )  # fmt: skip
    assert made.code == 0, made.err
    joined = fedcoin(
        "init", "--home", tmp_path / "b", "--genesis", tmp_path / "a/genesis.json",
        "--seed", "127.0.0.1:7050", "--api-listen", "127.0.0.1:7061", "--peers-listen",
        "127.0.0.1:7060", "--json",
    )  # fmt: skip
    assert joined.code == 0, joined.err
    # The existing key is kept.
    assert joined.json["keys"] == {"node": other["address"]}
    genesis = parse_genesis((tmp_path / "b/genesis.json").read_bytes())
    assert genesis.raw == (tmp_path / "a/genesis.json").read_bytes()
    assert dict(genesis.accounts)[parse_address(other["address"])] == 5 * SAP_PER_FDC + 1
    assert len(genesis.validators) == 3
    config = Home(tmp_path / "b").config({})
    assert config.peers.seeds == ("127.0.0.1:7050",)
    assert (config.peers.listen, config.api.listen) == ("127.0.0.1:7060", "127.0.0.1:7061")


def test_people_see_what_to_do_next(fedcoin: Any, tmp_path: Path) -> None:
    out = fedcoin("init", "--home", tmp_path / "a").out
    assert "1001000 FDC" in out
    assert f"fedcoin-node start --home {tmp_path / 'a'}" in out


def test_a_home_is_not_overwritten(fedcoin: Any, tmp_path: Path) -> None:
    fedcoin("init", "--home", tmp_path)
    before = (tmp_path / "genesis.json").read_bytes()
    outcome = fedcoin("init", "--home", tmp_path)
    assert (outcome.code, "HOME_EXISTS" in outcome.err) == (1, True)
    assert (tmp_path / "genesis.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--chain-id", "Not Good"], 1, "BAD_GENESIS"),
        (["--bond", "0fdc"], 1, "BAD_GENESIS"),
        (["--bond", "1sap"], 1, "BAD_GENESIS"),
        (["--parameter", "no_such=1"], 2, "BAD_ARGUMENT"),
        (["--parameter", "challenge_leaves=99999999"], 1, "BAD_GENESIS"),
        (["--parameter", "challenge_leaves"], 2, "BAD_ARGUMENT"),
        (["--parameter", "challenge_leaves=-1"], 2, "BAD_ARGUMENT"),
        (["--validator", "abcd=1fdc"], 2, "BAD_ARGUMENT"),
        (["--account", "fc1nonsense=1fdc"], 2, "BAD_ADDRESS"),
        (["--fund", "x=1.5"], 2, "BAD_AMOUNT"),
        (["--fund", "x=3"], 2, "write 3fdc or 3sap"),
        (["--balance", "3"], 2, "write 3fdc or 3sap"),
        (["--fund", "../x=1fdc"], 2, "BAD_ARGUMENT"),
        (["--fund", "node=1fdc"], 2, "--balance"),
        (["--balance", "99999999999999fdc"], 2, "BAD_AMOUNT"),
        (["--seed", "nowhere"], 2, "BAD_ARGUMENT"),
        (["--genesis", "/no/such/file"], 2, "does not exist"),
    ],
)
def test_refusals_leave_nothing_behind(
    fedcoin: Any, tmp_path: Path, arguments: list[str], code: int, word: str
) -> None:
    outcome = fedcoin("init", "--home", tmp_path / "a", *arguments)
    assert (outcome.code, word in outcome.err) == (code, True), outcome.err
    assert not (tmp_path / "a").exists()


def test_joining_takes_no_rules(fedcoin: Any, tmp_path: Path) -> None:
    fedcoin("init", "--home", tmp_path / "a")
    genesis = tmp_path / "a/genesis.json"
    outcome = fedcoin("init", "--home", tmp_path / "b", "--genesis", genesis, "--bond", "1fdc")
    assert (outcome.code, "--bond" in outcome.err) == (2, True)
    genesis.write_text("{}")
    outcome = fedcoin("init", "--home", tmp_path / "b", "--genesis", genesis)
    assert (outcome.code, "BAD_GENESIS" in outcome.err) == (1, True)
    assert not (tmp_path / "b").exists()


@pytest.mark.usefixtures("quick_passphrases")
def test_encrypted_keys(fedcoin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDCOIN_PASSPHRASE", "open sesame")
    assert fedcoin("init", "--home", tmp_path / "a", "--fund", "x=1fdc").code == 0
    monkeypatch.delenv("FEDCOIN_PASSPHRASE")
    outcome = fedcoin("bond", "1fdc", "--key", "x", "--home", tmp_path / "a")
    assert (outcome.code, "NO_PASSPHRASE" in outcome.err) == (1, True)
