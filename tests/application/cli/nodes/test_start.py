"""A node as a process: what it refuses, which node it follows, and when it stops."""

from __future__ import annotations

import json
import re
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
from tests.support.node_process import Live, started, wait_ready, wait_said
from tests.support.ports import reserve_addresses


def test_a_new_campaign_needs_a_coordinator(fedcoin: Any, tmp_path: Path) -> None:
    fedcoin("init", "--home", tmp_path / "a")
    outcome = fedcoin("start", "--home", tmp_path / "a", "--new-campaign")
    assert (outcome.code, "add --coordinate" in outcome.err) == (2, True)


def test_a_home_in_use_is_refused(fedcoin: Any, live: Live) -> None:
    for command in ("start", "verify"):
        outcome = fedcoin(command, "--home", live.home.root)
        assert (outcome.code, "HOME_IN_USE" in outcome.err) == (1, True)
        assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "listener", [pytest.param("--api-listen", marks=pytest.mark.slow), "--peers-listen"]
)
def test_a_port_in_use_is_refused(live: Live, tmp_path: Path, listener: str) -> None:
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
    setting = f"{listener[2:].replace('-', '.')} to another address, in {home.config_path}"
    assert f"set {setting}" in log.read_text()
    assert "Traceback" not in log.read_text()


BOB = format_address(KeyPair.from_seed(b"b" * 32).address)


def test_a_second_node_follows_and_ends_with_its_parent(
    fedcoin: Any, live: Live, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    peers, api = reserve_addresses(2)
    seed = fedcoin("status", "--node", live.api, "--json").json["peer_address"]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{nobody.getsockname()[1]}"
        fedcoin(
            "init", "--home", home.root, "--genesis", live.home.genesis_path, "--seed", seed,
            "--seed", dead, "--peers-listen", peers, "--api-listen", api,
        )  # fmt: skip
        with started(home, tmp_path / "node.log") as process:
            wait_ready(api)
            fedcoin("send", BOB, "1sap", "--home", live.home.root)
            height = fedcoin("status", "--node", live.api, "--json").json["height"]
            deadline = time.monotonic() + 30
            while fedcoin("status", "--node", api, "--json").json["height"] < height:
                assert time.monotonic() < deadline
            seen = fedcoin("peers", "--node", api, "--json").json
            assert [peer["address"] for peer in seen] == [seed]
            assert seed in fedcoin("peers", "--node", api).out
            # The process that started the node is gone, so the node stops by itself.
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
    replayed = fedcoin("verify", "--home", home.root, "--json")
    assert replayed.code == 0, replayed.err
    assert replayed.json["height"] >= height


def test_a_key_is_refused_while_the_node_runs(fedcoin: Any, live: Live, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    peers, api = reserve_addresses(2)
    status = fedcoin("status", "--node", live.api, "--json").json
    fedcoin(
        "init", "--home", home.root, "--genesis", live.home.genesis_path,
        "--seed", status["peer_address"], "--peers-listen", peers, "--api-listen", api,
    )  # fmt: skip
    log = tmp_path / "node.log"
    with started(home, log) as process:
        wait_ready(api)
        wait_said(log, "joined")
        text = home.config_path.read_text()
        changed = re.sub(
            r"(?m)^#? ?refused_keys = .*$", f'refused_keys = ["{status["node_key"]}"]', text
        )
        assert changed != text
        home.config_path.write_text(changed)
        wait_said(log, "config.toml changed: 1 node key refused")
        wait_said(log, "left: its key is refused by the operator")
        assert fedcoin("peers", "--node", api, "--json").json == []
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


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
