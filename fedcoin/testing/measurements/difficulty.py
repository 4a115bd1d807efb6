"""What D costs, and how it follows the miners' power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from fedcoin.consensus.posap import Reveal, compute_outcome
from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.proof.stopping import has_enough_samples
from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.measurements.forgery_detection import honest, plan_for
from fedcoin.testing.paper_protocol.race import race, variance

DISTANCES = (0.1, 0.056, 0.03, 0.018, 0.01)


@dataclass(frozen=True)
class Cost:
    """Samples at one D."""

    distance: float
    race: float
    """Mean iterations of the paper's race among five miners."""
    law: float
    """V (1 - 1/R) / D^2."""
    ours: float
    """Mean samples at which this program's miners stop."""
    stop: float
    """9 V / D^2: a standard error of D / 3."""


@dataclass(frozen=True)
class Fit:
    """A log-log fit of samples over D."""

    slope: float
    r_squared: float
    against_law: float
    """R^2 of the law itself, nothing fitted."""


def costs(runs: int, miners: int = 5, distances: Sequence[float] = DISTANCES) -> list[Cost]:
    """The race for ten clients; and this program's stopping rule on walks of the same game.

    The game is one in which whoever joins first gets most of it, as in the paper's experiment.
    """
    game = SaturatingGame(10, steepness=8.0)
    table = game.table() / game.size
    rng = np.random.default_rng(7)
    spread = variance(table, rng)
    found = []
    for distance in distances:
        blocks = [race(table, miners, distance, rng, most=1 << 20) for _ in range(runs)]
        mean = float(np.mean([block.iterations for block in blocks if block is not None]))
        law = spread * (1 - 1 / miners) / distance**2
        stops = [_stop(game, distance, number) for number in range(max(2, runs // 20))]
        found.append(Cost(distance, mean, law, float(np.mean(stops)), 9 * spread / distance**2))
    return found


def _stop(game: SaturatingGame, distance: float, number: int, most: int = 100_000) -> int:
    plan = plan_for(game, number, most)
    count = 32
    while count < most:
        known = honest(plan, game, count)
        vectors = plan.contributions(range(count), known.utilities, known.grand, known.empty)
        if has_enough_samples(plan, vectors, round(distance * 1e9)):
            break
        count += max(1, count // 10)
    return count


def fit(distances: Sequence[float], samples: Sequence[float], law: Sequence[float]) -> Fit:
    """Of log samples over log D."""
    x, y = np.log(np.array(distances)), np.log(np.array(samples))
    slope, offset = np.polyfit(x, y, 1)
    spread = ((y - y.mean()) ** 2).sum()
    left = ((y - slope * x - offset) ** 2).sum()
    missed = ((y - np.log(np.array(law))) ** 2).sum()
    return Fit(float(slope), float(1 - left / spread), float(1 - missed / spread))


@dataclass(frozen=True)
class Step:
    """Time to settlement, in seconds, task by task: the median over the runs."""

    factor: float
    target: float
    before: tuple[float, ...]
    after: tuple[float, ...]
    failed: int

    def settled(self, within: float = 0.15) -> int:
        """The first task, from 1, from which on all are near the target; 0: there is none."""
        near = [abs(time / self.target - 1) <= within for time in self.after]
        return next((i + 1 for i in range(len(near)) if all(near[i:])), 0)


TARGET_MS = 10_000
BEFORE, AFTER = 10, 20


def step(factor: float, runs: int, speed: float = 300.0) -> Step:
    """All miners become ``factor`` times as fast after some tasks; D follows by the real rule.

    The speed is such that the D that meets the target is within its bounds before and after.
    """
    times = []
    failed = 0
    for seed in range(runs):
        setting = CampaignSetting(
            game=SaturatingGame(5, seed=seed + 1, noise=0.2),
            rounds=BEFORE + AFTER,
            max_samples=100_000,
            commit_window_ms=60_000,
            resend_ms=100,
            speed=speed,
            faster=lambda round: factor if round > BEFORE else 1.0,
            seed=seed,
            parameters={"target_settle_ms": TARGET_MS},
        )
        arena = CampaignSimulation(setting)
        report = arena.run()
        assert not report.violations, report
        failed += arena.failed
        times.append([(task.closed_ms - task.opened_ms) / 1000 for task in arena.settled])
    shortest = min(len(run) for run in times)
    middle = [float(np.median([run[i] for run in times])) for i in range(shortest)]
    return Step(factor, TARGET_MS / 1000, tuple(middle[:BEFORE]), tuple(middle[BEFORE:]), failed)


@dataclass(frozen=True)
class Least:
    """What becomes of vectors of so few samples among four honest miners, at one D."""

    distance: float
    honest: int
    """Samples at which the honest ones stop: the median of all runs."""
    shares: tuple[tuple[int, float, float], ...]
    """Samples; the share of vectors within D of the median; the share that are inliers."""


FEW = (1, 4, 8, 16, 32, 64)
WIDTHS = (0.2, 0.1, 0.05, 0.02, 0.01)
"""The first is beyond what a network allows unless its genesis says otherwise."""


def least(runs: int = 40, trials: int = 5, distances: Sequence[float] = WIDTHS) -> list[Least]:
    """Vectors of 1 to 64 samples of the five clients' game, against miners that stop as they do."""
    game, percent = SaturatingGame(5), Parameters().min_samples_percent
    found = []
    for distance in distances:
        counts: list[int] = []
        # For each number of samples: within D, and an inlier by both rules.
        counted = {samples: [0, 0] for samples in FEW}
        for run in range(runs):
            others = [_revealed(game, 4 * run + i, distance) for i in range(4)]
            counts += [reveal.samples for reveal in others]
            for samples, trial in product(FEW, range(trials)):
                lazy = _revealed(game, 1_000_000 + trials * run + trial, distance, samples)
                for place, share in enumerate((0, percent)):
                    reveals = [*others, lazy]
                    inliers = _inliers(reveals, distance, share)
                    counted[samples][place] += lazy.miner in inliers
        shares = tuple(
            (samples, near / (runs * trials), inside / (runs * trials))
            for samples, (near, inside) in counted.items()
        )
        found.append(Least(distance, int(np.median(counts)), shares))
    return found


def _revealed(game: SaturatingGame, number: int, distance: float, samples: int = 0) -> Reveal:
    """A miner's reveal; without a number of samples it stops where an honest one does."""
    plan = plan_for(game, number, 100_000)
    samples = samples or _stop(game, distance, number)
    known = honest(plan, game, samples)
    vectors = plan.contributions(range(samples), known.utilities, known.grand, known.empty)
    shapley = plan.shapley_nano(samples, vectors.sum(axis=0).tolist())
    return Reveal(number.to_bytes(20, "big"), 1, samples, shapley)


def _inliers(reveals: Sequence[Reveal], distance: float, percent: int) -> tuple[bytes, ...]:
    outcome = compute_outcome(
        reveals, round(distance * 1e9), b"", exact=False, min_samples_percent=percent
    )
    return outcome.inliers if outcome is not None else ()


@dataclass(frozen=True)
class Stopped:
    """What stopping where it suits gained for a favourite, in standard errors of ``others``."""

    least: int
    """The fewest samples that count."""
    others: int
    """The samples of an honest miner."""
    mean: float
    largest: float
    expected: float
    """0.8 sqrt(others / least): the mean highest point of a random walk's average from there on."""
    settled: float
    """By how much it moves S-bar among four honest miners, on average."""
    error: float
    """One standard error, as a share of the evaluation set."""


def stopped(trials: int, others: int = 500) -> list[Stopped]:
    """A miner computes twice what honest ones do, and claims the count that suits it best: from 32,
    as the first version of the rules let it, from a quarter and from half of what they have."""
    game = SaturatingGame(5)
    truth = game.values()[0]
    quarter = -(-Parameters().min_samples_percent * others // 100)
    gains: dict[int, list[tuple[float, float]]] = {32: [], quarter: [], others // 2: []}
    spread = []
    for number in range(trials):
        plan = plan_for(game, number, 2 * others)
        known = honest(plan, game, 2 * others)
        leaves = range(2 * others)
        vectors = plan.contributions(leaves, known.utilities, known.grand, known.empty)[:, 0]
        means = vectors.cumsum() / np.arange(1, 2 * others + 1) / game.size
        spread.append(vectors.std() / game.size)
        for fewest, found in gains.items():
            count = fewest + int(np.argmax(means[fewest - 1 :]))
            gain = means[count - 1] - truth
            found.append((gain, gain * count / (count + 4 * others)))
    error = float(np.mean(spread) / np.sqrt(others))
    return [
        Stopped(
            fewest,
            others,
            float(np.mean([gain for gain, _ in found]) / error),
            float(np.max([gain for gain, _ in found]) / error),
            float(np.sqrt(2 / np.pi * others / fewest)),
            float(np.mean([moved for _, moved in found]) / error),
            error,
        )
        for fewest, found in gains.items()
    ]
