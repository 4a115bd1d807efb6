"""The list of a campaign's clients, shown and replaced through a real node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from tests.support.node_process import Live
from tests.support.small_campaign import open_campaign

CLIENTS = [format_address(KeyPair.from_seed(bytes([number]) * 32).address) for number in (1, 2, 3)]


def write_list(path: Path, *clients: str, cap: int = 500) -> Path:
    path.write_text("# who may take part\n" + "".join(f"{client} {cap}\n" for client in clients))
    return path


def test_the_requester_sets_replaces_and_removes_a_list(
    fedcoin: Any, live: Live, tmp_path: Path
) -> None:
    home = ("--home", live.home.root)
    campaign = open_campaign(live)
    two = write_list(tmp_path / "two", *CLIENTS[:2])
    three = write_list(tmp_path / "three", *CLIENTS)

    shown = fedcoin("task", "clients", "show", campaign[:6], *home, "--json").json
    assert shown["campaign_id"] == campaign
    assert shown == {"campaign_id": campaign, "root": "", "count": 0}
    assert "anybody" in fedcoin("task", "clients", "show", campaign, *home).out
    outcome = fedcoin("task", "clients", "set", campaign, two, *home, "--json")
    assert (outcome.code, outcome.json["status"]) == (0, "final"), outcome.err
    shown = fedcoin("task", "clients", "show", campaign, "--file", two, *home, "--json").json
    assert (shown["count"], shown["matches_file"]) == (2, True)
    assert fedcoin("task", "clients", "set", campaign, three, *home).code == 0
    out = fedcoin("task", "clients", "show", campaign, "--file", two, *home).out
    assert "3 listed" in out
    assert f"{two} is not this list" in out

    stranger = fedcoin("task", "clients", "set", campaign, two, "--key", "alice", *home)
    assert (stranger.code, "NOT_THE_REQUESTER" in stranger.err) == (1, True)
    assert fedcoin("task", "clients", "set", campaign, "--anybody", *home).code == 0
    assert fedcoin("task", "clients", "show", campaign, *home, "--json").json["root"] == ""


def test_a_wrong_list_is_refused_before_anything_is_signed(
    fedcoin: Any, live: Live, tmp_path: Path
) -> None:
    home = ("--home", live.home.root)
    campaign = sha256(b"none").hex()
    wrong = write_list(tmp_path / "wrong", "fc1nobody")
    outcome = fedcoin("task", "clients", "set", campaign, wrong, *home)
    assert (outcome.code, "FILE is" in outcome.err, "line 2" in outcome.err) == (1, True, True)
    assert fedcoin("task", "clients", "set", campaign, *home).code == 2
    assert fedcoin("task", "clients", "set", campaign, wrong, "--anybody", *home).code == 2
    right = write_list(tmp_path / "right", *CLIENTS)
    missing = fedcoin("task", "clients", "set", campaign, right, *home)
    assert (missing.code, "UNKNOWN_CAMPAIGN" in missing.err) == (1, True)
