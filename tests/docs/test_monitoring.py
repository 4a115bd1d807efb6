"""docs/monitoring: rules and dashboard name metrics that exist, and the real tools take them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from fedcoin.application.node.metrics.declarations import METRICS
from fedcoin.application.node.node import open_node
from tests.support.paths import ROOT
from tests.support.training_site import node_home
from tests.support.waiting import until

FOLDER = ROOT / "docs/monitoring"
PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}
KNOWN = {metric.name for metric in METRICS} | PROCESS


def expressions_of_alerts() -> list[str]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule["expr"] for rule in group["rules"]]


def expressions_of_dashboard() -> list[str]:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("read", [expressions_of_alerts, expressions_of_dashboard])
def test_only_metrics_that_exist_are_named(read: Any) -> None:
    expressions = read()
    assert len(expressions) > 10
    for expression in expressions:
        named = set(re.findall(r"\b(?:fedcoin|process)_\w+", expression))
        assert named <= KNOWN, expression
        assert named or "up{" in expression


def test_every_alert_says_what_to_do() -> None:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (prometheus)")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ],
)
def test_promtool_takes_the_files(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ask(port: int, expression: str) -> list[dict[str, Any]]:
    """Ask Prometheus for the present value of an expression; empty while it does not answer."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}") as reply:
            found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        if error.code != 503:  # not ready yet
            raise
        return []
    except OSError:
        return []


def write_config(folder: Path, target: str) -> Path:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / "alerts.yaml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def start_prometheus(folder: Path, config: Path, port: int) -> subprocess.Popen[bytes]:
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus")
async def test_the_real_prometheus_scrapes_a_node(tmp_path: Path) -> None:
    home, port = node_home(tmp_path / "node", max_block_interval_ms=200), free_port()
    settings = {"miner.warm": False, "metrics.listen": "127.0.0.1:0"}
    async with open_node(home.config({}, settings), home, asyncio.Event()) as node:
        assert node.metrics is not None
        process = start_prometheus(tmp_path, write_config(tmp_path, node.metrics.address), port)
        try:

            async def value_of(expression: str) -> float:
                found = await asyncio.to_thread(ask, port, expression)
                return float(found[0]["value"][1]) if found else 0.0

            async def has_height() -> bool:
                return await value_of("fedcoin_chain_height") >= 3

            await until(has_height, "Prometheus has scraped three blocks")
            assert await value_of('up{job="fedcoin"}') == 1
            for expression in expressions_of_dashboard():  # each is one that Prometheus takes
                await asyncio.to_thread(ask, port, expression.replace("$node", ".*"))
            assert await asyncio.to_thread(ask, port, 'ALERTS{alertstate="firing"}') == []
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 30)
