"""docs/OPERATIONS.md lists the metrics that a node has."""

from __future__ import annotations

from fedcoin.application.node.metrics.declarations import METRICS, PREFIX


def test_names_follow_the_rules() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith(PREFIX)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
