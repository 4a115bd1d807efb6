"""All measurements of the security study, as jobs that can run side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from fedcoin.testing.client_harm.client_behaviours import ACCOMPLICES, HONEST
from fedcoin.testing.client_harm.harm_campaigns import UPDATE_HARMS, measure_harm
from fedcoin.testing.copied_updates.copy_gains import measure_copies
from fedcoin.testing.copied_updates.look_alike_costs import measure_bridges, measure_look_alikes
from fedcoin.testing.dishonest.mining_strategies import MINING_STRATEGIES
from fedcoin.testing.measurements.best_reply import (
    MODES,
    REPLIES,
    measure_reply,
    measure_withheld_salts,
    search_best_reply,
)
from fedcoin.testing.measurements.challenge_grinding import measure_collusion, measure_grinding
from fedcoin.testing.measurements.client_fraud import measure_client_fraud
from fedcoin.testing.measurements.coordinator_fraud import try_coordinator_fraud
from fedcoin.testing.measurements.count_differences import measure_count_differences
from fedcoin.testing.measurements.difficulty_cost import measure_sample_costs
from fedcoin.testing.measurements.difficulty_retargeting import measure_retargeting
from fedcoin.testing.measurements.forgery_detection import (
    FRACTIONS,
    measure_detection,
    measure_subtree_bias,
    measure_tolerance_bias,
)
from fedcoin.testing.measurements.minimum_samples import (
    measure_inlier_shares,
    measure_stopping_gain,
)
from fedcoin.testing.measurements.replayed_messages import deliver_invalid_messages
from fedcoin.testing.measurements.settlement_delay import measure_censorship, measure_withholding
from fedcoin.testing.measurements.slashing import measure_equivocation
from fedcoin.testing.measurements.strategy_outcomes import (
    PAPER_KINDS,
    measure_in_paper_race,
    measure_on_ledger,
)
from fedcoin.v1 import task_pb2
from scripts.studies.security.harm_tables import LONE_LIMITS

EXACT = task_pb2.SCHEDULE_EXACT


@dataclass(frozen=True)
class Job:
    """One measurement: a function of `fedcoin.testing.measurements` and its arguments."""

    # One of `PARTS`.
    part: str
    # Unique; tables find results by it.
    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def _strategy_jobs(quick: bool) -> Iterator[Job]:
    blocks = 5 if quick else 100
    for kind in ("honest", *PAPER_KINDS):
        yield Job("strategies", f"paper {kind}", measure_in_paper_race, (kind, blocks))
    yield Job(
        "strategies",
        "paper invented-vector, D 1.5",
        measure_in_paper_race,
        ("invented-vector", blocks),
        {"difficulty": 1.5},
    )
    for kind in ("honest", *MINING_STRATEGIES):
        yield Job("strategies", f"ledger {kind}", measure_on_ledger, (kind, blocks))
    for kind in ("mean-publisher", "inflated-count", "invented-vector", "partial-forger"):
        name = f"exact {kind}"
        yield Job("strategies", name, measure_on_ledger, (kind, blocks), {"schedule": EXACT})


def _detection_jobs(quick: bool) -> Iterator[Job]:
    trials = 80 if quick else 1_000
    for fraction in FRACTIONS:
        arguments = (trials, (fraction,))
        yield Job("detection", f"detected {fraction}", measure_detection, arguments)


def _bias_jobs(quick: bool) -> Iterator[Job]:
    trials = 80 if quick else 1_000
    yield Job("bias", "bias subtree", measure_subtree_bias, (trials, 0.1))
    yield Job("bias", "bias small subtree", measure_subtree_bias, (trials, 0.02))
    yield Job("bias", "bias tolerance", measure_tolerance_bias, (trials // 10, 1_000))
    yield Job("bias", "bias small tolerance", measure_tolerance_bias, (trials // 10, 10_000))
    yield Job("bias", "stopping", measure_stopping_gain, (trials // 10,))


def _grinding_jobs(quick: bool) -> Iterator[Job]:
    blocks, trials = (5, 80) if quick else (100, 1_000)
    yield Job("grinding", "grinding 0", measure_grinding, (trials // 5, 0, 0.1))
    yield Job("grinding", "grinding many", measure_grinding, (trials // 5, trials, 0.1))
    yield Job("grinding", "colluders 1", measure_collusion, (2 * trials, 0))
    yield Job("grinding", "colluders 2", measure_collusion, (2 * trials, 1))
    arguments = ("challenge-grinder", blocks)
    yield Job("grinding", "grinder", measure_on_ledger, arguments, {"schedule": EXACT})


def _reply_jobs(quick: bool) -> Iterator[Job]:
    tasks = 2 if quick else 12
    for reward, schedule in MODES:
        for what, reply in REPLIES.items():
            name = f"reply {reward} {schedule} {what}"
            yield Job("replies", name, measure_reply, (reply, reward, schedule, tasks))
        if not quick:
            searched = (reward, schedule, tasks // 4)
            yield Job("replies", f"search {reward} {schedule}", search_best_reply, searched)
    for keys in (1, 2, 5, 20):
        for deposit in (1 / 3, 2 / 3, 1.0):
            arguments = (tasks * 10, keys, deposit)
            yield Job("replies", f"salts {keys} {deposit:.2f}", measure_withheld_salts, arguments)


def _censorship_jobs(quick: bool) -> Iterator[Job]:
    tasks = 4 if quick else 40
    for validators, censors, hasty in (
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
        # Who proposes depends on who won the task before: more seeds give more orders.
        yield Job(
            "censorship",
            f"censored {validators} {censors} {hasty}",
            measure_censorship,
            (tasks // 2, validators, censors),
            {"hasty": hasty, "seeds": 1 if quick else 3},
        )
    for kind in ("withholder", "late-withholder", "absentee"):
        for validators, withholders in ((4, 1), (7, 2)):
            name = f"withheld {kind} {validators}"
            arguments = (tasks, kind, validators, withholders)
            yield Job("censorship", name, measure_withholding, arguments)


def _equivocation_jobs(quick: bool) -> Iterator[Job]:
    tasks = 1 if quick else 10
    for validators, equivocators in ((4, 1), (7, 2), (10, 3)):
        name = f"equivocated {validators}"
        yield Job("equivocation", name, measure_equivocation, (tasks, validators, equivocators))


def _replay_jobs(quick: bool) -> Iterator[Job]:
    yield Job("replay", "replay", deliver_invalid_messages)


def _participant_jobs(quick: bool) -> Iterator[Job]:
    yield Job("participants", "coordinator", try_coordinator_fraud)
    arguments = ("digits", 1 if quick else 10)
    yield Job("participants", "clients digits", measure_client_fraud, arguments)
    if _has_mnist() and not quick:
        yield Job("participants", "clients mnist", measure_client_fraud, ("mnist", 3))


_COPY_NOISES = {
    5: (0, 0.0001, 0.01, 0.1, 0.2, 0.3, 0.5, 1, 2),
    8: (0, 0.01, 0.1, 0.2, 0.3, 0.5, 1),
    12: (0, 0.01, 0.1, 0.3),
}
"""The noise of copies, by the number of clients."""


def _copy_jobs(quick: bool) -> Iterator[Job]:
    copies = (1,) if quick else (1, 2, 3)
    limits = (0.7, 0.8, 0.9, 0.95, 0.99)
    # With 12 clients and 3 copies there are 32,768 coalitions.
    seeds = {5: 1} if quick else {5: 3, 8: 3, 12: 1}
    data = [("digits", partition) for partition in ("iid", "label-skew", "twins")]
    for dataset, partition in data[:2]:
        for clients, trials in seeds.items():
            given = (dataset, partition, clients, copies, _COPY_NOISES[clients], trials)
            yield Job("copies", f"copies {dataset} {partition} {clients}", measure_copies, given)
        scaled = (dataset, partition, 5, copies, (0,), seeds[5], 2.0)
        yield Job("copies", f"copies scaled {dataset} {partition}", measure_copies, scaled)
    for dataset, partition in data:
        for clients, trials in seeds.items():
            name = f"look-alikes {dataset} {partition} {clients}"
            alike = (dataset, partition, clients, limits, trials)
            yield Job("copies", name, measure_look_alikes, alike)
    bridges = ("digits", 5, (1, 2, 3), 0.95, seeds[5])
    yield Job("copies", "bridges 5", measure_bridges, bridges)
    if _has_mnist() and not quick:
        given = ("mnist", "iid", 5, copies, _COPY_NOISES[12], 2)
        yield Job("copies", "copies mnist iid 5", measure_copies, given)
        alike = ("mnist", "iid", 5, limits, 2)
        yield Job("copies", "look-alikes mnist iid 5", measure_look_alikes, alike)


def _harm_jobs(quick: bool) -> Iterator[Job]:
    campaigns = 1 if quick else 5
    for federation in (each for each in HONEST if each != "few-classes"):
        for rounds in (3,) if quick else (10, 50, 100):
            yield _harm_job("digits", federation, rounds, campaigns)
    yield _harm_job("digits", "equal", 3 if quick else 10, campaigns, in_parts=True)
    for federation in ACCOMPLICES:
        yield _harm_job("digits", federation, 3 if quick else 20, campaigns)
    if _has_mnist() and not quick:
        for federation in ("equal", "wrong-labels", "noise"):
            yield _harm_job("mnist", federation, 100, 2)
        yield _harm_job("mnist", "equal", 100, 2, in_parts=True)
        for federation in ACCOMPLICES:
            yield _harm_job("mnist", federation, 20, 2)
    yield from _alone_jobs(quick)


def _alone_jobs(quick: bool) -> Iterator[Job]:
    """What updates do alone: honest ones, and accomplices' under limits for two federations."""
    yield from _alone_jobs_of("digits", 1 if quick else 5, 1 if quick else 3, quick)
    if _has_mnist() and not quick:
        yield from _alone_jobs_of("mnist", 2, 2, quick)


