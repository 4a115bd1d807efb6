"""Payments and bonds on a live node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.node_process import Live

BOB = format_address(KeyPair.from_seed(b"b" * 32).address)


def test_send_and_look(fedcoin: Any, live: Live) -> None:
    home = live.home.root
    carol = format_address(KeyPair.generate().address)
    sent = fedcoin(
        "send", carol, "1.5fdc", carol, "7sap", "--home", home, "--key", "alice", "--json"
    )
    assert sent.code == 0, sent.err
    view = sent.json
    assert (view["status"], view["action"]) == ("final", "transfer")
    assert view["hash"] in sent.err
    account = fedcoin("account", carol, "--home", home, "--json").json
    assert account["balance"] == 150_000_007
    alice = fedcoin("account", "--key", "alice", "--home", home, "--json").json
    assert alice["nonce"] == 1
    for_account = live.home.genesis().parameters.state_fee
    assert alice["balance"] == 100 * SAP_PER_FDC - 150_000_007 - view["fee"] - for_account
    assert "1.50000007 FDC" in fedcoin("account", carol, "--home", home).out
    again = fedcoin("tx", view["hash"], "--home", home, "--json").json
    assert again == view
    assert view["hash"] in fedcoin("tx", view["hash"], "--home", home).out
    block = fedcoin("block", view["height"], "--home", home, "--json").json
    assert view["hash"] in block["block"]["transactions"]
    by_hash = fedcoin("block", block["block"]["hash"], "--home", home, "--json").json
    assert by_hash == block
    # Up to 19 decimal digits would be a height.
    start = f"{block['block']['hash'][:20]}…"
    assert fedcoin("block", start, "--home", home, "--json").json == block
    assert view["hash"] in fedcoin("block", view["height"], "--home", home).out
    latest = fedcoin("block", "--limit", 1, "--home", home, "--json").json
    assert len(latest) == 1
    assert fedcoin("block", "--home", home).out.startswith("HEIGHT")


def test_send_without_waiting(fedcoin: Any, live: Live) -> None:
    sent = fedcoin("send", BOB, "1sap", "--home", live.home.root, "--no-wait", "--json")
    assert sent.json["status"] in ("pending", "final")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["send", BOB, "999999999fdc"], 1, "INSUFFICIENT_BALANCE"),
        (["send", BOB, "0"], 1, "AMOUNT"),
        (["send", BOB], 2, "amount after each address"),
        (["send", "fc1nonsense", "1"], 2, "BAD_ADDRESS"),
        (["send", BOB, "1.5"], 2, "BAD_AMOUNT"),
        (["send", BOB, "1sap", "--key", "nobody"], 1, "NO_KEY"),
        (["unbond", "99999fdc"], 1, "BOND"),
    ],
)
def test_refusals(fedcoin: Any, live: Live, arguments: list[str], code: int, word: str) -> None:
    outcome = fedcoin(*arguments, "--home", live.home.root)
    assert (outcome.code, word in outcome.err) == (code, True), outcome.err
    assert not outcome.out


def test_another_networks_node(fedcoin: Any, live: Live, tmp_path: Path) -> None:
    fedcoin("init", "--home", tmp_path, "--chain-id", live.home.genesis().chain_id)
    outcome = fedcoin("send", BOB, "1sap", "--home", tmp_path, "--node", live.api)
    assert (outcome.code, "WRONG_NETWORK" in outcome.err) == (1, True)


def test_a_wallet_without_a_genesis_keeps_the_first_network_that_it_uses(
    fedcoin: Any, live: Live, tmp_path: Path
) -> None:
    fedcoin("keys", "new", "--home", tmp_path)
    pay = ("send", BOB, "1sap", "--home", tmp_path, "--node", live.api)
    first = fedcoin(*pay)
    assert (first.code, "INSUFFICIENT_BALANCE" in first.err) == (1, True)
    assert "Warning" in first.err
    assert live.home.genesis().hash.hex() in first.err
    again = fedcoin(*pay)
    assert (again.code, "Warning" in again.err) == (1, False)
    # A node of another network is refused from now on, whatever name it gives.
    (tmp_path / "pinned_genesis").write_text(f"{bytes(32).hex()}\n")
    other = fedcoin(*pay)
    assert (other.code, "WRONG_NETWORK" in other.err) == (1, True)


def test_the_genesis_may_be_given_instead(fedcoin: Any, live: Live, tmp_path: Path) -> None:
    fedcoin("keys", "new", "--home", tmp_path)
    pay = ("send", BOB, "1sap", "--home", tmp_path, "--node", live.api)
    wrong = fedcoin(*pay, "--genesis", bytes(32).hex())
    assert (wrong.code, "WRONG_NETWORK" in wrong.err) == (1, True)
    assert not (tmp_path / "pinned_genesis").exists()
    right = fedcoin(*pay, "--genesis", live.home.genesis_path)
    assert (right.code, "INSUFFICIENT_BALANCE" in right.err) == (1, True)
    assert "Warning" not in right.err
    contradicting = fedcoin(*pay, "--genesis", bytes(32).hex())
    assert (contradicting.code, "pinned_genesis" in contradicting.err) == (1, True)
