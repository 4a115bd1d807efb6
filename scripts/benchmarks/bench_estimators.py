"""Measure the error of each Shapley estimator for a number of evaluations.

    python -m scripts.benchmarks.bench_estimators [--seeds 20] [--jobs 2] [--minutes 10]
        [--games PATTERN] [--methods a,b] [--crowd FILE] [--out build/estimators] [--quick]
        [--write]

`estimator_games.py` lists the games and says which are held out of tuning, `estimator_methods.py`
the estimators: FedCoin's, pyDVL's and all of shapiq's that its extras allow. The error is the L2
distance to the exact values, divided by their L2 norm; all methods run with the same seeds.

Results are kept in `OUT/runs`, and a run is repeated only when its estimator changed: FedCoin's
sources, or a version of another package. Seeds are run in turn, so that `--minutes` ends with as
many seeds as fit. A single run may take `--limit` processor seconds; a method that takes longer is
not tried with larger budgets in that game. `--write` puts tables and plots of all results into
docs/BENCHMARKS.md and docs/benchmarks. `--crowd` adds 100 really trained clients, in a file that
`scripts/tools/make_crowd_game.py` wrote. `--quick` runs one seed of one game of each family and
writes nothing.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import resource
import signal
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.errors import RefusalError
from scripts.benchmarks import estimators_report
from scripts.benchmarks.estimator_games import BenchGame, make_games
from scripts.benchmarks.estimator_methods import Method, Utility, fingerprint, make_methods

CROWD_BUDGETS, CROWD_SEEDS = (1_000, 3_000, 10_000), 2
CROWD_METHODS = ("permutation", "antithetic", "complementary", "auto")
"""The methods that are tried on games of very many players."""

QUICK_GAMES = (
    "mnist-label-skew-3", "clubs", "hospitals-acc-1", "digits-loss-3", "retrain-neighbours",
    "UN Security Council, 15", "airport, 30",
)  # fmt: skip
"""The games that `--quick` measures."""

LARGE = 15
"""The number of players from which on a game is large."""
MAX_BYTES = 10 << 30
"""The limit on a worker's address space: some methods' matrices grow with n^3 m."""
Row = dict[str, Any]
"""What is known of one run, by the name of the number."""


class _TimeLimitError(Exception):
    """A run took longer than its limit."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `_TimeLimitError` after the processor seconds, as soon as Python code runs."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise _TimeLimitError

    signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _run_once(
    method: Method,
    utility: Utility,
    truth: NDArray[np.float64],
    budget: int,
    seed: int,
    limit: float,
) -> Row:
    """Run a method; the row says what it measured, or under `failed` why it gave no values."""
    row: Row = {"budget": budget, "seed": seed}
    began = time.process_time()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), _limited(limit):
            warnings.simplefilter("ignore")
            values, errors, used = method(utility, len(truth), budget, seed)
    except _TimeLimitError:
        return {**row, "failed": "time limit"}
    except (
        RefusalError,
        ValueError,
        ArithmeticError,
        RuntimeError,
        LookupError,
        MemoryError,
    ) as error:
        return {**row, "failed": type(error).__name__}
    seconds = time.process_time() - began
    off = np.abs(values - truth)
    # Errors of the size of rounding count as held.
    tiny = 1e-12 * np.abs(truth).max()
    return {
        **row, "seconds": seconds, "evaluations": used,
        "error": float(np.linalg.norm(off) / np.linalg.norm(truth)),
        "gap": float(abs(values.sum() - truth.sum()) / np.linalg.norm(truth)),
        "held": None if errors is None else float(np.mean(off <= 1.96 * errors + tiny)),
    }  # fmt: skip


@dataclass(frozen=True)
class _Unit:
    """The runs of one game with one seed that are still due."""

    game: str
    seed: int
    methods: tuple[str, ...]
    limit: float
    folder: Path


