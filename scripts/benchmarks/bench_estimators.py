"""Measure the error of each Shapley estimator for a number of evaluations.

    python -m scripts.benchmarks.bench_estimators [--seeds 60] [--jobs 2] [--games PATTERN]
        [--crowd FILE] [--methods a,b] [--out build/estimators] [--write]

The games have ten players: twelve are from real training (`scripts/tools/make_mnist_games.py`
wrote all 1,024 counts of each), the others have a known structure. `--crowd` adds 100 really
trained clients, in a file that `scripts/tools/make_crowd_game.py` wrote. The error is the L2
distance to the exact values, divided by their L2 norm; all methods run with the same seeds. pyDVL
and shapiq are compared, too, if they are installed (`pip install fedcoin[bench]`; shapiq's newest
estimators need Python 3.12).

The runs of each game are written to `OUT/GAME.json`, and only repeated with `--fresh`. `--write`
puts tables and plots into docs/BENCHMARKS.md and docs/benchmarks.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import util
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from scripts.benchmarks import estimators_report

BUDGETS, CROWD_BUDGETS = (100, 200, 400), (1_000, 3_000, 10_000)
CROWD_SEEDS = 2
CROWD_METHODS = ("permutation", "antithetic", "complementary", "auto")
TABLES = Path(__file__).resolve().parents[2] / "tests/shapley/mnist.npz"
Utility = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
Method = Callable[[Utility, int, int, int], tuple[Any, Any, int]]


def _coalitions(n: int) -> NDArray[np.float64]:
    return ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


def _table_games() -> dict[str, NDArray[np.float64]]:
    """Return the worth of all 1,024 coalitions of each game, float64; player k is bit k."""
    with np.load(TABLES) as file:
        games = {f"mnist-{name}": file[name] / 10_000 for name in file.files}
    n, rng = 10, np.random.default_rng(5)
    members = _coalitions(n)
    weights = rng.integers(1, 20, n)
    pairs = rng.normal(size=(n, n))
    clubs = [(rng.random(n) < 0.35, rng.normal()) for _ in range(30)]
    games["weighted-vote"] = (members @ weights > 0.55 * weights.sum()).astype(float)
    games["airport"] = (members * weights).max(axis=1)
    games["glove"] = np.minimum(members[:, :5].sum(axis=1), members[:, 5:].sum(axis=1))
    games["root-of-sum"] = np.sqrt(members @ weights)
    games["pairs"] = np.einsum("mi,ij,mj->m", members, pairs, members)
    games["clubs"] = np.sum([v * members[:, club].all(axis=1) for club, v in clubs], axis=0)
    games["noise"] = rng.normal(size=1 << n)
    return games


def _ours(name: str) -> Method:
    def run(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
        found = shapley.estimate(utility, n, name, budget, seed)
        return found.values, found.std_errors, found.evaluations

    return run


def _shapiq_method(name: str, **options: Any) -> Method:
    def run(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
        import shapiq

        seen: set[bytes] = set()

        def game(rows: Any) -> Any:
            rows = np.asarray(rows, bool).reshape(-1, n)
            seen.update(row.tobytes() for row in rows)
            return utility(rows)

        maker = getattr(shapiq.approximator, name)
        found = maker(n=n, random_state=seed, **options).approximate(budget + 2, game)
        values = np.array([found[(player,)] for player in range(n)])
        return values, None, len(seen) - 2

    return run


def _pydvl_permutations(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
    """Average the marginals of pyDVL's permutation sampler until the budget is used up."""
    from pydvl.valuation.samplers import PermutationSampler

    memo: dict[bytes, float] = {}
    walks: list[Any] = []
    for sample in PermutationSampler(seed=seed).generate_batches(np.arange(n)):
        for one in sample:
            order = np.asarray(one.subset)
            places = np.argsort(order)
            rows = np.vstack([np.zeros(n, bool), places[None] <= np.arange(n)[:, None]])
            keys = [row.tobytes() for row in rows]
            fresh = [i for i, key in enumerate(keys) if key not in memo]
            inner = len({*memo, *keys}) - 2
            if inner > budget:
                return np.mean(walks, axis=0), None, len(memo) - 2
            for i, worth in zip(fresh, utility(rows[fresh]) if fresh else [], strict=True):
                memo[keys[i]] = float(worth)
            steps = np.diff([memo[key] for key in keys])
            walks.append(steps[places])
            if len(walks) > 20 * budget:
                return np.mean(walks, axis=0), None, len(memo) - 2
    return np.mean(walks, axis=0), None, len(memo) - 2


def _methods() -> dict[str, Method]:
    # At these budgets auto is kriging.
    known = {name: _ours(name) for name in ["auto", *shapley.METHODS]}
    del known["exact"], known["kriging"]
    if util.find_spec("pydvl"):
        import pydvl.valuation.samplers  # noqa: F401 - before any time is measured

        known["pyDVL permutations"] = _pydvl_permutations
    if util.find_spec("shapiq"):
        import shapiq

        for label, name, options in SHAPIQ:
            if hasattr(shapiq.approximator, name):
                known[f"shapiq {label}"] = _shapiq_method(name, **options)
    return known


