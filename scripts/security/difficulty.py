"""What D costs, and how it follows the miners' power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.incentive.stopping import is_enough
from scripts.paper_baseline.race import race, variance
from scripts.security.arena import Arena, Setting
from scripts.security.caught import honest, plan_for
from scripts.security.games import Game

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
    game = Game(10, steepness=8.0)
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


def _stop(game: Game, distance: float, number: int, most: int = 100_000) -> int:
    plan = plan_for(game, number, most)
    count = 32
    while count < most:
        known = honest(plan, game, count)
        vectors = plan.contributions(range(count), known.utilities, known.grand, known.empty)
        if is_enough(plan, vectors, round(distance * 1e9)):
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


def step(factor: float, runs: int, speed: float = 150.0) -> Step:
    """All miners become ``factor`` times as fast after some tasks; D follows by the real rule."""
    times = []
    failed = 0
    for seed in range(runs):
        setting = Setting(
            game=Game(5, seed=seed + 1, noise=0.2),
            rounds=BEFORE + AFTER,
            max_samples=100_000,
            commit_window_ms=60_000,
            resend_ms=100,
            speed=speed,
            faster=lambda round: factor if round > BEFORE else 1.0,
            seed=seed,
            parameters={"target_settle_ms": TARGET_MS},
        )
        arena = Arena(setting)
        report = arena.run()
        assert not report.violations, report
        failed += arena.failed
        times.append([(task.closed_ms - task.opened_ms) / 1000 for task in arena.settled])
    shortest = min(len(run) for run in times)
    middle = [float(np.median([run[i] for run in times])) for i in range(shortest)]
    return Step(factor, TARGET_MS / 1000, tuple(middle[:BEFORE]), tuple(middle[BEFORE:]), failed)


@dataclass(frozen=True)
class Least:
    """How often so few samples lie within each D of the truth."""

    samples: int
    within: tuple[tuple[float, float], ...]
    """D and the share of vectors."""


def least(walks: int = 5_000) -> list[Least]:
    """Vectors of 1 to 64 samples of the five clients' game."""
    game = Game(5)
    plan = plan_for(game, 0, walks)
    known = honest(plan, game, walks)
    vectors = plan.contributions(range(walks), known.utilities, known.grand, known.empty)
    shares = vectors / game.size
    found = []
    for samples in (1, 4, 16, 32, 64):
        means = shares[: walks // samples * samples].reshape(-1, samples, 5).mean(axis=1)
        off = np.linalg.norm(means - shares.mean(axis=0), axis=1)
        within = tuple((d, float((off <= d).mean())) for d in (0.2, 0.1, 0.05, 0.02, 0.01))
        found.append(Least(samples, within))
    return found
