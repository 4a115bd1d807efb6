"""Measure how many samples a difficulty D costs, here and in the paper's race.

Notation: V is the variance of one walk's marginal contributions, summed over the clients; R is the
number of miners. The race should need V (1 - 1/R) / D^2 iterations. The stopping rule in force asks
for a standard error of D / 3, that is 9 V / D^2 samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.measurements.sampled_walks import count_samples_until_stop
from fedcoin.testing.paper_protocol.race import estimate_variance, run_race

DISTANCES = (0.1, 0.056, 0.03, 0.018, 0.01)
"""The tried values of D, as shares of the evaluation set."""


@dataclass(frozen=True)
class SampleCost:
    """The measured and the predicted number of samples at one D."""

    # D, as a share of the evaluation set.
    distance: float
    # The mean number of iterations of the paper's race; predicted: V (1 - 1/R) / D^2.
    race: float
    race_law: float
    # The mean number of samples at which honest miners stop; predicted: 9 V / D^2.
    stopping: float
    stopping_law: float


@dataclass(frozen=True)
class PowerLawFit:
    """How well a fitted power law, samples = c * D^slope, and a predicted law match."""

    # The exponent of the fitted law; the predicted one is -2.
    slope: float
    # R squared of the fitted law: the share of the variance of log(samples) that it explains.
    r_squared: float
    # R squared of the predicted law, which has no fitted parameters.
    law_r_squared: float


def measure_sample_costs(
    runs: int, miners: int = 5, distances: Sequence[float] = DISTANCES
) -> list[SampleCost]:
    """Measure how many samples D costs in the paper's race, and under the stopping rule in force.

    Both run on one game of ten clients. In this game the first client to join adds nearly
    everything, as in the paper's experiment.

    Args:
        runs: How many races to run at each D.
        miners: R, how many miners race.
        distances: The values of D, as shares of the evaluation set.

    Returns:
        The costs at each D.
    """
    game = SaturatingGame(10, steepness=8.0)
    table = game.table() / game.size
    rng = np.random.default_rng(7)
    variance = estimate_variance(table, rng)
    costs = []
    for distance in distances:
        results = [
            run_race(table, miners, distance, rng, max_iterations=1 << 20) for _ in range(runs)
        ]
        race = float(np.mean([result.iterations for result in results if result is not None]))
        race_law = variance * (1 - 1 / miners) / distance**2
        stops = [
            count_samples_until_stop(game, distance, number) for number in range(max(2, runs // 20))
        ]
        stopping_law = 9 * variance / distance**2
        costs.append(SampleCost(distance, race, race_law, float(np.mean(stops)), stopping_law))
    return costs


def fit_power_law(
    distances: Sequence[float], samples: Sequence[float], law: Sequence[float]
) -> PowerLawFit:
    """Fit the logarithm of samples linearly to the logarithm of D, by least squares.

    Args:
        distances: The values of D.
        samples: The measured number of samples at each D.
        law: The number of samples that the theory predicts at each.

    Returns:
        The fitted slope, and R squared of the fit and of the prediction.
    """
    x, y = np.log(np.array(distances)), np.log(np.array(samples))
    slope, offset = np.polyfit(x, y, 1)
    total = ((y - y.mean()) ** 2).sum()
    residual = ((y - slope * x - offset) ** 2).sum()
    law_residual = ((y - np.log(np.array(law))) ** 2).sum()
    return PowerLawFit(float(slope), float(1 - residual / total), float(1 - law_residual / total))
