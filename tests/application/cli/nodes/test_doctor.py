"""`fedcoin-node doctor`: lines and JSON, and its exit code."""

from __future__ import annotations

from pathlib import Path

from tests.application.cli.conftest import CommandLine
from tests.support.node_process import Live
from tests.support.ports import reserve_addresses


def test_a_running_node_is_looked_at(fedcoin: CommandLine, live: Live) -> None:
    done = fedcoin("doctor", "--home", live.home.root, "--skip-worker", "--json")
    assert done.code == 0, done.out
    found = {each["subject"]: each for each in done.json}
    assert found["ports"]["text"].endswith("is in use by the running node")
    assert found["votes"]["level"] == found["chain"]["level"] == "ok"
    assert found["clock"]["level"] == "unknown"
    assert (found["peers"]["level"], found["seeds"]["level"]) == ("warning", "note")
    assert all(each["advice"] for each in done.json if each["level"] != "ok")


def test_what_is_wrong_ends_with_1(fedcoin: CommandLine, tmp_path: Path) -> None:
    peers, api = reserve_addresses(2)
    listeners = ("--peers-listen", peers, "--api-listen", api)
    assert fedcoin("init", "--home", tmp_path / "a", *listeners).code == 0
    key = tmp_path / "a/keys/node.key"
    assert fedcoin("doctor", "--home", tmp_path / "a", "--skip-worker").code == 0
    key.chmod(0o644)
    done = fedcoin("doctor", "--home", tmp_path / "a", "--skip-worker")
    assert done.code == 1
    assert "by others than its owner (mode 0644): chmod 600 it" in done.out
    assert "1 wrong" in done.out.splitlines()[-1]
