"""Compare the estimator `auto` with that of other checkouts of FedCoin, on the same games.

    python -m scripts.benchmarks.compare_trees --against CHECKOUT [CHECKOUT ...] [--seeds 5]
        [--games PATTERN] [--budgets 50 100 200 400] [--out build/estimators]

A checkout is a folder with the files of an older commit, such as `git worktree add` makes. Only the
games that are held out of tuning are measured (`estimator_games.py`), with the seeds from 0 on.
For each checkout a table shows the error of `auto` in parts of the older one's: geometric means
over the seeds, then over the games; on how many games the mean over the seeds is smaller than the
older one's, and the worst game; how many of the 95 % intervals hold, there and here; and the
seconds of processor time of an estimate.

Answers are kept in `OUT/against`, one file for each tree and set of games, and a tree whose sources
did not change is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks import tree_estimates
from scripts.benchmarks.estimator_games import (
    FAMILIES,
    HELD_OUT,
    SMALL_BUDGETS,
    BenchGame,
    make_games,
)
from scripts.benchmarks.trained_games import list_coalitions

ROOT = Path(__file__).resolve().parents[2]
"""This checkout."""

FLOOR = 1e-6
"""Smaller errors, in parts of the values' norm, count as this one."""

Key = tuple[str, int, int]
"""Game, budget and seed."""
Answer = dict[str, Any]
"""What `tree_estimates` says of one estimate."""


def run_tree(tree: Path, games: Sequence[BenchGame], arguments: Sequence[str], out: Path) -> Path:
    """Run the estimators of a checkout in a process of its own, unless their answers are kept.

    Args:
        tree: The checkout's folder.
        games: The games, of few enough players to list their coalitions.
        arguments: The number of seeds, then the budgets.
        out: The folder of kept answers.

    Returns:
        The file of the answers, as `tree_estimates` writes it.

    Raises:
        SystemExit: The folder has no estimators, or its process failed.
    """
    folders = [tree / name.replace(".", "/") for name in tree_estimates.PACKAGES]
    sources = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    if not sources:
        raise SystemExit(f"{tree} is no checkout: it has none of {', '.join(map(str, folders))}")
    out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Any] = {game.name: game.utility(list_coalitions(game.n)) for game in games}
    parts = [path.read_bytes() for path in sources]
    parts += [name.encode() + worth.tobytes() for name, worth in tables.items()]
    parts.append(" ".join(arguments).encode())
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    # The process runs in the other tree, so that paths must not depend on the folder.
    answers = out.resolve() / f"{digest}.json"
    if answers.exists():
        return answers
    given = answers.with_suffix(".npz")
    np.savez(given, **tables)
    command = [sys.executable, tree_estimates.__file__, str(given), str(answers), *arguments]
    paths = str(tree.resolve())
    done = subprocess.run(command, check=False, cwd=tree, env={**os.environ, "PYTHONPATH": paths})
    given.unlink()
    if done.returncode:
        raise SystemExit(f"the estimators of {tree} ended with {done.returncode}")
    package = Path(json.loads(answers.read_text(encoding="utf-8"))["package"])
    if not package.is_relative_to(tree.resolve()):
        answers.unlink()
        raise SystemExit(f"{package} was measured, which is not in {tree}")
    return answers


