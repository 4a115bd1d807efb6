"""What the study measures: values and accuracies by type, iterations, and payments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.learning.training.partition_spec import Partition
from fedcoin.testing.paper_protocol.race import (
    compute_payouts,
    estimate_variance,
    run_race,
)
from scripts.studies.paper import published
from scripts.studies.paper.games import build_table, exact_values, measure_accuracies
from scripts.studies.paper.networks import Network, clients_by_type

RACE_MINERS = 5
"""R, the number of miners of the paper's race."""

RACE_SEEDS = 11
"""How many times each race is run."""

DIFFICULTIES = tuple(10 ** (-quarter / 4) for quarter in range(4, 13))
"""From 0.1 to 0.001, four in each power of ten."""


@dataclass(frozen=True, slots=True)
class TypeRow:
    """The clients of one type."""

    kind: int
    clients: int
    examples: float
    # Means over the clients.
    value: float
    accuracy: float
    payout: float


@dataclass(frozen=True, slots=True)
class RaceRow:
    """The printed algorithm's race at one difficulty."""

    difficulty: float
    # The median over the seeds, and V (1 - 1/R) / D^2.
    iterations: float
    law: float


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One client under this network's rules and under the prototype's."""

    # Its number and its role.
    client: str
    value: float
    payout: float
    # Of the printed algorithm's race at the prototype's D, and the exact ones of the same game.
    race_value: float
    exact_value: float
    # What algorithm 3 would pay for the race's values, in coins.
    race_payout: float


def measure_types(network: Network, partition: Partition) -> list[TypeRow]:
    """Average values, accuracies and payments by type.

    Args:
        network: A network that divided its data by types.
        partition: How the data were divided among the clients.

    Returns:
        A row for each type.
    """
    accuracies = measure_accuracies(network, network.evaluation_size)
    rows = []
    for kind, clients in enumerate(clients_by_type(network, partition)):
        rows.append(
            TypeRow(
                kind,
                len(clients),
                float(np.mean([client.samples for client in clients])),
                float(np.mean([client.value for client in clients])),
                float(np.mean([accuracies[client.index] for client in clients])),
                float(np.mean([client.payout for client in clients])),
            )
        )
    return rows


def measure_iterations(
    network: Network, partition: Partition, max_iterations: int
) -> tuple[float, list[RaceRow]]:
    """Run the paper's race among the first clients of all types, at several difficulties.

    Args:
        network: A network that divided its data by types.
        partition: How the data were divided among the clients.
        max_iterations: Difficulties at which more are to be expected are left out.

    Returns:
        V, the variance of one order's marginal contributions, and a row for each difficulty.

    Raises:
        RuntimeError: A race did not end.
    """
    clients = [group[0] for group in clients_by_type(network, partition)]
    table = build_table(network, clients, network.evaluation_size)
    variance = estimate_variance(table, np.random.default_rng(0))
    rows = []
    for difficulty in DIFFICULTIES:
        law = variance * (1 - 1 / RACE_MINERS) / difficulty**2
        if law > max_iterations:
            break
        iterations = []
        for seed in range(RACE_SEEDS):
            rng = np.random.default_rng(seed)
            # The first miner comes within D earlier than the law says, so that this is ample.
            bound = round(3 * law) + 1000
            race = run_race(table, RACE_MINERS, difficulty, rng, max_iterations=bound)
            if race is None:
                raise RuntimeError(f"no miner came within D = {difficulty:g}")
            iterations.append(race.iterations)
        rows.append(RaceRow(difficulty, float(np.median(iterations)), law))
    return variance, rows


def measure_payments(network: Network) -> tuple[int, list[PaymentRow]]:
    """Pay the same clients by this network's rules and by the paper's, at the prototype's D.

    Args:
        network: A network of the prototype's size under this network's rules.

    Returns:
        The iterations of the race, and a row for each client.

    Raises:
        RuntimeError: The race did not end.
    """
    table = build_table(network, network.clients, network.evaluation_size)
    rng = np.random.default_rng(0)
    race = run_race(table, published.PROTOTYPE_MINERS, published.PROTOTYPE_DIFFICULTY, rng)
    if race is None:
        raise RuntimeError("no miner came within the prototype's D")
    payouts = compute_payouts(race.mean, 0.7 * published.PROTOTYPE_PRICE)
    exact = exact_values(table)
    return race.iterations, [
        PaymentRow(
            f"{client.index + 1}, {client.role}",
            client.value,
            client.payout,
            float(race.mean[client.index]),
            float(exact[client.index]),
            float(payouts[client.index]),
        )
        for client in network.clients
    ]
