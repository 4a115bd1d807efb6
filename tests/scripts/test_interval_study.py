"""The study of intervals measures single runs, sums them up, and repeats none."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin import shapley
from scripts.studies.interval_study import Run, make_vote, measure_run, summarise
from tests.support.paths import ROOT

RUN = Run("key", "airports, 10, 20 and 30", "airport, 10", 10, 0, 1.0, 0.2)


def test_a_run_counts_the_players_whose_interval_covers() -> None:
    game = make_vote(8, 1)
    found = shapley.estimate(game.utility, 8, "complementary", 80, 3)
    covered = np.abs(found.values - game.values) <= 1.96 * found.std_errors
    run = measure_run(game, "votes", 10, 3, "complementary")
    assert run.covered == pytest.approx(covered.mean())
    error = np.linalg.norm(found.values - game.values)
    assert run.error == pytest.approx(error / np.linalg.norm(game.values))


def test_exact_values_are_covered() -> None:
    assert measure_run(make_vote(5, 2), "votes", 6, 0, "exact").covered == 1


def test_the_table_has_means_over_games_and_spreads_over_seeds() -> None:
    runs = [
        replace(RUN, game=f"airport, {n}", seed=seed, covered=covered)
        for n, shares in ((10, (1.0, 0.4)), (20, (1.0, 0.8)))
        for seed, covered in enumerate(shares)
    ]
    # Games: 70 and 90 %. Seeds: 100 and 60 %, whose mean has a standard error of 20.
    row = "| airports, 10, 20 and 30 | 2 | 10 | 80 ± 20.0 | 70 | 1 of 4 | 0.2 |"
    assert row in summarise(runs)
    one_seed = summarise(runs[:1])
    assert "| airports, 10, 20 and 30 | 1 | 10 | 100 | 100 | 0 of 1 | 0.2 |" in one_seed


def test_a_second_call_runs_only_new_seeds(tmp_path: Path) -> None:
    def run(seeds: int) -> list[tuple[int, int]]:
        command = [
            sys.executable, "-m", "scripts.studies.interval_study", "--seeds", str(seeds),
            "--games", "vote, 10", "--per-player", "5", "10", "200", "--jobs", "1",
            "--out", str(tmp_path),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("weighted votes") == 2
        lines = (tmp_path / "intervals.jsonl").read_text().splitlines()
        return [(one["seed"], one["per_player"]) for one in map(json.loads, lines)]

    first = run(1)
    # 200 evaluations for each of ten players are all coalitions.
    assert first == [(0, 5), (0, 10)]
    assert run(2) == [*first, (1, 5), (1, 10)]
