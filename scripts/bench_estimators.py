"""How near each Shapley estimator comes to the truth, for how many evaluations.

    python scripts/bench_estimators.py [--seeds 10] [--budgets 100,200,400] [--games PATTERN]
                                       [--methods a,b] [--crowd] [--out build/estimators]

Games: twelve from real training (``scripts/make_mnist_games.py``; all 1,024 counts are kept) and
games with known structure. ``--crowd`` takes a game of 100 unequal clients instead, whose values
are exact by dynamic programming. The error is the L2 distance to the exact values over their
length. pyDVL and shapiq take part where they are installed (``pip install pyDVL shapiq``). Writes
``estimators.json`` (every run), ``estimators.md`` (medians and quartiles, coverage, milliseconds)
and, with matplotlib, ``estimators-evaluations.png`` and ``estimators-seconds.png``.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import platform
import time
import warnings
from collections.abc import Callable, Iterable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.errors import Refusal
from fedcoin.incentive import shapley

TABLES = Path(__file__).resolve().parents[1] / "tests/incentive/shapley/mnist.npz"
Utility = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
Method = Callable[[Utility, int, int, int], tuple[Any, Any, int]]


def coalitions(n: int) -> NDArray[np.float64]:
    return ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


def table_games() -> dict[str, NDArray[np.float64]]:
    """Ten players each: the worth of all 1,024 coalitions; player k is bit k."""
    with np.load(TABLES) as file:
        games = {f"mnist-{name}": file[name] / 10_000 for name in file.files}
    n, rng = 10, np.random.default_rng(5)
    members = coalitions(n)
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


def crowd() -> tuple[Utility, NDArray[np.float64]]:
    """100 clients of quality 0 to 10: accuracy from mean quality and number; exact values."""
    n, rng = 100, np.random.default_rng(3)
    quality = np.sort(rng.integers(0, 11, n))
    most = int(quality.sum())

    def worth(size: Any, total: Any) -> Any:
        mean = total / np.maximum(size, 1) / 10
        grown = 1 - np.exp(-3 * mean * (1 + 0.3 * np.log1p(size)))
        return np.where(size == 0, 0.1, 0.1 + 0.85 * grown - 0.1 * (mean - 0.5) ** 2)

    exact = {}
    size, total = np.meshgrid(np.arange(n), np.arange(most + 1), indexing="ij")
    for own in np.unique(quality):
        others = quality.tolist()
        others.remove(own)
        # share[s, t]: the part of the others' coalitions of size s whose qualities add up to t.
        share = np.zeros((n, most + 1))
        share[0, 0] = 1
        for seen, one in enumerate(others, 1):
            more = np.arange(1, seen + 1)
            new = share.copy()
            new[:seen] *= ((seen - np.arange(seen)) / seen)[:, None]
            new[1 : seen + 1, one:] += share[:seen, : most + 1 - one] * (more / seen)[:, None]
            share = new
        exact[own] = (share * (worth(size + 1, total + own) - worth(size, total))).sum() / n
    truth = np.array([exact[own] for own in quality])
    return lambda rows: worth(rows.sum(axis=1), rows @ quality), truth


def ours(name: str) -> Method:
    def run(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
        found = shapley.estimate(utility, n, name, budget, seed)
        return found.values, found.std_errors, found.evaluations

    return run


def shapiq_method(name: str, **options: Any) -> Method:
    def run(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
        import shapiq

        seen: set[bytes] = set()

        def game(rows: Any) -> Any:
            rows = np.asarray(rows, bool).reshape(-1, n)
            seen.update(row.tobytes() for row in rows)
            return utility(rows)

        maker = getattr(shapiq, name)
        found = maker(n=n, random_state=seed, **options).approximate(budget + 2, game)
        values = np.array([found[(player,)] for player in range(n)])
        return values, None, len(seen) - 2

    return run


def pydvl_permutations(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
    """pyDVL's permutation sampler, its marginals averaged until the budget is used up."""
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


def methods(wanted: Iterable[str]) -> dict[str, Method]:
    known = {name: ours(name) for name in [*shapley.METHODS, "auto"] if name != "exact"}
    if util.find_spec("pydvl"):
        import pydvl.valuation.samplers  # noqa: F401 - so that nobody's time is that of importing

        known["pyDVL permutations"] = pydvl_permutations
    if util.find_spec("shapiq"):
        import shapiq  # noqa: F401

        known["shapiq KernelSHAP"] = shapiq_method("KernelSHAP", pairing_trick=True)
        known["shapiq UnbiasedKernelSHAP"] = shapiq_method("UnbiasedKernelSHAP")
        known["shapiq SVARM"] = shapiq_method("SVARM")
        known["shapiq StratifiedSampling"] = shapiq_method("StratifiedSamplingSV")
        known["shapiq kADDSHAP"] = shapiq_method("kADDSHAP", max_order=2)
    chosen = list(wanted)
    return {name: known[name] for name in known if not chosen or name in chosen}