def _prepare_worker() -> None:
    """Limit a worker's memory, and discard what native libraries print for each fit."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _play(unit: _Unit) -> list[Row]:
    """Run the methods of a unit with all budgets."""
    game: BenchGame = make_games(unit.folder, unit.game)[unit.game]
    known, rows = make_methods(), []
    for name in unit.methods:
        about = {
            "game": game.name, "family": game.family, "method": name, "key": fingerprint(name)
        }  # fmt: skip
        for budget in game.budgets:
            row = _run_once(
                known[name], game.utility, game.values, budget, unit.seed, unit.limit
            )  # fmt: skip
            rows.append({**about, **row})
            if row.get("failed") == "time limit":
                break
    return rows


def _play_crowd(path: Path, name: str, budget: int, seed: int) -> Row:
    """Run one method once on the game of 100 clients."""
    from scripts.tools.make_crowd_game import load_crowd

    crowd = load_crowd(path)
    played = _run_once(make_methods()[name], crowd, crowd.values, budget, seed, 600)
    reference = float(np.linalg.norm(crowd.std_errors) / np.linalg.norm(crowd.values))
    about = {"game": "crowd", "family": "crowd", "method": name, "key": fingerprint(name)}
    return {**about, **played, "reference": reference}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many runs of each method")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--minutes", type=float, default=60, help="start no run after this time")
    parser.add_argument("--limit", type=float, default=15, help="processor seconds of one run")
    parser.add_argument("--games", default="*", metavar="PATTERN", help="names of games")
    parser.add_argument("--methods", default="*", help="names or patterns with commas between")
    parser.add_argument("--crowd", type=Path, help="a file that make_crowd_game wrote")
    parser.add_argument("--out", type=Path, default=Path("build/estimators"), help="results")
    parser.add_argument("--quick", action="store_true", help="one seed of a game of each family")
    parser.add_argument("--write", action="store_true", help="write tables and plots to docs/")
    return parser.parse_args()


class _Results:
    """The runs that are kept, in one file for each game."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._rows: dict[str, list[Row]] = {}
        current = {name: fingerprint(name) for name in make_methods()}
        for path in sorted(folder.glob("*.json")):
            rows = json.loads(path.read_text(encoding="utf-8"))
            self._rows[path.stem] = [
                row for row in rows if row["key"] == current.get(row["method"])
            ]

    def all(self) -> list[Row]:
        return [row for rows in self._rows.values() for row in rows]

    def of(self, game: str) -> list[Row]:
        return self._rows.get(game, [])

    def has(self, game: str, method: str, seed: int) -> bool:
        return any((row["method"], row["seed"]) == (method, seed) for row in self.of(game))

    def add(self, game: str, rows: list[Row]) -> None:
        self._rows.setdefault(game, []).extend(rows)
        path = self._folder / f"{game}.json"
        path.write_text(json.dumps(self._rows[game]), encoding="utf-8")


def _ends_in_time(results: _Results, game: BenchGame, method: str) -> bool:
    """Tell whether no run with the game's smallest budget took longer than its limit."""
    return not any(
        (row["method"], row["budget"]) == (method, game.budgets[0])
        and row.get("failed") == "time limit"
        for row in results.of(game.name)
    )


def _list_units(options: argparse.Namespace, results: _Results) -> list[_Unit]:
    """List what is due, all games with one seed before those with the next."""
    patterns = options.methods.split(",")
    methods = [
        name for name in make_methods() if any(fnmatch.fnmatch(name, one) for one in patterns)
    ]
    folder = options.out / "games"
    games = [
        game
        for name, game in make_games(folder, options.games).items()
        if name in QUICK_GAMES or not options.quick
    ]
    units = []
    for seed in range(1 if options.quick else options.seeds):
        for game in games:
            due = tuple(
                name
                for name in methods
                if not results.has(game.name, name, seed) and _ends_in_time(results, game, name)
            )
            # Runs of large games take long, so that each of their methods is a unit.
            groups = [due] if game.n < LARGE and due else [(name,) for name in due]
            units += [_Unit(game.name, seed, group, options.limit, folder) for group in groups]
    return units


def _run_all(options: argparse.Namespace, results: _Results) -> None:
    """Run what is due, until the time is up."""
    ends = time.monotonic() + 60 * options.minutes
    # Units of large games take long, so that time could not be kept with all of them queued.
    due = iter(_list_units(options, results))
    with ProcessPoolExecutor(options.jobs, initializer=_prepare_worker) as workers:
        crowd = [
            workers.submit(_play_crowd, options.crowd, name, budget, seed)
            for budget in reversed(CROWD_BUDGETS)
            for name in CROWD_METHODS
            for seed in range(CROWD_SEEDS)
            if options.crowd and not results.has("crowd", name, seed)
        ]
        running: dict[Future[list[Row]], _Unit] = {}
        done = 0
        while True:
            while len(running) < options.jobs and time.monotonic() < ends:
                unit = next(due, None)
                if unit is None:
                    break
                running[workers.submit(_play, unit)] = unit
            if not running:
                break
            finished = next(as_completed(list(running)))
            unit = running.pop(finished)
            results.add(unit.game, finished.result())
            done += 1
            print(f"{done}: {unit.game}, seed {unit.seed}", flush=True)
        if crowd:
            results.add("crowd", [run.result() for run in crowd])


def main() -> None:
    """Run the methods, and print or write their tables."""
    options = _parse_arguments()
    results = _Results(options.out / ("quick" if options.quick else "runs"))
    with suppress(KeyboardInterrupt):
        _run_all(options, results)
    rows = results.all()
    text = estimators_report.tables(rows)
    print(text)
    if options.write and not options.quick:
        estimators_report.write(rows, text)


if __name__ == "__main__":
    main()
