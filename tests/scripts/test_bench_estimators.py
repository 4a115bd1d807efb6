"""The benchmark of estimators runs, keeps its runs, and repeats none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmarks import estimator_games, estimators_report
from tests.support.paths import ROOT


def run_benchmark(out: Path, *arguments: str) -> str:
    """Run two methods on a game of ten players; return what it prints."""
    command = [
        sys.executable, "-m", "scripts.benchmarks.bench_estimators", "--out", str(out),
        "--games", "clubs", "--methods", "auto,complementary", "--jobs", "1",
        *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_second_call_runs_only_new_seeds(tmp_path: Path) -> None:
    first = run_benchmark(tmp_path, "--seeds", "1")
    assert "clubs, seed 0" in first
    assert "| auto |" in first
    second = run_benchmark(tmp_path, "--seeds", "2")
    assert "seed 0" not in second.split("|")[0]
    assert "clubs, seed 1" in second
    rows = json.loads((tmp_path / "runs" / "clubs.json").read_text())
    assert len(rows) == 2 * 2 * 4
    assert all(row["evaluations"] <= row["budget"] for row in rows)


def test_a_run_over_its_limit_gives_no_values_and_ends_its_game(tmp_path: Path) -> None:
    run_benchmark(tmp_path, "--seeds", "1", "--limit", "0.0001")
    rows = json.loads((tmp_path / "runs" / "clubs.json").read_text())
    assert [row["failed"] for row in rows if row["method"] == "auto"] == ["time limit"]


def test_the_best_other_method_is_compared_and_failures_are_not() -> None:
    def row(method: str, error: float | None) -> dict[str, object]:
        measured = {"error": error, "gap": 0.0, "held": None, "evaluations": 50, "seconds": 0.001}
        about = {"game": "digits-acc-1", "family": "digits", "budget": 50, "seed": 0}
        return {**about, "method": method, **(measured if error else {"failed": "ValueError"})}

    text = estimators_report.tables([row("auto", 0.2), row("a", 0.1), row("b", None)])
    assert "| held out | 50 | 0 of 1 | 1 | 2.00 | 2.00 on digits-acc-1 (a) |" in text
    assert "1 ValueError" in text
    # One run has no quartiles, and families without runs have no row.
    assert "at most 1 seed of FedCoin's methods" in text
    assert "| digits-acc-1 | 0.2, 2.00 of a |" in text
    assert estimator_games.FAMILIES["votes"] not in text


@pytest.mark.parametrize("held_out", estimator_games.HELD_OUT)
def test_held_out_families_are_described(held_out: str) -> None:
    assert held_out in estimator_games.FAMILIES