def _alone_jobs_of(dataset: str, honest: int, dishonest: int, quick: bool) -> Iterator[Job]:
    """List the jobs of `_alone_jobs` for a data set, with these numbers of campaigns."""
    for federation in HONEST:
        rounds = 3 if quick else 20
        given = (dataset, federation, rounds, honest)
        options = {"in_parts": False, "max_update_harm": UPDATE_HARMS}
        yield Job("harm", f"alone {dataset} {federation} {rounds}", measure_harm, given, options)
    for limit, kind in LONE_LIMITS.items():
        for federation in ACCOMPLICES:
            rounds = 3 if quick else 14
            given = (dataset, federation, rounds, dishonest)
            options = {"in_parts": False, "max_update_harm": limit}
            yield Job(
                "harm", f"{kind} {dataset} {federation} {rounds}", measure_harm, given, options
            )


def _harm_job(
    dataset: str, federation: str, rounds: int, campaigns: int, *, in_parts: bool = False
) -> Job:
    name = f"harm {dataset} {federation} {rounds}" + (" in parts" if in_parts else "")
    given = (dataset, federation, rounds, campaigns)
    # Without the limit for single updates, which the table of `_alone_jobs` is about.
    options = {"in_parts": in_parts, "max_update_harm": 1.0}
    return Job("harm", name, measure_harm, given, options)


