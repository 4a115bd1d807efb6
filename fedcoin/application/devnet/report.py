"""The devnet's report: one HTML file with its plots, that needs nothing else.

Plots are SVG, laid out here and drawn by ``templates/report.html.j2``, so that there is no
plotting library to import and the page follows the reader's light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedcoin import __version__
from fedcoin.application.devnet.result import ClientResult, DevnetResult, RoundResult
from fedcoin.data.messages.amounts import SAP_PER_FDC, format_amount

WIDTH, HEIGHT = 560, 270
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 14, 48
"""Of a plot, in the SVG's own units: its size and the margins around its axes."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the plot at the height ``y``, with its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, what it is drawn in, and what it says under the pointer."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    shade: float
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """Two lines below a group of bars."""

    x: float
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a line."""

    x: float
    y: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything that the template draws."""

    title: str
    unit: str
    ticks: tuple[Tick, ...]
    zero: float
    bars: tuple[Bar, ...] = ()
    labels: tuple[Label, ...] = ()
    points: tuple[Point, ...] = ()


def render_report(result: DevnetResult) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fedcoin.application.devnet"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        amount=format_amount,
        coins=lambda sap: f"{sap / SAP_PER_FDC:,.4f} FDC",
        total=lambda sap: f"{sap / SAP_PER_FDC:,.2f} FDC",
        value=lambda nano: f"{nano / 1e9:+.4f}",
        percent=lambda share: f"{100 * share:.1f} %",
        short=lambda text: f"{text[:10]}…{text[-6:]}" if len(text) > 18 else text,
        megabytes=lambda count: f"{count / 1e6:.0f} MB",
    )
    page = environment.get_template("report.html.j2")
    return page.render(
        result=result,
        names=client_names(result),
        plots=[
            values_plot(result),
            payouts_plot(result),
            accuracy_plot(result),
            shares_plot(result),
        ],
        paid=sum(client.payout for turn in result.rounds for client in turn.clients),
        version=__version__,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
    )


def client_names(result: DevnetResult) -> dict[str, str]:
    """A short name for each client's address, in the order of the first round they appear in."""
    addresses = dict.fromkeys(c.address for turn in result.rounds for c in turn.clients)
    return {address: f"client {i}" for i, address in enumerate(addresses, start=1)}


def values_plot(result: DevnetResult) -> Plot:
    """Each client's value, round by round, side by side."""
    heights = [c.shapley_nano / 1e9 for turn in result.rounds for c in turn.clients]
    scale, ticks = scale_of(heights, lambda value: f"{value:g}")
    bars: list[Bar] = []
    count = max(len(result.rounds), 1)
    for left, width, address in groups(result):
        for i, turn in enumerate(result.rounds):
            client = client_of(turn, address)
            if client is None:
                continue
            value = client.shapley_nano / 1e9
            top, low = sorted((scale(value), scale(0.0)))
            title = f"{client.role}, round {turn.round}: {value:+.4f}"
            at = left + i * width / count
            shade = (i + 1) / count
            bars.append(Bar(at, top, width / count * 0.88, low - top, client.role, shade, title))
    return Plot(
        "What each update was worth",
        "Shapley value, in accuracy; one bar a round",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=group_labels(result),
    )


def payouts_plot(result: DevnetResult) -> Plot:
    """What each client was paid, the rounds upon one another."""
    totals = [
        sum(c.payout for turn in result.rounds for c in turn.clients if c.address == address)
        for address in client_names(result)
    ]
    scale, ticks = scale_of([t / SAP_PER_FDC for t in totals], lambda value: f"{value:g}")
    bars: list[Bar] = []
    count = max(len(result.rounds), 1)
    for left, width, address in groups(result):
        below = 0
        for i, turn in enumerate(result.rounds):
            client = client_of(turn, address)
            if client is None or not client.payout:
                continue
            low, top = scale(below / SAP_PER_FDC), scale((below + client.payout) / SAP_PER_FDC)
            below += client.payout
            title = f"{client.role}, round {turn.round}: {format_amount(client.payout)}"
            shade = (i + 1) / count
            bars.append(
                Bar(left + width * 0.2, top, width * 0.6, low - top, client.role, shade, title)
            )
    return Plot(
        "What each client was paid",
        "FDC; the rounds upon one another",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=group_labels(result),
    )


