"""Proposers that leave their rivals out, miners that withhold, and what either delays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fedcoin.testing.dishonest.strategies import HONEST, STRATEGIES
from fedcoin.testing.simulation.world import key_of
from scripts.studies.security.agents import ABSENTEE
from scripts.studies.security.arena import Arena
from scripts.studies.security.proposers import CENSOR, HASTY_CENSOR
from scripts.studies.security.setting import FDC, Setting


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
) -> Delay:
    """Some of the validators censor whenever it is their turn; their turns follow each other."""
    how = HASTY_CENSOR if hasty else CENSOR
    turns = sorted(range(validators), key=lambda i: key_of(i).address)
    censors = turns[:faulty]
    arenas = []
    for seed in range(1, seeds + 1):
        setting = Setting(
            strategies=(HONEST,) * validators,
            proposing=dict.fromkeys(censors, how),
            rounds=tasks,
            reveal_window_ms=window_ms,
            commit_window_ms=window_ms,
            seed=seed,
        )
        arena = Arena(setting)
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
    return Delay(
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
    """The first ``count`` withhold every time; ``absentee``: do not even commit."""
    strategy = ABSENTEE if kind == ABSENTEE.kind else STRATEGIES[kind]
    strategies = (strategy,) * count + (HONEST,) * (validators - count)
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
