"""Commands against a live node."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.cli.entry import run
from fedcoin.application.configuration.home import Home
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.node_process import Live, started, wait_ready
from tests.support.ports import reserve_addresses

BOB = format_address(KeyPair.from_seed(b"b" * 32).address)


def test_status(fedcoin: Any, live: Live) -> None:
    status = fedcoin("status", "--home", live.home.root, "--json").json
    genesis = live.home.genesis()
    assert status["chain_id"] == genesis.chain_id
    assert status["genesis_hash"] == genesis.hash.hex()
    assert status["validator"] is status["mining"] is True
    assert status["supply"] == status["counted_supply"] == genesis.supply
    assert status["connected_power"] == status["total_power"] > 0
    assert status["rss_bytes"] < 150_000_000
    out = fedcoin("status", "--node", live.api).out
    assert "validator, mining" in out
    assert " FDC connected" in out
    assert "conserved" in out


def test_send_and_look(fedcoin: Any, live: Live) -> None:
    home = live.home.root
    sent = fedcoin("send", BOB, "1.5fdc", BOB, "7", "--home", home, "--key", "alice", "--json")
    assert sent.code == 0, sent.err
    view = sent.json
    assert (view["status"], view["action"]) == ("final", "transfer")
    assert view["hash"] in sent.err
    account = fedcoin("account", BOB, "--home", home, "--json").json
    assert account["balance"] == 150_000_007
    alice = fedcoin("account", "--key", "alice", "--home", home, "--json").json
    assert alice["nonce"] == 1
    assert alice["balance"] == 100 * SAP_PER_FDC - 150_000_007 - view["fee"]
    assert "1.50000007 FDC" in fedcoin("account", BOB, "--home", home).out
    again = fedcoin("tx", view["hash"], "--home", home, "--json").json
    assert again == view
    assert view["hash"] in fedcoin("tx", view["hash"], "--home", home).out
    block = fedcoin("block", view["height"], "--home", home, "--json").json
    assert view["hash"] in block["block"]["transactions"]
    by_hash = fedcoin("block", block["block"]["hash"], "--home", home, "--json").json
    assert by_hash == block
    assert view["hash"] in fedcoin("block", view["height"], "--home", home).out
    latest = fedcoin("block", "--limit", 1, "--home", home, "--json").json
    assert len(latest) == 1
    assert fedcoin("block", "--home", home).out.startswith("HEIGHT")


def test_send_without_waiting(fedcoin: Any, live: Live) -> None:
    sent = fedcoin("send", BOB, "1", "--home", live.home.root, "--no-wait", "--json")
    assert sent.json["status"] in ("pending", "final")


def test_bond_and_unbond(fedcoin: Any, live: Live) -> None:
    home = live.home.root
    assert fedcoin("bond", "5fdc", "--home", home).code == 0
    assert fedcoin("unbond", "3fdc", "--home", home).code == 0
    account = fedcoin("account", "--home", home, "--json").json
    assert account["bond"] == 1_002 * SAP_PER_FDC
    validators = fedcoin("validators", "--home", home, "--json").json
    assert [v["bond"] for v in validators] == [1_002 * SAP_PER_FDC]
    assert "100.0 %" in fedcoin("validators", "--home", home).out


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["send", BOB, "999999999fdc"], 1, "INSUFFICIENT_BALANCE"),
        (["send", BOB, "0"], 1, "AMOUNT"),
        (["send", BOB], 2, "amount after each address"),
        (["send", "fc1nonsense", "1"], 2, "BAD_ADDRESS"),
        (["send", BOB, "1.5"], 2, "BAD_AMOUNT"),
        (["send", BOB, "1", "--key", "nobody"], 1, "NO_KEY"),
        (["unbond", "99999fdc"], 1, "BOND"),
        (["tx", "ab" * 32], 1, "TRANSACTION_NOT_FOUND"),
        (["block", "999999"], 1, "NOT_FOUND"),
        (["block", "x"], 2, "64 hex digits"),
        (["task", "show", "ab" * 32], 1, "TASK_NOT_FOUND"),
        (["task", "watch", "ab" * 32], 1, "TASK_NOT_FOUND"),
    ],
)
def test_refusals(fedcoin: Any, live: Live, arguments: list[str], code: int, word: str) -> None:
    outcome = fedcoin(*arguments, "--home", live.home.root)
    assert (outcome.code, word in outcome.err) == (code, True), outcome.err
    assert not outcome.out


def test_no_tasks_and_no_peers_yet(fedcoin: Any, live: Live) -> None:
    assert fedcoin("task", "list", "--home", live.home.root, "--json").json == []
    assert fedcoin("task", "list", "--home", live.home.root).out.startswith("TASK")


def test_another_networks_node(fedcoin: Any, live: Live, tmp_path: Path) -> None:
    fedcoin("init", "--home", tmp_path, "--chain-id", live.home.genesis().chain_id)
    outcome = fedcoin("send", BOB, "1", "--home", tmp_path, "--node", live.api)
    assert (outcome.code, "WRONG_NETWORK" in outcome.err) == (1, True)


def test_a_wallet_without_a_network(fedcoin: Any, live: Live, tmp_path: Path) -> None:
    """A home with nothing but a key can pay: the node says which network it is."""
    fedcoin("keys", "new", "--home", tmp_path)
    outcome = fedcoin("send", BOB, "1", "--home", tmp_path, "--node", live.api)
    assert (outcome.code, "INSUFFICIENT_BALANCE" in outcome.err) == (1, True)


def test_a_home_in_use(fedcoin: Any, live: Live) -> None:
    for command in ("start", "verify"):
        outcome = fedcoin(command, "--home", live.home.root)
        assert (outcome.code, "HOME_IN_USE" in outcome.err) == (1, True)
        assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("listener", ["--api-listen", "--peers-listen"])
def test_a_port_in_use(live: Live, tmp_path: Path, listener: str) -> None:
    home = Home(tmp_path / "home")
    peers, api = reserve_addresses(2)
    genesis = str(live.home.genesis_path)
    arguments = ["--genesis", genesis, "--peers-listen", peers, "--api-listen", api]
    assert run(["init", "--home", str(home.root), *arguments]) == 0
    log = tmp_path / "node.log"
    taken = live.api if listener == "--api-listen" else live.peers
    with started(home, log, listener, taken) as process:
        assert process.wait(60) == 1
    assert "PORT_IN_USE" in log.read_text()
    assert taken in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_second_node_follows_and_ends_with_its_parent(
    fedcoin: Any, live: Live, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    peers, api = reserve_addresses(2)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{nobody.getsockname()[1]}"
        fedcoin(
            "init", "--home", home.root, "--genesis", live.home.genesis_path, "--seed", live.peers,
            "--seed", dead, "--peers-listen", peers, "--api-listen", api,
        )  # fmt: skip
        with started(home, tmp_path / "node.log") as process:
            wait_ready(api)
            fedcoin("send", BOB, "1", "--home", live.home.root)
            height = fedcoin("status", "--node", live.api, "--json").json["height"]
            deadline = time.monotonic() + 30
            while fedcoin("status", "--node", api, "--json").json["height"] < height:
                assert time.monotonic() < deadline
            seen = fedcoin("peers", "--node", api, "--json").json
            assert [peer["address"] for peer in seen] == [live.peers]
            assert live.peers in fedcoin("peers", "--node", api).out
            # Whoever started it is gone: it stops by itself.
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
    replayed = fedcoin("verify", "--home", home.root, "--json")
    assert replayed.code == 0, replayed.err
    assert replayed.json["height"] >= height


def test_json_log(live: Live, tmp_path: Path, fedcoin: Any) -> None:
    home = Home(tmp_path / "home")
    peers, api = reserve_addresses(2)
    fedcoin(
        "init", "--home", home.root, "--genesis", live.home.genesis_path,
        "--peers-listen", peers, "--api-listen", api,
    )  # fmt: skip
    log = tmp_path / "node.log"
    with started(home, log, "--log-format", "json", "--log-level", "debug") as process:
        wait_ready(api)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(line["level"] == "info" and "serving" in line["message"] for line in lines)
