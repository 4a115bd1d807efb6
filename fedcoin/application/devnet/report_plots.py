"""Lay out the plots of a devnet's report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedcoin.application.devnet.results import ClientResult, DevnetResult, RoundResult
from fedcoin.application.rendering.svg_plots import (
    HALF,
    Bar,
    Label,
    Part,
    Plot,
    connect_points,
    stack_parts,
)
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.measures.terms import NAMES, TERMS

PAYEES = ("clients", "server", "miners", "refund")
"""The recipients of a round's price."""


def name_clients(result: DevnetResult) -> dict[str, str]:
    """Give each client a short name.

    Args:
        result: The devnet's results.

    Returns:
        Names by address, in the order of first appearance: what the client calls itself, otherwise
        `client-1` and so on by that order.
    """
    claimed = {c.address: c.name for round in result.rounds for c in round.clients}
    return {
        address: name or f"client-{number}"
        for number, (address, name) in enumerate(claimed.items(), start=1)
    }


def plot_values(result: DevnetResult) -> Plot:
    """Plot each client's Shapley value, with one bar for each round.

    Args:
        result: The devnet's results.

    Returns:
        Bars from zero up for positive values, down for negative ones.
    """
    values = [c.shapley_nano / 1e9 for round in result.rounds for c in round.clients]
    scale, ticks = HALF.make_scale(values, lambda value: f"{value:g}")
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
                    kind=client.role.replace(" ", "-"),
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
    scale, ticks = HALF.make_scale([t / SAP_PER_FDC for t in totals], lambda value: f"{value:g}")
    bars: list[Bar] = []
    for left, width, address in _client_slots(result):
        clients = [(round.round, _find_client(round, address)) for round in result.rounds]
        amounts = [(number, client.payout if client else 0) for number, client in clients]
        role = next(client.role for _, client in clients if client)
        parts = list(_rounds_of(role.replace(" ", "-"), role, amounts))
        bars += stack_parts(scale, left + width * 0.2, width * 0.6, parts)
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
    scale, ticks = HALF.make_scale([0.0, 1.0], lambda value: f"{100 * value:.0f} %")
    terms = TERMS[NAMES[result.rounds[0].measure if result.rounds else "accuracy"]]
    values = [
        (f"round {round.round}", round.utility, terms.format_fraction(round.utility))
        for round in result.rounds
    ]
    points, labels = connect_points(HALF, scale, values)
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
    scale, ticks = HALF.make_scale(totals, lambda value: f"{value:g}")
    bars: list[Bar] = []
    labels: list[Label] = []
    for i, (payee, (left, slot)) in enumerate(zip(PAYEES, HALF.slots(len(PAYEES)), strict=True)):
        amounts = [
            (round.round, share[i]) for round, share in zip(result.rounds, shares, strict=True)
        ]
        parts = list(_rounds_of(f"share-{payee}", payee, amounts))
        bars += stack_parts(scale, left + 0.25 * slot, slot * 0.5, parts)
        labels.append(Label(left + 0.5 * slot, payee, f"{totals[i]:,.2f} FDC"))
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


def _rounds_of(kind: str, name: str, amounts: Sequence[tuple[int, int]]) -> Iterator[Part]:
    """Yield a part for each round's amount (round number, sap)."""
    for index, (number, amount) in enumerate(amounts, start=1):
        yield Part(kind, index / len(amounts), f"{name}, round {number}", amount)


def _client_slots(result: DevnetResult) -> list[tuple[float, float, str]]:
    """Return the left edge and the width of each client's bars, and its address."""
    addresses = list(name_clients(result))
    slots = HALF.slots(len(addresses))
    return [
        (left + 0.1 * slot, slot * 0.8, address)
        for (left, slot), address in zip(slots, addresses, strict=True)
    ]


def _client_labels(result: DevnetResult) -> tuple[Label, ...]:
    """Label each client with its name, role and number of examples; with its number if crowded."""
    names = name_clients(result)
    is_crowded = len(names) > 10
    labels = []
    for left, width, address in _client_slots(result):
        appearances = (_find_client(round, address) for round in result.rounds)
        client = next(client for client in appearances if client is not None)
        name = names[address].removeprefix("client-") if is_crowded else names[address]
        about = "" if is_crowded else f"{client.role}, {client.samples}"
        labels.append(Label(left + width / 2, name, about))
    return tuple(labels)


def _find_client(round: RoundResult, address: str) -> ClientResult | None:
    return next((client for client in round.clients if client.address == address), None)
