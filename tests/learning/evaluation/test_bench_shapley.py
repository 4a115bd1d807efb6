"""The benchmark runs on the data set in the package, and checks its own counts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

MODULE = "scripts.benchmarks.bench_shapley"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_reports_what_it_measured() -> None:
    run = subprocess.run(
        [sys.executable, "-m", MODULE, "--case", "mlp-exact", "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    report = json.loads(run.stdout)
    assert report["coalitions"] == report["compared"] == 1023
    assert report["images"] == 10_000
    assert report["most_images_off"] <= 1
    assert report["ratio"] > 100  # Several times the duration on an idle machine.
    assert report["seconds"] > 0
    assert report["precompute_seconds"] > 0
    assert 0 < report["peak_rss_bytes"] < 1 << 30