def read_answers(path: Path) -> dict[Key, Answer]:
    """Read a file of answers.

    Args:
        path: The file.

    Returns:
        The answers by game, budget and seed.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {(row["game"], row["budget"], row["seed"]): row for row in rows}


def measure_error(answer: Answer, values: NDArray[np.float64]) -> float:
    """Compute the L2 distance to the exact values in parts of their norm, at least `FLOOR`.

    Args:
        answer: An answer of a tree.
        values: The exact values, float64 (n,).

    Returns:
        The error.
    """
    off = np.linalg.norm(np.array(answer["values"]) - values)
    return max(float(off / np.linalg.norm(values)), FLOOR)


def count_held(answer: Answer, values: NDArray[np.float64]) -> float:
    """Compute the share of a game's 95 % intervals that hold.

    Args:
        answer: An answer of a tree.
        values: The exact values, float64 (n,).

    Returns:
        A number from 0 to 1; errors of the size of rounding count as held.
    """
    off = np.abs(np.array(answer["values"]) - values)
    tiny = 1e-12 * np.abs(values).max()
    return float(np.mean(off <= 1.96 * np.array(answer["std_errors"]) + tiny))


def compare(
    old: Mapping[Key, Answer], new: Mapping[Key, Answer], games: Mapping[str, BenchGame]
) -> str:
    """Write the table of one older tree.

    Args:
        old: The older tree's answers.
        new: This tree's answers to the same games, budgets and seeds.
        games: The games by name.

    Returns:
        Markdown.
    """
    budgets = sorted({budget for _, budget, _ in new})
    columns = ("games", "evaluations", "error", "smaller on", "worst game", "coverage", "seconds")
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    families = [family for family in FAMILIES if any(g.family == family for g in games.values())]
    for family in [*families, None]:
        names = [name for name, game in games.items() if family in (None, game.family)]
        heading = FAMILIES[family] if family else "all"
        for budget in budgets:
            cells = _summarise(old, new, games, names, budget)
            lines.append(f"| {heading} | {budget:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _summarise(
    old: Mapping[Key, Answer],
    new: Mapping[Key, Answer],
    games: Mapping[str, BenchGame],
    names: Sequence[str],
    budget: int,
) -> list[str]:
    """Compare two trees on some games with one budget; one cell for each column but the first."""
    keys = {name: [key for key in new if key[:2] == (name, budget)] for name in names}
    ratios = {
        name: float(
            np.mean(
                [
                    np.log(measure_error(new[key], games[name].values))
                    - np.log(measure_error(old[key], games[name].values))
                    for key in keys[name]
                ]
            )
        )
        for name in names
    }
    worst = max(ratios, key=ratios.__getitem__)
    all_keys = [key for name in names for key in keys[name]]
    held = [
        100 * np.mean([count_held(tree[key], games[key[0]].values) for key in all_keys])
        for tree in (old, new)
    ]
    seconds = [np.mean([tree[key]["seconds"] for key in all_keys]) for tree in (old, new)]
    return [
        f"{np.exp(np.mean(list(ratios.values()))):.2f}",
        f"{sum(ratio < 0 for ratio in ratios.values())} of {len(names)}",
        f"{np.exp(ratios[worst]):.2f} on {worst}",
        f"{held[0]:.0f} -> {held[1]:.0f} %",
        f"{seconds[0]:.2f} -> {seconds[1]:.2f}",
    ]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, nargs="+", required=True, help="older checkouts")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    parser.add_argument("--budgets", type=int, nargs="+", default=SMALL_BUDGETS)
    parser.add_argument("--games", default="*", metavar="PATTERN", help="names of games")
    parser.add_argument("--out", type=Path, default=Path("build/estimators"), help="results")
    return parser.parse_args()


def main() -> None:
    """Measure all trees, and print their tables.

    Raises:
        SystemExit: No held-out game has a name like the pattern, or a tree cannot be measured.
    """
    options = _parse_arguments()
    games = {
        name: game
        for name, game in make_games(options.out / "games", options.games).items()
        if game.family in HELD_OUT
    }
    if not games:
        raise SystemExit(f"no held-out game matches {options.games!r}")
    arguments = [str(options.seeds), *map(str, options.budgets)]
    kept = options.out / "against"
    new = read_answers(run_tree(ROOT, list(games.values()), arguments, kept))
    for tree in options.against:
        old = read_answers(run_tree(tree, list(games.values()), arguments, kept))
        print(f"\nError of `auto` in parts of that of {tree}, {options.seeds} seeds:\n")
        print(compare(old, new, games), flush=True)


if __name__ == "__main__":
    main()
