"""`fedcoin-node train forecast`."""

from __future__ import annotations

import re
from pathlib import Path

from tests.application.cli.conftest import CommandLine


def test_a_campaign_is_forecast(fedcoin: CommandLine, tmp_path: Path) -> None:
    command = ("train", "forecast", "--clients", 10, "--budget", "100fdc", "--rounds", 2)
    sized = (*command, "--evaluation-size", 360)
    shown = fedcoin(*sized)
    assert shown.code == 0, shown.err
    assert "no genesis" in shown.err
    assert "at most 70 FDC" in shown.out
    assert re.search(r"^ +1 .* \d{1,3}(,\d{3})+ ", shown.out, re.MULTILINE)
    assert fedcoin("init", "--home", tmp_path / "a").code == 0
    found = fedcoin(*sized, "--home", tmp_path / "a", "--json", "--miners", 2).json
    assert (found["budget"], len(found["rounds"])) == (100 * 10**8, 2)
    assert found["rounds"][0]["mining"] == 10 * 10**8
    poor = fedcoin(*sized, "--home", tmp_path / "a", "--set", "coordinator.split=1000000,1,1")
    assert "leave at least one of these rounds out" in poor.err
    assert fedcoin(*command, "--home", tmp_path / "a").code == 2