SHAPIQ: list[tuple[str, str, dict[str, Any]]] = [
    ("SVARM", "SVARM", {}),
    ("StratifiedSampling", "StratifiedSamplingSV", {}),
    ("KernelSHAP", "KernelSHAP", {"pairing_trick": True}),
    ("UnbiasedKernelSHAP", "UnbiasedKernelSHAP", {}),
    ("kADDSHAP", "kADDSHAP", {"max_order": 2}),
    ("LeverageSHAP", "LeverageSHAP", {}),
    ("PolySHAP 2", "PolySHAP", {"max_order": 2, "pairing_trick": True}),
    ("PolySHAP 3", "PolySHAP", {"max_order": 3, "pairing_trick": True}),
    ("OddSHAP", "OddSHAP", {}),
]


def _run_once(
    method: Method, utility: Utility, truth: NDArray[np.float64], budget: int, seed: int
) -> dict[str, Any]:
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, errors, used = method(utility, len(truth), budget, seed)
    except RefusalError:
        return {}
    seconds = time.process_time() - began
    off = np.abs(values - truth)
    # Errors of the size of rounding count as held.
    tiny = 1e-12 * np.abs(truth).max()
    return {
        "budget": budget, "seed": seed, "seconds": seconds, "evaluations": used,
        "error": float(np.linalg.norm(off) / np.linalg.norm(truth)),
        "held": None if errors is None else float(np.mean(off <= 1.96 * errors + tiny)),
    }  # fmt: skip


def _play(game: str, seeds: int, wanted: list[str]) -> list[dict[str, Any]]:
    """Run all methods, budgets and seeds on a game of ten players."""
    worth, bits = _table_games()[game], 1 << np.arange(10)

    def utility(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return worth[np.asarray(rows) @ bits]

    truth = shapley.estimate(utility, 10, "exact").values
    return [
        {"game": game, "method": name, **found}
        for name, method in _methods().items()
        if not wanted or name in wanted
        for budget in BUDGETS
        for seed in range(seeds)
        if (found := _run_once(method, utility, truth, budget, seed))
    ]


def _play_crowd(path: Path, name: str, budget: int, seed: int) -> dict[str, Any]:
    """Run one method once on the game of 100 clients."""
    from scripts.tools.make_crowd_game import load_crowd

    crowd = load_crowd(path)
    played = _run_once(_ours(name), crowd, crowd.values, budget, seed)
    reference = float(np.linalg.norm(crowd.std_errors) / np.linalg.norm(crowd.values))
    return {"game": "crowd", "method": name, **played, "reference": reference}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=60, help="how many runs of each method")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--games", default="*", metavar="PATTERN", help="names of games")
    parser.add_argument("--methods", default="", help="names with commas between; default: all")
    parser.add_argument("--crowd", type=Path, help="a file that make_crowd_game wrote")
    parser.add_argument("--out", type=Path, default=Path("build/estimators"), help="results")
    parser.add_argument("--fresh", action="store_true", help="repeat runs that are there")
    parser.add_argument("--write", action="store_true", help="write tables and plots to docs/")
    return parser.parse_args()


def _keep(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add a game's runs to its file, in place of earlier ones of the same methods."""
    methods = {row["method"] for row in rows}
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [row for row in before if row["method"] not in methods]
    path.write_text(json.dumps(kept + rows), encoding="utf-8")
    print(f"{path.stem}: {len(rows)} runs", flush=True)


def _run_games(options: argparse.Namespace) -> None:
    """Run the methods on all games that are asked for and have no file yet."""

    def is_due(game: str) -> bool:
        exists = (options.out / f"{game}.json").exists()
        return fnmatch.fnmatch(game, options.games) and (options.fresh or not exists)

    wanted = [name for name in options.methods.split(",") if name]
    with ProcessPoolExecutor(options.jobs) as workers:
        runs = {
            game: workers.submit(_play, game, options.seeds, wanted)
            for game in _table_games()
            if is_due(game)
        }
        crowd = [
            workers.submit(_play_crowd, options.crowd, name, budget, seed)
            for budget in reversed(CROWD_BUDGETS)
            for name in CROWD_METHODS
            for seed in range(CROWD_SEEDS)
            if options.crowd and is_due("crowd")
        ]
        for game, run in runs.items():
            _keep(options.out / f"{game}.json", run.result())
        if crowd:
            _keep(options.out / "crowd.json", [run.result() for run in crowd])


def main() -> None:
    """Run the methods, and print or write their tables."""
    options = _parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    _run_games(options)
    paths = sorted(options.out.glob("*.json"))
    rows = [row for path in paths for row in json.loads(path.read_text(encoding="utf-8"))]
    text = estimators_report.tables(rows)
    print(text)
    if options.write:
        estimators_report.write(rows, text)


if __name__ == "__main__":
    main()
