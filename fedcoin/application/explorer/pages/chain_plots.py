"""Lay out the plots of the explorer's pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.application.explorer.reading.payment_index import IndexedPayment
from fedcoin.application.explorer.reading.view_models import ClientRow, RoundRow
from fedcoin.application.rendering.page_formats import NANO, format_value, shorten
from fedcoin.application.rendering.svg_plots import (
    HALF,
    WIDE,
    Bar,
    Frame,
    Label,
    Part,
    Plot,
    Whisker,
    connect_points,
    plot_stacks,
)
from fedcoin.data.messages.client_names import show_name
from fedcoin.learning.measures.terms import TERMS
from fedcoin.v1 import block_pb2

EARNINGS: Final = {
    block_pb2.PAYMENT_KIND_TRAINING: ("share-clients", "training"),
    block_pb2.PAYMENT_KIND_AGGREGATION: ("share-server", "aggregation"),
    block_pb2.PAYMENT_KIND_MINING: ("share-miners", "mining"),
}
"""The payments of a task that are earned, with the class of their colour and their name; all others
give coins back, or burn them."""

MAX_ROUNDS: Final = 60
"""How many rounds the plot of an address shows, the latest ones."""

MAX_NARROW_BARS: Final = 8
"""How many bars a narrow plot has at most."""

_LABELS: Final = 25


def plot_values(rows: Sequence[ClientRow]) -> Plot | None:
    """Plot each client's value, with the interval of the miners' values.

    Args:
        rows: The clients.

    Returns:
        One bar for each client; None when no value is known.
    """
    if not any(row.interval for row in rows):
        return None
    numbers = [row.view.shapley_nano / NANO for row in rows]
    ends = [end / NANO for row in rows for end in row.interval or ()]
    frame = choose_frame(len(rows))
    scale, ticks = frame.make_scale([*numbers, *ends], lambda value: f"{value:g}")
    bars, whiskers, labels = [], [], []
    step = max(1, -(-len(rows) // _LABELS))
    for (left, slot), row, number in zip(frame.slots(len(rows)), rows, numbers, strict=True):
        top, bottom = sorted((scale(number), scale(0.0)))
        name = show_name(row.view.name) or shorten(row.view.address)
        title = f"{row.number}. {name}: {format_value(row.view.shapley_nano)}"
        width, middle = min(0.7 * slot, 60.0), left + 0.5 * slot
        kind = "gain" if number > 0 else "loss"
        bars.append(Bar(middle - width / 2, top, width, bottom - top, kind, 1.0, title))
        if row.interval and row.interval[0] < row.interval[1]:
            low, high = (scale(end / NANO) for end in row.interval)
            whiskers.append(Whisker(middle, high, low))
        if (row.number - rows[0].number) % step == 0:
            labels.append(Label(middle, str(row.number), ""))
    return Plot(
        "What each update was worth",
        "Shapley value by the client’s number in the table. A line over a bar spans what the "
        "counted miners proved.",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=tuple(labels),
        whiskers=tuple(whiskers),
        frame=frame,
    )


def plot_utilities(rounds: Sequence[RoundRow]) -> Plot | None:
    """Plot the model's utility by round.

    Args:
        rounds: The rounds of a campaign, the latest first.

    Returns:
        One point for each settled round; None when none is settled.
    """
    known = [(each.task, each.utility) for each in reversed(rounds) if each.utility is not None]
    if not known:
        return None
    terms = TERMS[known[0][0].utility]
    scale, ticks = HALF.make_scale([0.0, 1.0], lambda value: f"{100 * value:.0f} %")
    values = [
        (f"round {task.round}", utility, terms.format_fraction(utility)) for task, utility in known
    ]
    points, labels = connect_points(HALF, scale, values)
    unit = f"{terms.title} on the evaluation set, after each settled round"
    return Plot("How good the model became", unit, ticks, scale(0.0), labels=labels, points=points)


def plot_spending(rounds: Sequence[RoundRow]) -> Plot | None:
    """Plot what each round paid to clients, server and miners.

    Args:
        rounds: The rounds of a campaign, the latest first.

    Returns:
        One stack for each settled round; None when none is settled.
    """
    stacks = []
    for each in reversed(rounds):
        if each.task.winner:
            name = f"round {each.task.round}"
            parts = [
                Part("share-clients", 1.0, f"{name}, clients", each.paid_clients),
                Part("share-server", 1.0, f"{name}, server", each.task.prices.aggregation),
                Part("share-miners", 1.0, f"{name}, miners", each.paid_miners),
            ]
            stacks.append((name, parts))
    if not stacks:
        return None
    unit = "FDC to clients (blue), server (green) and miners (orange)"
    return plot_stacks("What each round paid", unit, HALF, stacks)


def plot_earnings(payments: Sequence[IndexedPayment]) -> Plot | None:
    """Plot what an address earned by round.

    Args:
        payments: Its payments, the latest first.

    Returns:
        One stack for each task that paid it, the latest `MAX_ROUNDS`; None when none did.
    """
    tasks: dict[str, list[Part]] = {}
    rounds: dict[str, int] = {}
    for payment in payments:
        if payment.kind not in EARNINGS or not payment.task_id:
            continue
        if payment.task_id not in tasks and len(tasks) == MAX_ROUNDS:
            break
        kind, name = EARNINGS[payment.kind]
        part = Part(kind, 1.0, f"round {payment.round}, {name}", payment.amount)
        tasks.setdefault(payment.task_id, []).append(part)
        rounds[payment.task_id] = payment.round
    if not tasks:
        return None
    stacks = [(f"round {rounds[task]}", parts) for task, parts in reversed(tasks.items())]
    unit = "FDC by round: training (blue), aggregation (green), mining (orange)"
    return plot_stacks("What this address earned", unit, choose_frame(len(stacks)), stacks)


def choose_frame(count: int) -> Frame:
    """Choose the size of a plot that stands alone, so that narrow screens show all of few bars.

    Args:
        count: How many bars or stacks the plot has.

    Returns:
        The narrower frame for at most `MAX_NARROW_BARS` bars, else the wider one.
    """
    return HALF if count <= MAX_NARROW_BARS else WIDE
