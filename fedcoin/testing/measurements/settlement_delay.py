"""Measure how long censoring proposers and withholding miners delay the settlement of tasks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
from fedcoin.testing.campaign_simulation.proposer_policy import (
    CENSORING_PROPOSER,
    HASTY_CENSORING_PROPOSER,
)
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.campaign_simulation.simulated_miner import ABSENTEE_STRATEGY
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MINING_STRATEGIES


@dataclass(frozen=True)
class CensorshipDelay:
    """The delays of tasks while some validators censor, summed over runs.

    A censor leaves other miners' transactions out of the blocks that it proposes.
    """

    # The situation, for a table.
    what: str
    # The numbers of all validators, and of those that censor.
    validators: int
    censors: int
    # The numbers of tasks that were settled, and that failed.
    settled: int
    failed: int
    # The smallest and the largest number of blocks from the opening of a task to its settlement.
    min_blocks: int
    max_blocks: int
    # How often an honest miner's evidence was accepted; ideally once for each task and miner.
    revealed: int
    # Deposits of honest miners that were burned, in FDC.
    burned: float
    # `waits[k]` is the number of the honest miners' commitments, openings and reveals that k
    # proposers left out of their blocks before one included them.
    waits: tuple[int, ...]


@dataclass(frozen=True)
class WithholdingOutcome:
    """The tasks of a run in which some miners withhold openings or reveals."""

    # The strategy: a key of `MINING_STRATEGIES`, or that of miners which do not take part at all.
    kind: str
    # The numbers of all validators, and of those that withhold.
    validators: int
    withholders: int
    # The numbers of tasks that were settled, and that failed.
    settled: int
    failed: int
    # The deposits that each withholder lost for each task, in FDC.
    burned: float
    # The median time from the opening of a task to its settlement, in virtual seconds.
    seconds: float


def measure_censorship(
    tasks: int,
    validators: int,
    censors: int,
    *,
    hasty: bool = False,
    window_ms: int = 2_000,
    seeds: int = 1,
) -> CensorshipDelay:
    """Measure how long tasks take when some validators censor whenever they propose.

    Args:
        tasks: How many tasks each run has.
        validators: How many validators there are.
        censors: How many of these validators censor; they propose one after the other.
        hasty: Whether censors also set their blocks' time 5 s ahead.
        window_ms: The commit and the reveal window, in virtual ms.
        seeds: How many runs to sum up.

    Returns:
        The delays of all runs together.
    """
    policy = HASTY_CENSORING_PROPOSER if hasty else CENSORING_PROPOSER
    by_turn = sorted(range(validators), key=lambda i: validator_key(i).address)
    censoring = by_turn[:censors]
    outcomes = []
    for seed in range(1, seeds + 1):
        setting = CampaignSetting(
            strategies=(HONEST_STRATEGY,) * validators,
            proposing=dict.fromkeys(censoring, policy),
            rounds=tasks,
            reveal_window_ms=window_ms,
            commit_window_ms=window_ms,
            seed=seed,
        )
        campaign = CampaignSimulation(setting)
        report = campaign.run()
        assert not report.violations, report
        outcomes.append(campaign.outcome)
    settled = [task for outcome in outcomes for task in outcome.settled]
    blocks = [task.closed_height - task.opened_height for task in settled] or [0]
    honest = [
        tally
        for outcome in outcomes
        for i, tally in enumerate(outcome.tallies)
        if i not in censoring
    ]
    waits = sum((tally.waits for tally in honest), Counter[int]())
    clocks = " with clocks 5 s ahead" if hasty else ""
    return CensorshipDelay(
        what=f"{censors} of {validators} censor{clocks}"
        if censors
        else f"none of {validators} censors",
        validators=validators,
        censors=censors,
        settled=len(settled),
        failed=sum(outcome.num_failed for outcome in outcomes),
        min_blocks=min(blocks),
        max_blocks=max(blocks),
        revealed=sum(tally.revealed for tally in honest),
        burned=sum(tally.burned for tally in honest) / SAP_PER_FDC,
        waits=tuple(waits[count] for count in range(max(waits, default=0) + 1)),
    )


def measure_withholding(
    tasks: int, kind: str, validators: int, withholders: int
) -> WithholdingOutcome:
    """Measure what miners lose that withhold an opening or a reveal in every task.

    Args:
        tasks: How many tasks the run has.
        kind: What the dishonest miners withhold: the opening and the reveal ("withholder"), the
            reveal alone ("late-withholder"), or the commitment too ("absentee").
        validators: How many validators there are, each of which mines.
        withholders: How many of these validators withhold.

    Returns:
        The numbers of settled and failed tasks, and what each withholder lost in FDC a task.
    """
    is_absent = kind == ABSENTEE_STRATEGY.kind
    strategy = ABSENTEE_STRATEGY if is_absent else MINING_STRATEGIES[kind]
    strategies = (strategy,) * withholders + (HONEST_STRATEGY,) * (validators - withholders)
    campaign = CampaignSimulation(CampaignSetting(strategies=strategies, rounds=tasks))
    report = campaign.run()
    assert not report.violations, report
    outcome = campaign.outcome
    burned = sum(tally.burned for tally in outcome.tallies[:withholders]) / SAP_PER_FDC
    times = sorted(task.closed_ms - task.opened_ms for task in outcome.settled)
    return WithholdingOutcome(
        kind=kind,
        validators=validators,
        withholders=withholders,
        settled=len(outcome.settled),
        failed=outcome.num_failed,
        burned=burned / max(1, withholders * tasks),
        seconds=times[len(times) // 2] / 1000 if times else 0.0,
    )
