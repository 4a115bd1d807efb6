"""Signing on several machines: each signer has a home of its own, and no node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.wallet.key_policy_file import read_policy
from fedcoin.application.wallet.prepared_transaction import PreparedTransaction
from fedcoin.data.messages.transactions import encode_body
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.genesis import CHAIN_ID, FDC, GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.keys import BOB
from tests.support.node_process import Live
from tests.support.transfers import transfer_to

SIGNERS = ("berlin", "paris", "rome")


@pytest.fixture
def purse(fedcoin: Any, tmp_path: Path) -> Path:
    """Three homes with a key each, and a 2-of-3 account of these keys."""
    keys = []
    for name in SIGNERS:
        made = fedcoin("keys", "new", "--home", tmp_path / name, "--no-encrypt", "--json").json
        keys.append(made["public_key"])
    (tmp_path / "rome.pub").write_text(keys[2] + "\n")
    path = tmp_path / "purse.json"
    made = fedcoin(
        *("keys", "policy", "create", "--threshold", 2, *keys[:2], tmp_path / "rome.pub"),
        *("--out", path),
    )
    assert (made.code, "2 of 3" in made.out) == (0, True), made.err
    return path


def prepared(purse: Path) -> Path:
    body = TransactionBody(
        chain_id=CHAIN_ID,
        nonce=7,
        fee=32_000,
        expiry_height=900,
        transfer=transfer_to((BOB.address, 5 * FDC)),
    )
    path = purse.with_name("payment.json")
    transaction = PreparedTransaction(GENESIS_HASH, read_policy(purse), encode_body(body))
    path.write_text(transaction.render())
    return path


def sign(fedcoin: Any, file: Path, name: str, *more: object, genesis: bytes = GENESIS_HASH) -> Any:
    home = file.parent / name
    options = ("--home", home, "--genesis", genesis.hex(), "--yes")
    return fedcoin("transaction", "sign", file, *options, *more)


def test_an_account_has_one_address_whatever_the_order(fedcoin: Any, purse: Path) -> None:
    shown = fedcoin("keys", "policy", "show", purse, "--json").json
    address = fedcoin("keys", "policy", "show", purse, "--address").out.strip()
    assert shown["address"] == address
    assert shown["public_keys"] == sorted(shown["public_keys"])
    other = purse.with_name("other.json")
    keys = reversed(shown["public_keys"])
    made = fedcoin(*("keys", "policy", "create", "--threshold", 2, *keys, "--out", other, "--json"))
    assert made.json["address"] == address
    again = fedcoin("keys", "policy", "create", "--threshold", 2, "00" * 32, "--out", other)
    assert (again.code, "BAD_ARGUMENT" in again.err) == (2, True)
    few = fedcoin(
        *("keys", "policy", "create", "--threshold", 2, shown["public_keys"][0], "--out", "x")
    )
    assert (few.code, "BAD_POLICY" in few.err) == (1, True)


def test_signers_see_what_they_sign(fedcoin: Any, purse: Path) -> None:
    file = prepared(purse)
    shown = fedcoin("transaction", "show", file).out
    for part in ("pays 5 FDC to fc1", "0.00032 FDC", CHAIN_ID, GENESIS_HASH.hex(), "2 of 3"):
        assert part in shown
    assert "nonce       7" in shown
    home = file.parent / "berlin"
    asked = fedcoin(
        "transaction", "sign", file, "--home", home, "--genesis", GENESIS_HASH.hex()
    )  # There is no terminal to say yes at.
    assert asked.code == 1
    assert "pays 5 FDC" in asked.out
    assert not json.loads(file.read_text())["signatures"]


def test_two_signers_are_enough(fedcoin: Any, purse: Path) -> None:
    file, copy = prepared(purse), purse.with_name("from-rome.json")
    assert "1 more must" in sign(fedcoin, file, "berlin").out
    assert sign(fedcoin, prepared(purse), "rome", "--out", copy).code == 0
    few = fedcoin("transaction", "send", copy, "--home", purse.with_name("rome"))
    assert (few.code, "TOO_FEW_SIGNATURES" in few.err) == (1, True)
    assert sign(fedcoin, file, "berlin").code == 0
    combined = fedcoin("transaction", "combine", file, copy, "--out", file)
    assert "which is enough" in combined.out
    assert len(json.loads(file.read_text())["signatures"]) == 2


def test_wrong_signatures_are_named(fedcoin: Any, purse: Path) -> None:
    file = prepared(purse)
    assert sign(fedcoin, file, "berlin").code == 0
    fedcoin("keys", "new", "--home", purse.with_name("stranger"), "--no-encrypt")
    for name, genesis, code in (
        ("berlin", GENESIS_HASH, "ALREADY_SIGNED"),
        ("stranger", GENESIS_HASH, "NOT_A_SIGNER"),
        ("paris", OTHER_GENESIS_HASH, "WRONG_NETWORK"),
    ):
        outcome = sign(fedcoin, file, name, genesis=genesis)
        assert (outcome.code, code in outcome.err) == (1, True), outcome.err
    unknown = fedcoin("transaction", "sign", file, "--home", purse.with_name("rome"), "--yes")
    assert (unknown.code, "NO_GENESIS" in unknown.err) == (1, True)
    changed = file.read_text().replace('"nonce": 7', '"nonce": 8')
    file.write_text(changed)
    spoiled = fedcoin("transaction", "show", file)
    assert (spoiled.code, "BAD_TRANSACTION_FILE" in spoiled.err) == (2, True)


@pytest.mark.slow
def test_several_people_pay(fedcoin: Any, live: Live, purse: Path) -> None:
    home = live.home.root
    address = fedcoin("keys", "policy", "show", purse, "--address").out.strip()
    assert fedcoin("send", address, "5fdc", "--home", home, "--key", "alice").code == 0
    file = purse.with_name("payment.json")
    recipient = fedcoin("keys", "show", "alice", "--address", "--home", home).out.strip()
    sending = ("send", recipient, "1fdc", "--home", home, "--policy", purse, "--prepare")
    assert fedcoin(*sending, file).code == 0
    again = fedcoin(*sending, file)
    assert again.code != 0  # It would replace what others may have signed.
    bonding = fedcoin("bond", "1fdc", *sending[3:], purse.with_name("bond.json"))
    assert (bonding.code, "NEEDS_ONE_KEY" in bonding.err) == (1, True)
    alone = fedcoin("send", recipient, "1fdc", "--home", home, "--policy", purse)
    assert (alone.code, "BAD_ARGUMENT" in alone.err) == (2, True)
    for name in SIGNERS[1:]:
        assert sign(fedcoin, file, name, genesis=Home(home).genesis().hash).code == 0
    sent = fedcoin("transaction", "send", file, "--home", home, "--json")
    assert sent.code == 0, sent.err
    assert (sent.json["status"], sent.json["threshold"], sent.json["num_keys"]) == ("final", 2, 3)
    assert "2 of 3 keys" in fedcoin("account", address, "--home", home).out
    # Somebody else sends it as well, and learns that it is final.
    assert fedcoin("transaction", "send", file, "--home", home).code == 0
    stale = purse.with_name("stale.json")
    assert fedcoin(*sending, stale, "--nonce", 0, "--fee", "50000sap").code == 0
    for name in SIGNERS[:2]:
        assert sign(fedcoin, stale, name, genesis=Home(home).genesis().hash).code == 0
    refused = fedcoin("transaction", "send", stale, "--home", home)
    assert (refused.code, "NONCE_TOO_LOW" in refused.err) == (1, True)
