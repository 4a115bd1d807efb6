"""docs/OPERATIONS.md lists the metrics that a node has."""

from __future__ import annotations

import sys
from subprocess import run

from fedcoin.application.node.metrics.declarations import METRICS, PREFIX
from tests.support.paths import ROOT


def test_the_table_is_up_to_date() -> None:
    command = [sys.executable, "scripts/tools/write_metrics_table.py", "--check"]
    assert run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False).returncode == 0


def test_names_follow_the_rules() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith(PREFIX)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
