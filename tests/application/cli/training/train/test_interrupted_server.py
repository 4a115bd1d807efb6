"""A coordinator that is interrupted says what stays open, and how to go on or end it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.node_process import Live, wait_said
from tests.support.ports import reserve_addresses


def interrupted(log: Path, *arguments: object) -> int:
    """Run `train server` until its campaign waits for clients, and interrupt it."""
    command = [sys.executable, "-m", "fedcoin.application.cli", *map(str, arguments)]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            wait_said(log, "round 1: waiting for")
            process.send_signal(signal.SIGINT)
            return process.wait(60)
        finally:
            process.kill()


@pytest.mark.timeout(300)
def test_the_campaign_stays_open_until_it_goes_on_or_is_closed(
    fedcoin: Any, live: Live, tmp_path: Path
) -> None:
    (listener,) = reserve_addresses(1)
    home = ("--home", tmp_path / "coordinator")
    assert fedcoin("init", *home, "--genesis", live.home.genesis_path).code == 0
    payer = fedcoin("keys", "show", *home, "--address").out.strip()
    assert fedcoin("send", "--home", live.home.root, payer, "30fdc").code == 0
    server = ("train", "server", *home, "--node", live.api, "--listen", listener)
    log = tmp_path / "server.log"
    # Without receipts a campaign closes at once.
    terms = ("--rounds", "2", "--budget", "10fdc", "--set", "coordinator.receipt_seconds=0")
    assert interrupted(log, *server, *terms) == 0
    said = log.read_text()
    campaign = re.findall(r"campaign ([0-9a-f]{64}) is open: 2 rounds", said)[0]
    assert f"Campaign {campaign} stays open in round 1 of 2, with the rest of its budget" in said
    assert f"`fedcoin-node task close {campaign} --key NAME` closes it" in said
    # What the campaign fixed is not changed by a flag, and nothing is opened again.
    other = fedcoin(*server, "--rounds", "5", "--budget", "40fdc")
    assert (other.code, "OTHER_SETTINGS" in other.err) == (1, True)
    assert "coordinator.rounds = 2 (given: 5)" in other.err
    # Without flags it goes on, with the settings of the campaign.
    again = tmp_path / "again.log"
    assert interrupted(again, *server) == 0
    assert "is open: 2 rounds" not in again.read_text()
    assert f"Campaign {campaign} stays open in round 1 of 2" in again.read_text()
    node = ("--node", live.api)
    assert fedcoin("task", "close", campaign, *home, *node, "--key", "node").code == 0
    balance = fedcoin("account", *home, *node, "--json").json["balance"]
    assert 2_990_000_000 < balance < 3_000_000_000  # Less the fees.
    over = fedcoin(*server)
    assert (over.code, "CAMPAIGN_FINISHED" in over.err) == (1, True)
    assert "stays open" not in over.err
