"""Estimate the values of games with the estimators of another checkout of FedCoin.

`compare_trees.py` runs this file by its path in a process of its own, with the other checkout first
in `PYTHONPATH`, so that it imports nothing of this one:

    cd OTHER && PYTHONPATH=$PWD python .../tree_estimates.py GAMES.npz OUT.json SEEDS BUDGET...

GAMES.npz has for each game the worth of all its coalitions, float64 (2^n,), by bit mask. OUT.json
becomes a list with a row for each game, budget and seed from 0 to SEEDS - 1: the values, their
standard errors, and the seconds of processor time.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGES = "fedcoin.shapley", "fedcoin.incentive.shapley"
"""Where a checkout may have its estimators; older ones have the second alone."""


def import_estimators(tree: Path) -> Any:
    """Import the package of estimators that a checkout has.

    Args:
        tree: The checkout's folder, first in the search path.

    Returns:
        The package, with its function `estimate`.
    """
    # An installed FedCoin may offer the packages that the checkout lacks.
    existing = [name for name in PACKAGES if (tree / name.replace(".", "/")).is_dir()]
    return importlib.import_module(existing[0])


def estimate_game(
    package: Any, worth: NDArray[np.float64], budget: int, seed: int
) -> dict[str, Any]:
    """Estimate the values of one game by the method `auto`.

    Args:
        package: The package of estimators.
        worth: The worth of all coalitions, float64 (2^n,), by bit mask.
        budget: The limit on evaluations.
        seed: Seed of the coalitions that are drawn.

    Returns:
        `values` and `std_errors`, lists of n numbers, and `seconds` of processor time.
    """
    n = len(worth).bit_length() - 1
    bits = 1 << np.arange(n)

    def utility(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(worth[np.asarray(rows) @ bits])

    began = time.process_time()
    found = package.estimate(utility, n, budget=budget, seed=seed)
    seconds = time.process_time() - began
    return {
        "values": np.asarray(found.values).tolist(),
        "std_errors": np.asarray(found.std_errors).tolist(),
        "seconds": seconds,
    }


def main() -> None:
    """Estimate all games with all budgets and seeds, and write the rows."""
    games, out, seeds, *budgets = sys.argv[1:]
    package = import_estimators(Path.cwd())
    rows = []
    with np.load(games) as file:
        for game in file.files:
            worth = file[game]
            for budget in map(int, budgets):
                for seed in range(int(seeds)):
                    found = estimate_game(package, worth, budget, seed)
                    rows.append({"game": game, "budget": budget, "seed": seed, **found})
            print(game, flush=True)
    answer = {"package": package.__file__, "rows": rows}
    Path(out).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
