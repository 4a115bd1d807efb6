"""Estimators of two checkouts are compared on the same games and seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks.compare_trees import Answer, Key, compare, read_answers, run_tree
from scripts.benchmarks.estimator_games import BenchGame

VALUES = np.array([1.0, 2.0, 2.0])
OTHER_PACKAGE = """
from types import SimpleNamespace
import numpy as np
def estimate(utility, n, budget, seed):
    worth = float(utility(np.ones((1, n), bool))[0])
    return SimpleNamespace(values=np.full(n, worth + seed), std_errors=np.full(n, budget))
"""


def make_game(name: str) -> BenchGame:
    return BenchGame(name, "digits", 3, lambda rows: rows @ VALUES, VALUES, (50,))


def make_answers(errors: dict[str, float]) -> dict[Key, Answer]:
    """Make answers that are off in the first player's value; intervals hold below 1.96."""
    return {
        (game, 50, 0): {
            "values": [1 + error, 2, 2], "std_errors": [1, 1, 1], "seconds": 0.5
        }
        for game, error in errors.items()
    }  # fmt: skip


def test_errors_are_compared_by_geometric_means() -> None:
    games = {name: make_game(name) for name in ("a", "b")}
    old, new = make_answers({"a": 4.0, "b": 1.0}), make_answers({"a": 1.0, "b": 1.0})
    line = compare(old, new, games).splitlines()[-1]
    assert line == "| all | 50 | 0.50 | 1 of 2 | 1.00 on b | 83 -> 100 % | 0.50 -> 0.50 |"


def test_a_folder_without_estimators_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is no checkout"):
        run_tree(tmp_path, [make_game("a")], ["1", "50"], tmp_path / "kept")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["fedcoin/shapley", "fedcoin/incentive/shapley"])
def test_the_other_tree_is_run_once(tmp_path: Path, place: str) -> None:
    package = tmp_path / place
    package.mkdir(parents=True)
    for folder in (package.parent, tmp_path / "fedcoin"):
        (folder / "__init__.py").touch()
    (package / "__init__.py").write_text(OTHER_PACKAGE)
    path = run_tree(tmp_path, [make_game("a")], ["2", "50"], tmp_path / "kept")
    answers = read_answers(path)
    assert answers["a", 50, 1]["values"] == [6.0, 6.0, 6.0]
    assert answers["a", 50, 0]["std_errors"] == [50, 50, 50]
    written = path.stat().st_mtime_ns
    assert run_tree(tmp_path, [make_game("a")], ["2", "50"], tmp_path / "kept") == path
    assert path.stat().st_mtime_ns == written