def accuracy_plot(result: DevnetResult) -> Plot:
    """The model's accuracy after each round."""
    scale, ticks = scale_of([0.0, 1.0], lambda value: f"{100 * value:.0f} %")
    slot = (WIDTH - LEFT - RIGHT) / max(len(result.rounds), 1)
    points = tuple(
        Point(
            LEFT + (i + 0.5) * slot,
            scale(turn.accuracy),
            f"{100 * turn.accuracy:.1f} %",
            f"round {turn.round}: {100 * turn.accuracy:.2f} %",
        )
        for i, turn in enumerate(result.rounds)
    )
    labels = tuple(
        Label(point.x, f"round {turn.round}", "")
        for point, turn in zip(points, result.rounds, strict=True)
    )
    return Plot(
        "How good the model became",
        "right answers on the evaluation set",
        ticks,
        scale(0.0),
        labels=labels,
        points=points,
    )


def shares_plot(result: DevnetResult) -> Plot:
    """What clients, server and miners got of each round's price, and what went back."""
    shares = [shares_of(turn) for turn in result.rounds]
    names = ("clients", "server", "miners", "refund")
    totals = [sum(share[i] for share in shares) / SAP_PER_FDC for i in range(len(names))]
    scale, ticks = scale_of(totals, lambda value: f"{value:g}")
    slot = (WIDTH - LEFT - RIGHT) / len(names)
    bars: list[Bar] = []
    for i, name in enumerate(names):
        below = 0
        for turn, share in zip(result.rounds, shares, strict=True):
            if not share[i]:
                continue
            low, top = scale(below / SAP_PER_FDC), scale((below + share[i]) / SAP_PER_FDC)
            below += share[i]
            title = f"{name}, round {turn.round}: {format_amount(share[i])}"
            shade = turn.round / max(len(result.rounds), 1)
            left = LEFT + (i + 0.25) * slot
            bars.append(Bar(left, top, slot * 0.5, low - top, f"share-{name}", shade, title))
    labels = tuple(
        Label(LEFT + (i + 0.5) * slot, name, f"{total:,.2f} FDC")
        for i, (name, total) in enumerate(zip(names, totals, strict=True))
    )
    return Plot(
        "Where the budget went",
        "FDC; the rounds upon one another",
        ticks,
        scale(0.0),
        bars=tuple(bars),
        labels=labels,
    )


def shares_of(turn: RoundResult) -> tuple[int, int, int, int]:
    """What clients, server and miners got in a round and what its requester got back, in sap."""
    clients = sum(client.payout for client in turn.clients)
    miners = sum(miner.reward for miner in turn.miners)
    price = turn.training_price + turn.aggregation_price + turn.mining_price
    return (
        clients,
        turn.aggregation_price,
        miners,
        price - clients - turn.aggregation_price - miners,
    )


def groups(result: DevnetResult) -> Sequence[tuple[float, float, str]]:
    """Left edge and width of each client's bars, and its address."""
    addresses = list(client_names(result))
    slot = (WIDTH - LEFT - RIGHT) / max(len(addresses), 1)
    return [(LEFT + (i + 0.1) * slot, slot * 0.8, address) for i, address in enumerate(addresses)]


def group_labels(result: DevnetResult) -> tuple[Label, ...]:
    """Name, role and samples of each client."""
    names = client_names(result)
    crowded = len(names) > 10
    labels = []
    for left, width, address in groups(result):
        found = (client_of(turn, address) for turn in result.rounds)
        client = next(client for client in found if client is not None)
        name = names[address].removeprefix("client ") if crowded else names[address]
        about = "" if crowded else f"{client.role}, {client.samples}"
        labels.append(Label(left + width / 2, name, about))
    return tuple(labels)


def client_of(turn: RoundResult, address: str) -> ClientResult | None:
    """This client in this round, if it took part."""
    return next((client for client in turn.clients if client.address == address), None)


def scale_of(
    values: Sequence[float], label: Callable[[float], str]
) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """Where a value is drawn, for a range that holds all of them and zero, and its ticks."""
    marks = nice_ticks(min([*values, 0.0]), max([*values, 0.0]))
    low, high = marks[0], marks[-1]
    span = HEIGHT - TOP - BOTTOM

    def place(value: float) -> float:
        return TOP + span * (high - value) / (high - low)

    return place, tuple(Tick(place(mark), label(mark)) for mark in marks)


def nice_ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers, evenly spaced, from at most ``low`` to at least ``high``."""
    if high - low < 1e-9:  # nothing to see: a plain axis
        high = low + 1.0
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(i * step, 12) for i in range(first, last + 1))
