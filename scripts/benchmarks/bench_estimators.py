"""How near each Shapley estimator comes to the truth, for how many evaluations.

    python scripts/benchmarks/bench_estimators.py [--seeds 60] [--jobs 2] [--games PATTERN]
        [--crowd FILE] [--methods a,b] [--out build/estimators] [--write]

Games of ten players: twelve from real training (``scripts/tools/make_mnist_games.py``; all 1,024
counts are kept) and games with known structure. ``--crowd`` adds 100 really trained clients, whose
file ``scripts/tools/make_crowd_game.py`` made. The error is the L2 distance to the exact values
over their length, the same seeds for all methods. pyDVL and shapiq take part where they are
installed (``pip install fedcoin[bench]``; shapiq's newest estimators need Python 3.12).

Every run goes to ``OUT/GAME.json`` and is not made again but with ``--fresh``. ``--write`` puts
tables and plots into docs/BENCHMARKS.md and docs/benchmarks.
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
    """Ten players each: the worth of all 1,024 coalitions; player k is bit k."""
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
        import pydvl.valuation.samplers  # noqa: F401 - so that nobody's time is that of importing

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
    """All runs of a game of ten players."""
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
    """One run with 100 clients."""
    from scripts.tools.make_crowd_game import crowd as opened

    crowd = opened(path)
    played = _run_once(_ours(name), crowd, crowd.values, budget, seed)
    reference = float(np.linalg.norm(crowd.std_errors) / np.linalg.norm(crowd.values))
    return {"game": "crowd", "method": name, **played, "reference": reference}


def main() -> None:
    """Run the estimators on all games and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--games", default="*")
    parser.add_argument("--methods", default="", help="names with commas between; default all")
    parser.add_argument("--crowd", type=Path, help="what make_crowd_game.py wrote")
    parser.add_argument("--out", type=Path, default=Path("build/estimators"))
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in given.methods.split(",") if name]

    def due(game: str) -> bool:
        there = (given.out / f"{game}.json").exists()
        return fnmatch.fnmatch(game, given.games) and (given.fresh or not there)

    def keep(game: str, rows: list[dict[str, Any]]) -> None:
        path, fresh = given.out / f"{game}.json", {row["method"] for row in rows}
        before = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps([r for r in before if r["method"] not in fresh] + rows))
        print(f"{game}: {len(rows)} runs", flush=True)

    with ProcessPoolExecutor(given.jobs) as workers:
        runs = {
            game: workers.submit(_play, game, given.seeds, wanted)
            for game in _table_games()
            if due(game)
        }
        crowd = [
            workers.submit(_play_crowd, given.crowd, name, budget, seed)
            for budget in reversed(CROWD_BUDGETS)
            for name in CROWD_METHODS
            for seed in range(CROWD_SEEDS)
            if given.crowd and due("crowd")
        ]
        for game, run in runs.items():
            keep(game, run.result())
        if crowd:
            keep("crowd", [run.result() for run in crowd])
    rows = [
        row for path in sorted(given.out.glob("*.json")) for row in json.loads(path.read_text())
    ]
    text = estimators_report.tables(rows)
    print(text)
    if given.write:
        estimators_report.write(rows, text)


if __name__ == "__main__":
    main()
