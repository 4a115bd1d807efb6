"""Measure what vectors of too few samples are worth, and what stopping at a good moment gains.

Both are the reasons for the parameter `min_samples_percent`: a vector counts only with at least
this percentage of the median number of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from fedcoin.consensus.posap import Reveal, compute_outcome
from fedcoin.data.messages.parameters import Parameters
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.measurements.sampled_walks import (
    MIN_SAMPLES_TO_STOP,
    compute_samples,
    count_samples_until_stop,
    make_walk_plan,
)

FEW_SAMPLES = (1, 4, 8, 16, 32, 64)
"""The tried numbers of samples of a miner."""

DISTANCES = (0.2, 0.1, 0.05, 0.02, 0.01)
"""Values of D, as shares of the evaluation set. The first is more than a network allows whose
genesis does not say otherwise."""

_MAX_SAMPLES = 100_000


@dataclass(frozen=True)
class InlierShares:
    """How often a vector of few samples is an inlier among four honest miners, at one D."""

    # D, as a share of the evaluation set.
    distance: float
    # The median number of samples at which the honest miners stop.
    honest_samples: int
    # One tuple for each tried number of samples: that number; the share of the vectors within D of
    # the median vector; the share of the vectors that are inliers, that is, within D and with at
    # least `min_samples_percent` of the median number of samples.
    shares: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class StoppingGain:
    """How much a client gains if a miner that favours it stops when its value is highest."""

    # The smallest number of samples that the rules let the miner claim.
    min_samples: int
    # The number of samples of an honest miner.
    honest_samples: int
    # The mean and the largest gain over the trials, in standard errors of an honest miner.
    mean_gain: float
    max_gain: float
    # The gain that theory predicts, sqrt(2/pi * honest_samples / min_samples), in standard errors:
    # the expected maximum of a random walk's average from `min_samples` steps on.
    expected_gain: float
    # How far the gain raises S-bar, the mean over this miner and four honest ones, in standard
    # errors.
    settled_gain: float
    # One standard error of an honest miner, as a share of the evaluation set.
    std_error: float


def measure_inlier_shares(
    runs: int = 40, trials: int = 5, distances: Sequence[float] = DISTANCES
) -> list[InlierShares]:
    """Measure how often a miner with only 1 to 64 samples counts as an inlier.

    Simulates four honest miners, adds a fifth one that stopped early, and applies the consensus
    rules with and without the minimum number of samples.

    Args:
        runs: How many groups of four honest miners to simulate at each D.
        trials: How many fifth miners to try in each group, for each number of samples.
        distances: The values of D, as shares of the evaluation set.

    Returns:
        One result for each D, in the order of `distances`.
    """
    game, min_percent = SaturatingGame(5), Parameters().min_samples_percent
    results = []
    for distance in distances:
        honest_counts: list[int] = []
        # For each number of samples: how many vectors are within D, and how many are inliers.
        counts = {samples: [0, 0] for samples in FEW_SAMPLES}
        for run in range(runs):
            honest = [_make_reveal(game, 4 * run + i, distance) for i in range(4)]
            honest_counts += [reveal.samples for reveal in honest]
            for samples, trial in product(FEW_SAMPLES, range(trials)):
                number = 1_000_000 + trials * run + trial
                added = _make_reveal(game, number, distance, samples)
                for rule, percent in enumerate((0, min_percent)):
                    inliers = _find_inliers([*honest, added], distance, percent)
                    counts[samples][rule] += added.miner in inliers
        shares = tuple(
            (samples, num_near / (runs * trials), num_inliers / (runs * trials))
            for samples, (num_near, num_inliers) in counts.items()
        )
        results.append(InlierShares(distance, int(np.median(honest_counts)), shares))
    return results


def measure_stopping_gain(trials: int, honest_samples: int = 500) -> list[StoppingGain]:
    """Measure how much a miner can raise one client's value by choosing when to stop.

    The miner computes twice as many samples as an honest one, and claims only the first k of them,
    with the k at which its favoured client's mean is highest.

    Args:
        trials: How many dishonest miners to simulate.
        honest_samples: How many samples an honest miner has.

    Returns:
        Three results, for three rules on the smallest k: 32 (the first version of the rules),
        `min_samples_percent` of `honest_samples` (a quarter by default), and half of them.
    """
    game = SaturatingGame(5)
    exact = game.values()[0]
    quarter = -(-Parameters().min_samples_percent * honest_samples // 100)
    # For each minimum: the gain of the miner's vector, and of the settled mean.
    gains: dict[int, list[tuple[float, float]]] = {
        MIN_SAMPLES_TO_STOP: [],
        quarter: [],
        honest_samples // 2: [],
    }
    deviations = []
    for number in range(trials):
        plan = make_walk_plan(game, number, 2 * honest_samples)
        known = compute_samples(plan, game, 2 * honest_samples)
        leaves = range(2 * honest_samples)
        vectors = plan.contributions(leaves, known.utilities, known.grand, known.empty)[:, 0]
        means = vectors.cumsum() / np.arange(1, 2 * honest_samples + 1) / game.size
        deviations.append(vectors.std() / game.size)
        for min_samples, found in gains.items():
            count = min_samples + int(np.argmax(means[min_samples - 1 :]))
            gain = means[count - 1] - exact
            found.append((gain, gain * count / (count + 4 * honest_samples)))
    error = float(np.mean(deviations) / np.sqrt(honest_samples))
    return [
        StoppingGain(
            min_samples,
            honest_samples,
            float(np.mean([gain for gain, _ in found]) / error),
            float(np.max([gain for gain, _ in found]) / error),
            float(np.sqrt(2 / np.pi * honest_samples / min_samples)),
            float(np.mean([moved for _, moved in found]) / error),
            error,
        )
        for min_samples, found in gains.items()
    ]


def _make_reveal(game: SaturatingGame, number: int, distance: float, samples: int = 0) -> Reveal:
    """Make a miner's reveal; without a number of samples it stops as an honest miner does."""
    plan = make_walk_plan(game, number, _MAX_SAMPLES)
    samples = samples or count_samples_until_stop(game, distance, number, _MAX_SAMPLES)
    known = compute_samples(plan, game, samples)
    vectors = plan.contributions(range(samples), known.utilities, known.grand, known.empty)
    shapley = plan.shapley_nano(samples, vectors.sum(axis=0).tolist())
    return Reveal(number.to_bytes(20, "big"), 1, samples, shapley)


def _find_inliers(reveals: Sequence[Reveal], distance: float, percent: int) -> tuple[bytes, ...]:
    outcome = compute_outcome(
        reveals, round(distance * 1e9), b"", is_drawn=False, min_samples_percent=percent
    )
    return outcome.inliers if outcome is not None else ()
