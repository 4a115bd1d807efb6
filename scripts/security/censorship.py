"""Proposers that leave their rivals out, and what that delays."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.application.adversaries.strategies import HONEST, STRATEGIES
from scripts.security.arena import FDC, Arena, Setting
from scripts.security.proposers import CENSOR, HASTY_CENSOR


@dataclass(frozen=True)
class Delay:
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


def censored(
    tasks: int, validators: int, faulty: int, *, hasty: bool = False, window_ms: int = 2_000
) -> Delay:
    """The first ``faulty`` of some validators censor whenever it is their turn."""
    how = HASTY_CENSOR if hasty else CENSOR
    setting = Setting(
        strategies=(HONEST,) * validators,
        proposing=dict.fromkeys(range(faulty), how),
        rounds=tasks,
        reveal_window_ms=window_ms,
        commit_window_ms=window_ms,
    )
    arena = Arena(setting)
    report = arena.run()
    assert not report.violations, report
    blocks = [task.closed_height - task.opened_height for task in arena.settled] or [0]
    honest = arena.tallies[faulty:]
    clock = " with clocks 5 s ahead" if hasty else ""
    return Delay(
        what=f"{faulty} of {validators} censor{clock}" if faulty else "nobody censors",
        validators=validators,
        faulty=faulty,
        tasks=len(arena.settled),
        failed=arena.failed,
        least_blocks=min(blocks),
        most_blocks=max(blocks),
        revealed=sum(tally.revealed for tally in honest),
        burned=sum(tally.burned for tally in honest) / FDC,
    )


@dataclass(frozen=True)
class Withheld:
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


def withheld(tasks: int, kind: str, validators: int, count: int) -> Withheld:
    """The first ``count`` withhold every time."""
    strategies = (STRATEGIES[kind],) * count + (HONEST,) * (validators - count)
    arena = Arena(Setting(strategies=strategies, rounds=tasks))
    report = arena.run()
    assert not report.violations, report
    burned = sum(tally.burned for tally in arena.tallies[:count]) / FDC
    times = sorted(task.closed_ms - task.opened_ms for task in arena.settled)
    return Withheld(
        kind=kind,
        validators=validators,
        withholders=count,
        settled=len(arena.settled),
        failed=arena.failed,
        burned=burned / max(1, count * tasks),
        seconds=times[len(times) // 2] / 1000 if times else 0.0,
    )
