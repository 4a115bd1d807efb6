"""Proposers that leave their rivals out, miners that withhold, and what either delays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fedcoin.testing.campaign_simulation.campaign_setting import FDC, CampaignSetting
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
    """Tasks of one run. Blocks are from opening to settling."""

    what: str
    validators: int
    faulty: int
    tasks: int
    failed: int
    least_blocks: int
    most_blocks: int
    revealed: int
    """Of the honest miners' reveals, how many counted; all are ``tasks`` x honest miners."""
    burned: float
    """Deposits of honest miners, in FDC."""
    waits: tuple[int, ...]
    """Of the honest miners' commitments, openings and reveals, how many were left out of 0, 1, 2
    and so on final blocks that could have held them."""


def censored(
    tasks: int,
    validators: int,
    faulty: int,
    *,
    hasty: bool = False,
    window_ms: int = 2_000,
    seeds: int = 1,
) -> CensorshipDelay:
    """Some of the validators censor whenever it is their turn; their turns follow each other."""
    how = HASTY_CENSORING_PROPOSER if hasty else CENSORING_PROPOSER
    turns = sorted(range(validators), key=lambda i: validator_key(i).address)
    censors = turns[:faulty]
    arenas = []
    for seed in range(1, seeds + 1):
        setting = CampaignSetting(
            strategies=(HONEST_STRATEGY,) * validators,
            proposing=dict.fromkeys(censors, how),
            rounds=tasks,
            reveal_window_ms=window_ms,
            commit_window_ms=window_ms,
            seed=seed,
        )
        arena = CampaignSimulation(setting)
        report = arena.run()
        assert not report.violations, report
        arenas.append(arena)
    settled = [task for arena in arenas for task in arena.settled]
    blocks = [task.closed_height - task.opened_height for task in settled] or [0]
    honest = [
        tally for arena in arenas for i, tally in enumerate(arena.tallies) if i not in censors
    ]
    waits = sum((tally.waits for tally in honest), Counter[int]())
    clock = " with clocks 5 s ahead" if hasty else ""
    return CensorshipDelay(
        what=f"{faulty} of {validators} censor{clock}"
        if faulty
        else f"none of {validators} censors",
        validators=validators,
        faulty=faulty,
        tasks=len(settled),
        failed=sum(arena.failed for arena in arenas),
        least_blocks=min(blocks),
        most_blocks=max(blocks),
        revealed=sum(tally.revealed for tally in honest),
        burned=sum(tally.burned for tally in honest) / FDC,
        waits=tuple(waits[turn] for turn in range(max(waits, default=0) + 1)),
    )


@dataclass(frozen=True)
class WithholdingOutcome:
    """Tasks that some miners withheld from."""

    kind: str
    validators: int
    withholders: int
    settled: int
    failed: int
    burned: float
    """Per withholder and task, in FDC."""
    seconds: float
    """Median time from opening to settling, virtual."""


def withheld(tasks: int, kind: str, validators: int, count: int) -> WithholdingOutcome:
    """The first ``count`` withhold every time; ``absentee``: do not even commit."""
    strategy = ABSENTEE_STRATEGY if kind == ABSENTEE_STRATEGY.kind else MINING_STRATEGIES[kind]
    strategies = (strategy,) * count + (HONEST_STRATEGY,) * (validators - count)
    arena = CampaignSimulation(CampaignSetting(strategies=strategies, rounds=tasks))
    report = arena.run()
    assert not report.violations, report
    burned = sum(tally.burned for tally in arena.tallies[:count]) / FDC
    times = sorted(task.closed_ms - task.opened_ms for task in arena.settled)
    return WithholdingOutcome(
        kind=kind,
        validators=validators,
        withholders=count,
        settled=len(arena.settled),
        failed=arena.failed,
        burned=burned / max(1, count * tasks),
        seconds=times[len(times) // 2] / 1000 if times else 0.0,
    )
