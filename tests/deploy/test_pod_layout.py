"""A node starts from what the Helm chart mounts: a genesis, a key, variables, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from fedcoin.application.configuration.home import Home
from tests.support.one_validator_home import make_home
from tests.support.paths import ROOT
from tests.support.ports import reserve_addresses

HELM = shutil.which(os.environ.get("HELM", "helm"))

pytestmark = [pytest.mark.slow, pytest.mark.skipif(HELM is None, reason="needs Helm")]


def rendered_container(genesis: Path) -> Any:
    """Return the container of a miner without TLS."""
    assert HELM is not None
    command = [HELM, "template", "net", str(ROOT / "deploy" / "helm" / "fedcoin")]
    command += ["--set-file", f"genesis={genesis}", "--set", "insecure=true"]
    command += ["--set", "roles.a.kind=miner", "--set", "roles.a.keySecret=k"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    items = [item for item in yaml.safe_load_all(out) if item]
    (stateful,) = (item for item in items if item["kind"] == "StatefulSet")
    return stateful["spec"]["template"]["spec"]["containers"][0]


def ask_program(arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command of the program; returns its exit code and output."""
    command = [sys.executable, "-m", "fedcoin.application.cli", *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    return done.returncode, done.stdout


def test_a_node_starts_from_what_is_mounted(tmp_path: Path) -> None:
    made = make_home(tmp_path / "made", 0)
    home = Home(tmp_path / "pod")
    (home.root / "keys").mkdir(parents=True)
    shutil.copy(made.genesis_path, home.genesis_path)
    shutil.copy(made.root / "keys" / "node.key", home.root / "keys")
    container = rendered_container(made.genesis_path)
    environment = {**os.environ, "FEDCOIN_HOME": str(home.root)}
    environment |= {each["name"]: each["value"] for each in container["env"]}
    # The ports are free ones here; the pod has its own.
    listeners = reserve_addresses(3)
    for name, address in zip(("PEERS", "API", "METRICS"), listeners, strict=True):
        assert environment[f"FEDCOIN_{name}_LISTEN"].startswith("0.0.0.0:")
        environment[f"FEDCOIN_{name}_LISTEN"] = address
    environment["FEDCOIN_MINER_WARM"] = "false"
    command = [sys.executable, "-m", "fedcoin.application.cli", *container["args"]]
    with (tmp_path / "log").open("w") as log:
        node = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        assert ask_program(["health", "--timeout", "60"], environment) == (0, "serving\n")
        stopping = container["lifecycle"]["preStop"]["exec"]["command"]
        assert ask_program(stopping[1:], environment)[0] == 0
        assert node.wait(30) == 0
    finally:
        node.kill()
        node.wait()
