"""Lay out the plots of a devnet's report, in SVG user units.

`templates/report.html.j2` draws them. The page needs no plotting library, follows the reader's
light or dark theme, and shows exact numbers under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fedcoin.application.devnet.results import ClientResult, DevnetResult, RoundResult
from fedcoin.data.messages.amounts import SAP_PER_FDC, format_amount
from fedcoin.learning.measures.terms import NAMES, TERMS

WIDTH, HEIGHT = 560, 270
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 14, 48
"""The margins around a plot's axes, in SVG user units; `WIDTH` and `HEIGHT` include them."""

PAYEES = ("clients", "server", "miners", "refund")
"""The recipients of a round's price."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A horizontal line across a plot, with its label."""

    # Its vertical position, from the top of the drawing.
    y: float
    # The text beside it.
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a bar chart."""

    # Its left and upper edges and its size, in the drawing's units.
    x: float
    y: float
    width: float
    height: float
    # Chooses the colour: a client's role, or `share-` and a payee.
    kind: str
    # From 0 to 1: later rounds are more opaque.
    shade: float
    # Shown under the pointer.
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """Two lines of text below a group of bars."""

    # The texts' centre, from the left of the drawing.
    x: float
    # The upper line, and the lower one.
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line plot."""

    # Its position, from the left and from the top of the drawing.
    x: float
    y: float
    # The text beside it.
    label: str
    # Shown under the pointer.
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: bars or points, with ticks and labels."""

    # The plot's heading.
    title: str
    # What the vertical axis shows, with its unit.
    unit: str
    ticks: tuple[Tick, ...]
    # Where the value zero is on the vertical axis.
    zero: float
    bars: tuple[Bar, ...] = ()
    labels: tuple[Label, ...] = ()
    points: tuple[Point, ...] = ()


def name_clients(result: DevnetResult) -> dict[str, str]:
    """Give each client a short name.

    Args:
        result: The devnet's results.

    Returns:
        Names such as `client 1` by address, in the order of first appearance.
    """
    addresses = dict.fromkeys(c.address for round in result.rounds for c in round.clients)
    return {address: f"client {number}" for number, address in enumerate(addresses, start=1)}


def plot_values(result: DevnetResult) -> Plot:
    """Plot each client's Shapley value, with one bar for each round.

    Args:
        result: The devnet's results.

    Returns:
        Bars from zero up for positive values, down for negative ones.
    """
    values = [c.shapley_nano / 1e9 for round in result.rounds for c in round.clients]
    scale, ticks = make_scale(values, lambda value: f"{value:g}")
    bars: list[Bar] = []
    count = max(len(result.rounds), 1)
    for left, width, address in _client_slots(result):
        for index, round in enumerate(result.rounds):
            client = _find_client(round, address)
            if client is None:
                continue
            value = client.shapley_nano / 1e9
            top, bottom = sorted((scale(value), scale(0.0)))
            bars.append(
                Bar(
                    x=left + index * width / count,
                    y=top,
                    width=width / count * 0.88,
                    height=bottom - top,
                    kind=client.role,
                    shade=(index + 1) / count,
                    title=f"{client.role}, round {round.round}: {value:+.4f}",
                )
            )
    return Plot(
        "What each update was worth",
        "Shapley value, as a share of the evaluation set; one bar for each round",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=_client_labels(result),
    )


def plot_payouts(result: DevnetResult) -> Plot:
    """Plot the payments to each client, the rounds stacked.

    Args:
        result: The devnet's results.

    Returns:
        One stack of bars for each client.
    """
    addresses = list(name_clients(result))
    totals = [
        sum(client.payout for round in result.rounds if (client := _find_client(round, address)))
        for address in addresses
    ]
    scale, ticks = make_scale([t / SAP_PER_FDC for t in totals], lambda value: f"{value:g}")
    bars: list[Bar] = []
    for left, width, address in _client_slots(result):
        clients = [(round.round, _find_client(round, address)) for round in result.rounds]
        amounts = [(number, client.payout if client else 0) for number, client in clients]
        role = next(client.role for _, client in clients if client)
        bars += _stack(scale, left + width * 0.2, width * 0.6, role, role, amounts)
    return Plot(
        "What each client was paid",
        "FDC; rounds stacked",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=_client_labels(result),
    )


def plot_utility(result: DevnetResult) -> Plot:
    """Plot the model's utility after each round, in parts of the largest one.

    Args:
        result: The devnet's results.

    Returns:
        One point for each round.
    """
    scale, ticks = make_scale([0.0, 1.0], lambda value: f"{100 * value:.0f} %")
    terms = TERMS[NAMES[result.rounds[0].measure if result.rounds else "accuracy"]]
    slot = (WIDTH - LEFT - RIGHT) / max(len(result.rounds), 1)
    points = tuple(
        Point(
            LEFT + (index + 0.5) * slot,
            scale(round.utility),
            terms.format_fraction(round.utility),
            f"round {round.round}: {terms.title} {terms.format_fraction(round.utility)}",
        )
        for index, round in enumerate(result.rounds)
    )
    labels = tuple(
        Label(point.x, f"round {round.round}", "")
        for point, round in zip(points, result.rounds, strict=True)
    )
    return Plot(
        "How good the model became",
        f"{terms.title} on the evaluation set",
        ticks,
        scale(0.0),
        labels=labels,
        points=points,
    )


def plot_shares(result: DevnetResult) -> Plot:
    """Plot the payments to clients, server and miners, and the refunds, the rounds stacked.

    Args:
        result: The devnet's results.

    Returns:
        One stack of bars for each of `PAYEES`.
    """
    shares = [split_price(round) for round in result.rounds]
    totals = [sum(share[i] for share in shares) / SAP_PER_FDC for i in range(len(PAYEES))]
    scale, ticks = make_scale(totals, lambda value: f"{value:g}")
    slot = (WIDTH - LEFT - RIGHT) / len(PAYEES)
    bars: list[Bar] = []
    labels: list[Label] = []
    for i, payee in enumerate(PAYEES):
        amounts = [
            (round.round, share[i]) for round, share in zip(result.rounds, shares, strict=True)
        ]
        left = LEFT + (i + 0.25) * slot
        bars += _stack(scale, left, slot * 0.5, f"share-{payee}", payee, amounts)
        labels.append(Label(LEFT + (i + 0.5) * slot, payee, f"{totals[i]:,.2f} FDC"))
    return Plot(
        "Where the budget went",
        "FDC; rounds stacked",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=tuple(labels),
    )


def split_price(round: RoundResult) -> tuple[int, int, int, int]:
    """Split a round's price by who got it.

    Args:
        round: A settled round.

    Returns:
        Amounts in sap, in the order of `PAYEES`.
    """
    clients = sum(client.payout for client in round.clients)
    miners = sum(miner.reward for miner in round.miners)
    price = round.training_price + round.aggregation_price + round.mining_price
    server = round.aggregation_price
    return (clients, server, miners, price - clients - server - miners)


def make_scale(
    values: Sequence[float], format_value: Callable[[float], str]
) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """Make a vertical axis that includes all values and zero.

    Args:
        values: The values that are drawn.
        format_value: Formats a tick's value.

    Returns:
        A function from a value to its vertical position, and the axis' ticks.
    """
    marks = choose_ticks(min([*values, 0.0]), max([*values, 0.0]))
    low, high = marks[0], marks[-1]
    span = HEIGHT - TOP - BOTTOM

    def scale(value: float) -> float:
        return TOP + span * (high - value) / (high - low)

    return scale, tuple(Tick(scale(mark), format_value(mark)) for mark in marks)


def choose_ticks(low: float, high: float, target_count: int = 5) -> tuple[float, ...]:
    """Choose evenly spaced round numbers that enclose a range.

    Args:
        low: The smallest value.
        high: The largest value; a range of less than 1e-9 is widened to one.
        target_count: About how many steps the axis should have.

    Returns:
        Multiples of 1, 2 or 5 times a power of ten, from at most `low` to at least `high`.
    """
    if high - low < 1e-9:
        high = low + 1.0
    min_step = (high - low) / target_count
    power = 10.0 ** math.floor(math.log10(min_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= min_step * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def _stack(
    scale: Callable[[float], float],
    left: float,
    width: float,
    kind: str,
    name: str,
    amounts: Sequence[tuple[int, int]],
) -> Iterator[Bar]:
    """Stack amounts (round number, sap) on one another, leaving out those of zero."""
    below = 0
    for index, (number, amount) in enumerate(amounts):
        if not amount:
            continue
        bottom, top = scale(below / SAP_PER_FDC), scale((below + amount) / SAP_PER_FDC)
        below += amount
        yield Bar(
            x=left,
            y=top,
            width=width,
            height=bottom - top,
            kind=kind,
            shade=(index + 1) / len(amounts),
            title=f"{name}, round {number}: {format_amount(amount)}",
        )


def _client_slots(result: DevnetResult) -> list[tuple[float, float, str]]:
    """Return the left edge and the width of each client's bars, and its address."""
    addresses = list(name_clients(result))
    slot = (WIDTH - LEFT - RIGHT) / max(len(addresses), 1)
    return [(LEFT + (i + 0.1) * slot, slot * 0.8, address) for i, address in enumerate(addresses)]


def _client_labels(result: DevnetResult) -> tuple[Label, ...]:
    """Label each client with its name, role and number of examples; with its number if crowded."""
    names = name_clients(result)
    is_crowded = len(names) > 10
    labels = []
    for left, width, address in _client_slots(result):
        appearances = (_find_client(round, address) for round in result.rounds)
        client = next(client for client in appearances if client is not None)
        name = names[address].removeprefix("client ") if is_crowded else names[address]
        about = "" if is_crowded else f"{client.role}, {client.samples}"
        labels.append(Label(left + width / 2, name, about))
    return tuple(labels)


def _find_client(round: RoundResult, address: str) -> ClientResult | None:
    return next((client for client in round.clients if client.address == address), None)
