"""All that is measured, as jobs that can run side by side: a name, a function, its arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from fedcoin.testing.dishonest.strategies import STRATEGIES
from fedcoin.v1 import task_pb2
from scripts.studies.security import (
    caught,
    censorship,
    coordinator,
    difficulty,
    equivocation,
    flips,
    foreign,
    grinding,
    participants,
    wins,
)

PARTS = (
    "wins",
    "caught",
    "bias",
    "grinding",
    "censorship",
    "equivocation",
    "foreign",
    "participants",
    "law",
    "retarget",
    "flips",
)

EXACT = task_pb2.SCHEDULE_EXACT


@dataclass(frozen=True)
class Job:
    """One measurement."""

    part: str
    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


def jobs(quick: bool) -> list[Job]:
    """Everything, with small numbers when ``quick``."""
    blocks, trials = (5, 80) if quick else (100, 1_000)
    found = [
        Job("wins", f"paper {kind}", wins.paper, (kind, blocks))
        for kind in ("honest", *wins.PAPER_KINDS)
    ]
    found.append(
        Job(
            "wins",
            "paper invented-vector, D 1.5",
            wins.paper,
            ("invented-vector", blocks),
            (("difficulty", 1.5),),
        )
    )
    found += [
        Job("wins", f"ours {kind}", wins.ours, (kind, blocks)) for kind in ("honest", *STRATEGIES)
    ]
    found += [
        Job("wins", f"exact {kind}", wins.ours, (kind, blocks), (("schedule", EXACT),))
        for kind in ("mean-publisher", "inflated-count", "invented-vector", "partial-forger")
    ]
    found += [Job("caught", f"caught {f}", caught.curve, (trials, (f,))) for f in caught.FRACTIONS]
    found += [
        Job("bias", "bias hidden", caught.hidden_bias, (trials, 0.1)),
        Job("bias", "bias hidden small", caught.hidden_bias, (trials, 0.02)),
        Job("bias", "bias tolerated", caught.tolerated_bias, (trials // 10, 1_000)),
        Job("bias", "bias tolerated large", caught.tolerated_bias, (trials // 10, 10_000)),
        Job("bias", "bias stopped", difficulty.stopped, (trials // 10,)),
        Job("grinding", "grinding 4", grinding.ground, (trials // 5, 0, 0.1)),
        Job("grinding", "grinding 1000", grinding.ground, (trials // 5, trials, 0.1)),
        Job("grinding", "colluders 1", grinding.colluders, (2 * trials, 0)),
        Job("grinding", "colluders 2", grinding.colluders, (2 * trials, 1)),
    ]
    found.append(
        Job("grinding", "grinder", wins.ours, ("challenge-grinder", blocks), (("schedule", EXACT),))
    )
    tasks = 4 if quick else 40
    for count, faulty, hasty in (
        (4, 0, False),
        (4, 1, False),
        (4, 1, True),
        (7, 0, False),
        (7, 1, False),
        (7, 2, False),
        (7, 2, True),
        (10, 3, False),
        (10, 3, True),
    ):
        name = f"censored {count} {faulty} {hasty}"
        # Turns depend on who won the task before: more seeds, more of them.
        options = (("hasty", hasty), ("seeds", 1 if quick else 3))
        arguments = (tasks // 2, count, faulty)
        found.append(Job("censorship", name, censorship.censored, arguments, options))
    for kind in ("withholder", "late-withholder", "absentee"):
        for count, absent in ((4, 1), (7, 2)):
            name = f"withheld {kind} {count}"
            arguments = (tasks, kind, count, absent)
            found.append(Job("censorship", name, censorship.withheld, arguments))
    for count, liars in ((4, 1), (7, 2), (10, 3)):
        arguments = (tasks // 4, count, liars)
        name = f"equivocated {count}"
        found.append(Job("equivocation", name, equivocation.equivocated, arguments))
    found.append(Job("foreign", "foreign", foreign.brought))
    found.append(Job("participants", "coordinator", coordinator.lies))
    found.append(
        Job(
            "participants", "participants digits", participants.play, ("digits", 1 if quick else 10)
        )
    )
    if os.environ.get("FEDCOIN_MNIST") and not quick:
        found.append(Job("participants", "participants mnist", participants.play, ("mnist", 3)))
    found.append(Job("law", "least", difficulty.least, (2 if quick else 40,)))
    found.append(Job("law", "law", difficulty.costs, (5 if quick else 100,)))
    found += [
        Job("retarget", f"retarget {factor}", difficulty.step, (factor, 1 if quick else 7))
        for factor in (4.0, 0.25)
    ]
    found.append(Job("flips", "flips digits", flips.measure, ("digits",)))
    if os.environ.get("FEDCOIN_MNIST"):
        found.append(Job("flips", "flips mnist", flips.measure, ("mnist",)))
    return found


def run(job: Job) -> Any:
    """The numbers of a job, as JSON takes them."""
    return plain(job.function(*job.arguments, **dict(job.options)))


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, tuples as lists."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
