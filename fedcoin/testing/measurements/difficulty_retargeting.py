"""Measure how the difficulty D follows a sudden change of all miners' speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation

TARGET_MS = 10_000
"""The parameter `target_settle_ms`: how long a task should take, in ms."""

TASKS_BEFORE, TASKS_AFTER = 10, 20


@dataclass(frozen=True)
class RetargetingResponse:
    """Times to settlement, in virtual seconds, task by task: medians over the runs."""

    # By which factor the miners' speed changes.
    factor: float
    # The time that a task should take.
    target: float
    before: tuple[float, ...]
    after: tuple[float, ...]
    # Failed tasks of all runs.
    failed: int

    def settled_from(self, tolerance: float = 0.15) -> int:
        """Find from which task after the change on all times are near the target.

        Args:
            tolerance: How far a time may be off, as a share of the target.

        Returns:
            The number of that task after the change, from 1; 0 if there is none.
        """
        is_near = [abs(time / self.target - 1) <= tolerance for time in self.after]
        return next((i + 1 for i in range(len(is_near)) if all(is_near[i:])), 0)


def measure_retargeting(factor: float, runs: int, speed: float = 300.0) -> RetargetingResponse:
    """Measure how the difficulty D follows a change of all miners' speed after ten tasks.

    Args:
        factor: By how much their speed is multiplied.
        runs: How many runs to take the median of.
        speed: Coalitions that a miner evaluates in a second before the change. With the default, D
            is within its bounds before and after changes by a factor of four.

    Returns:
        The median time to settlement of each task, in seconds, and the number of failed tasks.
    """
    times = []
    failed = 0
    for seed in range(runs):
        setting = CampaignSetting(
            game=SaturatingGame(5, seed=seed + 1, noise=0.2),
            rounds=TASKS_BEFORE + TASKS_AFTER,
            max_samples=100_000,
            commit_window_ms=60_000,
            resend_ms=100,
            speed=speed,
            speedup=lambda round: factor if round > TASKS_BEFORE else 1.0,
            seed=seed,
            parameters={"target_settle_ms": TARGET_MS},
        )
        campaign = CampaignSimulation(setting)
        report = campaign.run()
        assert not report.violations, report
        settled = campaign.outcome.settled
        failed += campaign.outcome.num_failed
        times.append([(task.closed_ms - task.opened_ms) / 1000 for task in settled])
    num_tasks = min(len(run) for run in times)
    medians = [float(np.median([run[i] for run in times])) for i in range(num_tasks)]
    before, after = tuple(medians[:TASKS_BEFORE]), tuple(medians[TASKS_BEFORE:])
    return RetargetingResponse(factor, TARGET_MS / 1000, before, after, failed)