def run(
    games: dict[str, tuple[Utility, NDArray[np.float64]]],
    budgets: list[int],
    seeds: int,
    wanted: list[str],
) -> list[dict[str, Any]]:
    rows = []
    for game, (utility, truth) in games.items():
        length = np.linalg.norm(truth)
        for budget in budgets:
            for name, method in methods(wanted).items():
                for seed in range(seeds):
                    began = time.perf_counter()
                    try:
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            values, errors, used = method(utility, len(truth), budget, seed)
                    except Refusal:
                        break
                    seconds = time.perf_counter() - began
                    off = np.abs(values - truth)
                    covered = None if errors is None else float(np.mean(off <= 1.96 * errors))
                    rows.append(
                        {
                            "game": game, "budget": budget, "method": name, "seed": seed,
                            "error": float(np.linalg.norm(off) / length), "covered": covered,
                            "seconds": seconds, "evaluations": used,
                        }
                    )  # fmt: skip
        print(f"{game} done", flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> str:
    """A markdown table for each budget: medians (and quartiles) of the error."""
    lines = []
    names = list(dict.fromkeys(row["method"] for row in rows))
    for budget in dict.fromkeys(row["budget"] for row in rows):
        lines += [f"\n{budget} evaluations:\n", "| game | " + " | ".join(names) + " |"]
        lines.append("| --- |" + " --- |" * len(names))
        for game in dict.fromkeys(row["game"] for row in rows):
            cells = []
            for name in names:
                key = (game, budget, name)
                mine = [r for r in rows if (r["game"], r["budget"], r["method"]) == key]
                if not mine:
                    cells.append("-")
                    continue
                low, middle, high = np.quantile([r["error"] for r in mine], [0.25, 0.5, 0.75])
                cells.append(f"{middle:.2g} ({low:.2g}-{high:.2g})")
            lines.append(f"| {game} | " + " | ".join(cells) + " |")
    lines += ["\n| method | covered by 95 % intervals | median ms |", "| --- | --- | --- |"]
    for name in names:
        mine = [r for r in rows if r["method"] == name]
        covered = [r["covered"] for r in mine if r["covered"] is not None]
        part = f"{100 * np.mean(covered):.1f} %" if covered else "-"
        lines.append(f"| {name} | {part} | {1e3 * np.median([r['seconds'] for r in mine]):.0f} |")
    return "\n".join(lines) + "\n"


def plots(rows: list[dict[str, Any]], out: Path) -> None:
    from matplotlib.figure import Figure

    for across in ("evaluations", "seconds"):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        for name in dict.fromkeys(row["method"] for row in rows):
            points = []
            for budget in dict.fromkeys(row["budget"] for row in rows):
                mine = [r for r in rows if (r["budget"], r["method"]) == (budget, name)]
                if mine:
                    points.append([np.median([r[key] for r in mine]) for key in (across, "error")])
            axes.loglog(*np.array(points).T, "o-", label=name)
        axes.set_xlabel(across)
        axes.set_ylabel("normalised L2 error, median over games and seeds")
        axes.legend(fontsize="small")
        figure.savefig(out / f"estimators-{across}.png", dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budgets", default="100,200,400")
    parser.add_argument("--games", default="*")
    parser.add_argument("--methods", default="")
    parser.add_argument("--crowd", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/estimators"))
    given = parser.parse_args()
    games: dict[str, tuple[Utility, NDArray[np.float64]]] = {}
    if given.crowd:
        games["crowd"] = crowd()
    else:
        bits = 1 << np.arange(10)
        for name, worth in table_games().items():
            if fnmatch.fnmatch(name, given.games):
                utility = lambda rows, worth=worth: worth[rows @ bits]  # noqa: E731
                games[name] = (utility, shapley.estimate(utility, 10, "exact").values)
    budgets = [int(budget) for budget in given.budgets.split(",")]
    rows = run(games, budgets, given.seeds, [m for m in given.methods.split(",") if m])
    given.out.mkdir(parents=True, exist_ok=True)
    packages = ["numpy", *(p for p in ("pyDVL", "shapiq") if util.find_spec(p.lower()))]
    versions = {"python": platform.python_version()} | {p: metadata.version(p) for p in packages}
    told = {"versions": versions, "seeds": given.seeds, "runs": rows}
    (given.out / "estimators.json").write_text(json.dumps(told))
    text = f"{versions}, {given.seeds} seeds from 0; medians and quartiles\n" + summary(rows)
    (given.out / "estimators.md").write_text(text)
    print(text)
    if util.find_spec("matplotlib"):
        plots(rows, given.out)


if __name__ == "__main__":
    main()
