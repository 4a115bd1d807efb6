"""Print a task for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.output import coins, moment, nano, print_fields, print_table
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_names import show_name
from fedcoin.data.messages.privacy_claims import describe_privacy
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.terms import TERMS

if TYPE_CHECKING:
    from fedcoin.v1.views_pb2 import TaskView


def phase_of(view: TaskView) -> str:
    """Name the phase of a task.

    Args:
        view: The task as a node shows it.

    Returns:
        The name in lower case, such as "settled".
    """
    from fedcoin.v1.block_pb2 import TaskPhase

    return TaskPhase.Name(view.phase).removeprefix("TASK_PHASE_").lower()


def describe_attempt(view: TaskView) -> str:
    """Say how often a task is mined again, by the number that JSON has as `attempt`.

    Args:
        view: The task as a node shows it.

    Returns:
        For example `, mined again 2 times`; empty for the first attempt, whose number is 0.
    """
    return f", mined again {format_count(view.attempt, 'time')}" if view.attempt else ""


def time_left(view: TaskView, now_ms: int) -> str:
    """Say how long the present window of a task still lasts.

    Args:
        view: The task as a node shows it.
        now_ms: The present time in Unix ms.

    Returns:
        For example `12 s left`; empty for a task that is closed or waits for a block.
    """
    if view.closed_height or view.deadline_ms <= now_ms:
        return ""
    return f"{(view.deadline_ms - now_ms) / 1000:.0f} s left"


def describe_progress(view: TaskView, now_ms: int) -> str:
    """Describe how far a task is, in one line.

    Args:
        view: The task as a node shows it.
        now_ms: The present time in Unix ms.

    Returns:
        Its round and phase, whether it is mined again, how many miners have committed and revealed,
        and how long the present window still lasts.
    """
    left = time_left(view, now_ms)
    committed = sum(miner.committed for miner in view.miners)
    revealed = sum(miner.revealed for miner in view.miners)
    return (
        f"round {view.round}{describe_attempt(view)}: {phase_of(view)}, "
        f"{format_count(committed, 'miner')} committed, {revealed} revealed"
        + (f", {len(view.declined)} cannot take part" if view.declined else "")
        + (f", {left}" if left else "")
    )


def refuse_unless_settled(view: TaskView) -> None:
    """Fail when a task that was waited for came to another end than its payments.

    Args:
        view: The task as a node shows it, closed.

    Raises:
        RefusalError: TASK_FAILED when nobody mined it; TASK_GAVE_WAY when another task took its
            place.
    """
    from fedcoin.v1.block_pb2 import TASK_PHASE_FAILED, TASK_PHASE_GAVE_WAY

    if view.phase == TASK_PHASE_FAILED:
        raise RefusalError(
            ApplicationCode.TASK_FAILED,
            f"task {view.task_id} failed: in {format_count(view.attempt + 1, 'attempt')} there was "
            "not enough work of miners, and nobody was paid. See that miners run and that the "
            "price suits the work",
            field="task",
        )
    if view.phase == TASK_PHASE_GAVE_WAY:
        raise RefusalError(
            ApplicationCode.TASK_GAVE_WAY,
            f"task {view.task_id} made way for one with a better offer: open it again with a higher"
            " mining price, or later",
            field="task",
        )


def print_task(view: TaskView) -> None:
    """Print a task: its terms, its clients and its miners.

    Args:
        view: The task as a node shows it.
    """
    from fedcoin.v1.task_pb2 import Averaging, Schedule

    prices = view.prices
    training = coins(prices.training)
    if view.unit_price:
        training = f"{coins(view.unit_price)} for a unit and at most {training}"
    print_fields(
        {
            "task": view.task_id,
            "campaign": f"{view.campaign_id}, round {view.round}",
            "phase": f"{phase_of(view)}{describe_attempt(view)}",
            "opened": f"{moment(view.opened_ms)}, block {view.opened_height}",
            "closed": f"{moment(view.closed_ms)}, block {view.closed_height}"
            if view.closed_height
            else "-",
            "prices": f"clients {training}, server {coins(prices.aggregation)}, "
            f"miners {coins(prices.mining)}",
            "schedule": Schedule.Name(view.schedule).removeprefix("SCHEDULE_").lower(),
            "averaging": Averaging.Name(view.averaging)
            .removeprefix("AVERAGING_")
            .lower()
            .removesuffix("_denominator"),
            "evaluation": f"{TERMS[view.utility].title} on "
            f"{format_count(view.evaluation_size, 'example')}",
            "difficulty": nano(view.difficulty_nano),
            "offer": f"{format_count(view.offer, 'sap', 'sap')} for each million of at most "
            f"{view.work / 1e6:,.1f} million evaluations",
            "winner": view.winner or "-",
            "average": view.aggregate or "-",
            **({"cannot take part": ", ".join(view.declined)} if view.declined else {}),
        }
    )
    click.echo()
    _print_clients(view)
    if view.miners:
        click.echo()
        print_table(
            ("MINER", "POWER", "COMMITTED", "REVEALED", "WITHIN D", "COALITIONS", "REWARD"),
            [
                (
                    m.address,
                    f"{m.power / view.total_power:.1%}" if view.total_power else "-",
                    _yes(m.committed),
                    _yes(m.revealed),
                    _yes(m.inlier),
                    m.evaluations,
                    coins(m.reward),
                )
                for m in view.miners
            ],
            right=" r   rr",
        )


def _print_clients(view: TaskView) -> None:
    """Print the clients' table, with columns for groups and for claims where there are any."""
    head, right = ["CLIENT", "SAMPLES", "SHAPLEY VALUE", "PAYOUT"], " rrr"
    rows: list[tuple[object, ...]] = [
        (c.address, c.num_samples, nano(c.shapley_nano), coins(c.payout)) for c in view.clients
    ]
    if any(c.group != index for index, c in enumerate(view.clients)):
        head.append("ONE PLAYER WITH")
        rows = [
            (*row, view.clients[c.group].address if c.group != index else "-")
            for index, (row, c) in enumerate(zip(rows, view.clients, strict=True))
        ]
    if any(client.name for client in view.clients):
        # The header says that nobody has checked it.
        head, right = [*head, "CLAIMED NAME"], right.ljust(len(head))
        rows = [
            (*row, show_name(client.name) or "-")
            for row, client in zip(rows, view.clients, strict=True)
        ]
    if any(client.HasField("privacy") for client in view.clients):
        head, right = [*head, "CLAIMED PRIVACY"], right.ljust(len(head))
        rows = [
            (*row, describe_privacy(client.privacy) if client.HasField("privacy") else "-")
            for row, client in zip(rows, view.clients, strict=True)
        ]
    print_table(head, rows, right=right)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
