"""Measure what similarity limits cost honest clients, and what updates between two others' earn.

Payments and rounds are those of `grouped_payments` and `trained_rounds`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcoin.learning.model.look_alikes import Similarities, group_updates, measure_similarities
from fedcoin.testing.copied_updates.grouped_payments import Floats, pay_groups
from fedcoin.testing.copied_updates.trained_rounds import TrainedFederation, TrainedRound
from fedcoin.testing.measurements.evaluated_network import Weights

ROUNDS = 2
"""The number of rounds that each federation trains."""


@dataclass(frozen=True, slots=True)
class LookAlikeOutcome:
    """What honest clients lose under one similarity limit, over all rounds that were trained."""

    # The data set's name, and how it is divided (a key of `trained_rounds.PARTITIONS`).
    dataset: str
    partition: str
    # The number of clients, all honest.
    clients: int
    # The similarity from which two updates count as alike, at most 1; -1 is opposite.
    limit: float
    # The similarities of all pairs of updates in all rounds, -1 to 1: the median and the highest.
    median_similarity: float
    highest_similarity: float
    # The mean number of players in a round.
    players: float
    # The relative change of what all clients get together; the largest relative loss of a client
    # that is grouped in any round, 0 where none is; and the accuracy's change.
    total_change: float
    largest_loss: float
    accuracy_change: float


@dataclass(frozen=True, slots=True)
class BridgeOutcome:
    """What an attacker gets for updates that lie between those of two other clients."""

    # The data set's name.
    dataset: str
    # The number of honest clients.
    clients: int
    # The number of the attacker's updates.
    bridges: int
    # The similarity from which two updates count as alike, at most 1; -1 is opposite.
    limit: float
    # How updates are grouped: complete or single linkage.
    linkage: str
    # In how many rounds the two other clients are in one group.
    joined: int
    # The number of all rounds.
    rounds: int
    # The pay of the two other clients, and of the bridges, as multiples of what the two get
    # without bridges.
    two: float
    attacker: float


def measure_look_alikes(
    dataset: str, partition: str, clients: int, limits: Sequence[float], seeds: int
) -> list[LookAlikeOutcome]:
    """Measure what similarity limits cost honest clients.

    Args:
        dataset: A data set that `datasets.load_dataset` takes.
        partition: A key of `trained_rounds.PARTITIONS`.
        clients: The number of clients.
        limits: The similarity limits, each at most 1.
        seeds: How many federations to train.

    Returns:
        One outcome for each limit.
    """
    pairs: list[Floats] = []
    rows: dict[float, list[tuple[Floats, Floats, int, float, tuple[int, ...]]]] = {
        limit: [] for limit in limits
    }
    with tempfile.TemporaryDirectory() as folder:
        federation = TrainedFederation(Path(folder), dataset)
        for seed in range(seeds):
            for trained in federation.train_rounds(partition, clients, ROUNDS, seed):
                similarities = measure_similarities(trained.base, trained.updates)
                pairs.append(similarities[np.triu_indices(clients, 1)])
                alone = pay_groups(federation, trained, tuple(range(clients)))
                for limit in limits:
                    groups = group_updates(similarities, limit)
                    pay, accuracy = pay_groups(federation, trained, groups)
                    change = accuracy - alone[1]
                    rows[limit].append((alone[0], pay, len(set(groups)), change, groups))
    head = float(np.median(pairs)), float(np.max(pairs))
    return [
        _summarise_look_alikes(
            LookAlikeOutcome(dataset, partition, clients, limit, *head, 0, 0, 0, 0), rows[limit]
        )
        for limit in limits
    ]


def _summarise_look_alikes(
    head: LookAlikeOutcome,
    rows: Sequence[tuple[Floats, Floats, int, float, tuple[int, ...]]],
) -> LookAlikeOutcome:
    losses = [0.0]
    for before, after, _, _, groups in rows:
        for client, group in enumerate(groups):
            if groups.count(group) > 1 and before[client] > 0:
                losses.append(float(1 - after[client] / before[client]))
    before_all = sum(float(row[0].sum()) for row in rows)
    after_all = sum(float(row[1].sum()) for row in rows)
    return LookAlikeOutcome(
        head.dataset,
        head.partition,
        head.clients,
        head.limit,
        head.median_similarity,
        head.highest_similarity,
        float(np.mean([row[2] for row in rows])),
        after_all / before_all - 1,
        max(losses),
        float(np.mean([row[3] for row in rows])),
    )


def measure_bridges(
    dataset: str, clients: int, bridges: Sequence[int], limit: float, seeds: int
) -> list[BridgeOutcome]:
    """Measure what updates that lie between two others' earn, under two ways to group.

    Args:
        dataset: A data set that `datasets.load_dataset` takes.
        clients: The number of honest clients, with data of the same distribution.
        bridges: The numbers of updates to measure, which lie at equal distances on the line between
            the first two clients' updates.
        limit: The similarity from which two updates are grouped, at most 1.
        seeds: How many federations to train.

    Returns:
        For each number of bridges one outcome with complete and one with single linkage.
    """
    linkages = {"complete": group_updates, "single": group_by_single_linkage}
    sums = {(number, name): np.zeros(4) for number in bridges for name in linkages}
    with tempfile.TemporaryDirectory() as folder:
        federation = TrainedFederation(Path(folder), dataset)
        for seed in range(seeds):
            for trained in federation.train_rounds("iid", clients, ROUNDS, seed):
                for number, name in sums:
                    between = _lie_between(trained.updates[0], trained.updates[1], number)
                    bridged = TrainedRound(trained.base, (*trained.updates, *between))
                    alone, together = (
                        linkages[name](measure_similarities(one.base, one.updates), limit)
                        for one in (trained, bridged)
                    )
                    before, _ = pay_groups(federation, trained, alone)
                    pay, _ = pay_groups(federation, bridged, together)
                    joined = float(together[0] == together[1])
                    attacker = pay[clients:].sum()
                    sums[number, name] += [before[:2].sum(), pay[:2].sum(), attacker, joined]
    return [
        BridgeOutcome(
            dataset,
            clients,
            number,
            limit,
            name,
            round(joined),
            seeds * ROUNDS,
            float(two / before),
            float(attacker / before),
        )
        for (number, name), (before, two, attacker, joined) in sums.items()
    ]


def group_by_single_linkage(similarities: Similarities, limit: float) -> tuple[int, ...]:
    """Group updates by the transitive closure of "has at least the limit".

    Args:
        similarities: float64 (n, n), from `look_alikes.measure_similarities`.
        limit: The smallest similarity of two updates that are linked, at most 1.

    Returns:
        For each update the index of its group's first update.
    """
    groups = list(range(len(similarities)))
    for i, j in np.argwhere(np.triu(similarities >= limit, 1)).tolist():
        low, high = sorted((groups[i], groups[j]))
        groups = [low if group == high else group for group in groups]
    return tuple(groups)


def _lie_between(one: Weights, other: Weights, number: int) -> list[Weights]:
    steps = np.linspace(0, 1, number + 2)[1:-1]
    return [
        {name: (one[name] + np.float32(t) * (other[name] - one[name])) for name in one}
        for t in steps
    ]
