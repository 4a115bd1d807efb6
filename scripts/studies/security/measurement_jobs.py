"""All that is measured, as jobs that can run side by side: a name, a function, its arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from fedcoin.testing.dishonest.mining_strategies import MINING_STRATEGIES
from fedcoin.testing.measurements import (
    challenge_grinding,
    client_fraud,
    coordinator_fraud,
    count_differences,
    difficulty,
    equivocation,
    forgery_detection,
    replayed_messages,
    settlement_delay,
    strategy_outcomes,
)
from fedcoin.v1 import task_pb2

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


def list_jobs(quick: bool) -> list[Job]:
    """Everything, with small numbers when ``quick``."""
    blocks, trials = (5, 80) if quick else (100, 1_000)
    found = [
        Job("wins", f"paper {kind}", strategy_outcomes.paper, (kind, blocks))
        for kind in ("honest", *strategy_outcomes.PAPER_KINDS)
    ]
    found.append(
        Job(
            "wins",
            "paper invented-vector, D 1.5",
            strategy_outcomes.paper,
            ("invented-vector", blocks),
            (("difficulty", 1.5),),
        )
    )
    found += [
        Job("wins", f"ours {kind}", strategy_outcomes.ours, (kind, blocks))
        for kind in ("honest", *MINING_STRATEGIES)
    ]
    found += [
        Job("wins", f"exact {kind}", strategy_outcomes.ours, (kind, blocks), (("schedule", EXACT),))
        for kind in ("mean-publisher", "inflated-count", "invented-vector", "partial-forger")
    ]
    found += [
        Job("caught", f"caught {f}", forgery_detection.curve, (trials, (f,)))
        for f in forgery_detection.FRACTIONS
    ]
    found += [
        Job("bias", "bias hidden", forgery_detection.hidden_bias, (trials, 0.1)),
        Job("bias", "bias hidden small", forgery_detection.hidden_bias, (trials, 0.02)),
        Job("bias", "bias tolerated", forgery_detection.tolerated_bias, (trials // 10, 1_000)),
        Job(
            "bias", "bias tolerated large", forgery_detection.tolerated_bias, (trials // 10, 10_000)
        ),
        Job("bias", "bias stopped", difficulty.stopped, (trials // 10,)),
        Job("grinding", "grinding 4", challenge_grinding.ground, (trials // 5, 0, 0.1)),
        Job("grinding", "grinding 1000", challenge_grinding.ground, (trials // 5, trials, 0.1)),
        Job("grinding", "colluders 1", challenge_grinding.colluders, (2 * trials, 0)),
        Job("grinding", "colluders 2", challenge_grinding.colluders, (2 * trials, 1)),
    ]
    found.append(
        Job(
            "grinding",
            "grinder",
            strategy_outcomes.ours,
            ("challenge-grinder", blocks),
            (("schedule", EXACT),),
        )
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
        found.append(
            Job(
                "censorship",
                name,
                settlement_delay.censored,
                (tasks // 2, count, faulty),
                options,
            )
        )
    for kind in ("withholder", "late-withholder", "absentee"):
        for count, absent in ((4, 1), (7, 2)):
            name = f"withheld {kind} {count}"
            found.append(
                Job("censorship", name, settlement_delay.withheld, (tasks, kind, count, absent))
            )
    for count, liars in ((4, 1), (7, 2), (10, 3)):
        arguments = (tasks // 4, count, liars)
        name = f"equivocated {count}"
        found.append(Job("equivocation", name, equivocation.equivocated, arguments))
    found.append(Job("foreign", "foreign", replayed_messages.brought))
    found.append(Job("participants", "coordinator", coordinator_fraud.lies))
    found.append(
        Job(
            "participants", "participants digits", client_fraud.play, ("digits", 1 if quick else 10)
        )
    )
    if os.environ.get("FEDCOIN_MNIST") and not quick:
        found.append(Job("participants", "participants mnist", client_fraud.play, ("mnist", 3)))
    found.append(Job("law", "least", difficulty.least, (2 if quick else 40,)))
    found.append(Job("law", "law", difficulty.costs, (5 if quick else 100,)))
    found += [
        Job("retarget", f"retarget {factor}", difficulty.step, (factor, 1 if quick else 7))
        for factor in (4.0, 0.25)
    ]
    found.append(Job("flips", "flips digits", count_differences.measure, ("digits",)))
    if os.environ.get("FEDCOIN_MNIST"):
        found.append(Job("flips", "flips mnist", count_differences.measure, ("mnist",)))
    return found


def run_job(job: Job) -> Any:
    """The numbers of a job, as JSON takes them."""
    return plain(job.function(*job.arguments, **dict(job.options)))


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, tuples as lists."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