def _difficulty_jobs(quick: bool) -> Iterator[Job]:
    yield Job("difficulty", "samples", measure_inlier_shares, (2 if quick else 40,))
    yield Job("difficulty", "costs", measure_sample_costs, (5 if quick else 100,))


def _retargeting_jobs(quick: bool) -> Iterator[Job]:
    for factor in (4.0, 0.25):
        arguments = (factor, 1 if quick else 7)
        yield Job("retargeting", f"retargeting {factor}", measure_retargeting, arguments)


def _count_jobs(quick: bool) -> Iterator[Job]:
    yield Job("counts", "counts digits", measure_count_differences, ("digits",))
    if _has_mnist():
        yield Job("counts", "counts mnist", measure_count_differences, ("mnist",))


def _has_mnist() -> bool:
    return bool(os.environ.get("FEDCOIN_MNIST"))


_JOBS: dict[str, Callable[[bool], Iterator[Job]]] = {
    "strategies": _strategy_jobs,
    "detection": _detection_jobs,
    "bias": _bias_jobs,
    "grinding": _grinding_jobs,
    "replies": _reply_jobs,
    "censorship": _censorship_jobs,
    "equivocation": _equivocation_jobs,
    "replay": _replay_jobs,
    "participants": _participant_jobs,
    "copies": _copy_jobs,
    "harm": _harm_jobs,
    "difficulty": _difficulty_jobs,
    "retargeting": _retargeting_jobs,
    "counts": _count_jobs,
}

PARTS = tuple(_JOBS)
"""The names of the study's parts, which the command line takes."""


def list_jobs(quick: bool) -> list[Job]:
    """List all measurements.

    Args:
        quick: Whether to run a few trials of each only.

    Returns:
        The jobs, part by part.
    """
    return [job for make_jobs in _JOBS.values() for job in make_jobs(quick)]


def run_job(job: Job) -> Any:
    """Run one measurement.

    Args:
        job: The function to call, and its arguments.

    Returns:
        Its result, as JSON takes it: dataclasses as dictionaries, tuples as lists.
    """
    return _to_plain(job.function(*job.arguments, **job.options))


def _to_plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
