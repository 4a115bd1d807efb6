"""`fedcoin-node top`: once as text, and live until q is pressed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest
from rich.console import Console

from fedcoin.application.cli.queries.overview import NodeOverview, render
from fedcoin.v1.block_pb2 import TASK_PHASE_COMMIT
from fedcoin.v1.node_service_pb2 import ConnectedPeer, GetStatusResponse
from fedcoin.v1.views_pb2 import CampaignView, TaskMinerView, TaskView, ValidatorView
from tests.application.cli.conftest import CommandLine
from tests.support.node_process import Live


def test_it_prints_once(fedcoin: CommandLine, live: Live) -> None:
    shown = fedcoin("top", "--once", "--home", live.home.root)
    assert shown.code == 0, shown.err
    assert live.home.genesis().chain_id in shown.out
    assert "validator, mining" in shown.out
    assert "100.0 %" in shown.out
    assert "\x1b" not in shown.out


def test_a_command_is_watched(
    fedcoin: CommandLine, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([None])

    def sleep(seconds: float) -> None:
        if next(pauses, "no more") is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    watched = fedcoin("status", "--home", live.home.root, "--json", "--watch", "0.2")
    lines = watched.out.splitlines()
    assert (watched.code, len(lines)) == (0, 2)
    assert all('"chain_id"' in line for line in lines)


def test_rounds_campaigns_and_warnings_are_shown() -> None:
    status = GetStatusResponse(
        chain_id="c", height=7, connected_power=1, total_power=4, catching_up=True
    )
    status.tls_expiry_ms = 5_000 + 86_400_000
    miners = [TaskMinerView(committed=True), TaskMinerView()]
    task = TaskView(
        task_id="ab" * 32, round=2, phase=TASK_PHASE_COMMIT, miners=miners, deadline_ms=12_000
    )
    campaign = CampaignView(campaign_id="cd" * 32, last_round=1, rounds=3, budget=10**8)
    # What a stranger says is shown as text.
    peer = ConnectedPeer(address="key@10.0.0.7:7050", agent="[red]x[/red]", height=6)
    validator = ValidatorView(address="fc1a", bond=10**10)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=150, record=True, file=nowhere)
        console.print(render(NodeOverview(status, [peer], [validator], [task], [campaign]), 5_000))
    text = console.export_text()
    warnings = ("catching up, too little power", "certificate expires in 1.0 days")
    for part in (*warnings, "[red]x[/red]", "10.0.0.7:7050", "1 of 3"):
        assert part in text
    row = next(line for line in text.splitlines() if "ab" * 8 in line)
    assert row.split() == ["ab" * 8, "2", "commit", "0", "1", "0", "7", "s"]


@pytest.mark.parametrize(("height", "said"), [(0, "none yet"), (1, "4.0 s ago")])
def test_the_genesis_is_no_block(height: int, said: str) -> None:
    status = GetStatusResponse(chain_id="c", height=height, block_time_ms=1_000, total_power=1)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=150, record=True, file=nowhere)
        console.print(render(NodeOverview(status, [], [], [], []), 5_000))
    row = next(line for line in console.export_text().splitlines() if "last block" in line)
    assert row.rstrip().endswith(said)


@pytest.mark.slow
def test_q_ends_it(live: Live) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "fedcoin.application.cli", "top", "--home", live.home.root]
    with subprocess.Popen([*map(str, command)], stdin=theirs, stdout=theirs, stderr=theirs) as top:
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + 30
        while b"Validators" not in shown:
            assert time.monotonic() < deadline, shown
            shown += os.read(ours, 65_536)
        os.write(ours, b"q")
        assert top.wait(20) == 0
    os.close(ours)
