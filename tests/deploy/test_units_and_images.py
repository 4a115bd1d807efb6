"""The systemd unit, the image's health check and compose's, as far as they can be checked here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner

from fedcoin.application.cli.root_command import cli
from tests.support.paths import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def test_every_container_says_whether_it_is_healthy() -> None:
    for name, service in compose().items():
        if name in ("prometheus", "grafana"):
            continue
        check = service["healthcheck"]
        serves_nothing = name == "founding" or name.startswith("client-")
        assert (check == {"disable": True}) == serves_nothing, name
        if not serves_nothing:
            assert check["test"][0] == "CMD", name


def test_health_checks_are_commands_of_this_program() -> None:
    image = (ROOT / "Dockerfile").read_text()
    stated = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", image, re.M)
    assert len(stated) == 1
    checks = [yaml.safe_load(stated[0])]
    checks += [
        service["healthcheck"]["test"][1:]
        for service in compose().values()
        if "test" in service.get("healthcheck", {})
    ]
    own = [check for check in checks if check[0] == "fedcoin-node"]
    assert len(own) == 6
    for check in own:
        # With --help every option is parsed, and nothing is asked.
        assert CliRunner().invoke(cli, [*check[1:], "--help"]).exit_code == 0, check


def test_each_role_has_a_volume_of_its_own() -> None:
    homes = [
        volume.split(":")[0]
        for name, service in compose().items()
        if name != "founding"
        for volume in service.get("volumes", ())
        if volume.endswith(":/var/lib/fedcoin")
    ]
    assert len(homes) == len(set(homes)) == 8


def test_units_run_commands_of_this_program() -> None:
    assert [unit.stem for unit in UNITS] == ["fedcoin-node", "fedcoin-signer"]
    for unit in UNITS:
        (line,) = re.findall(
            r"^ExecStart=/opt/fedcoin/bin/fedcoin-node (.*)$", unit.read_text(), re.M
        )
        assert CliRunner().invoke(cli, [*line.split(), "--help"]).exit_code == 0, line


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_the_unit(tmp_path: Path, unit: Path) -> None:
    text = unit.read_text().replace("/opt/fedcoin/bin/fedcoin-node", sys.executable)
    path = tmp_path / unit.name
    path.write_text(text)
    done = verify_unit(path)
    assert (done.returncode, done.stderr) == (0, "")
    path.write_text(text.replace("ProtectSystem=strict", "ProtectSystem=strictly"))
    assert "strictly" in verify_unit(path).stderr  # the check can fail


def verify_unit(path: Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "verify", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
