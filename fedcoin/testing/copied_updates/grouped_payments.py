"""Pay groups of updates that look alike: each group is one player and shares its value equally.

Payments are positive values at one price for a unit, in units of the utility.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedcoin.learning.model.aggregation import federated_average
from fedcoin.shapley import estimate
from fedcoin.testing.copied_updates.trained_rounds import TrainedFederation, TrainedRound

Floats = NDArray[np.float64]


def pay_groups(
    federation: TrainedFederation, trained: TrainedRound, groups: Sequence[int]
) -> tuple[Floats, float]:
    """Pay each update its part of its group's value.

    Args:
        federation: Evaluates the coalitions of the groups.
        trained: The round's base and updates.
        groups: For each update the index of its group's first update.

    Returns:
        The payments, float64 (n,), and the accuracy of the aggregate, in which all groups count the
        same.
    """
    firsts = sorted(set(groups))
    members = [[k for k, group in enumerate(groups) if group == first] for first in firsts]
    players = [
        trained.updates[indices[0]]
        if len(indices) == 1
        else federated_average([trained.updates[k] for k in indices], [1] * len(indices))
        for indices in members
    ]
    table = federation.evaluate(trained.base, players, [1] * len(players))
    pay = np.zeros(len(groups))
    for indices, value in zip(members, compute_shapley_values(table), strict=True):
        pay[indices] = max(value, 0) / len(indices)
    return pay, float(table[-1])


def compute_shapley_values(table: Floats) -> Floats:
    """Compute exact Shapley values.

    Args:
        table: The utility of each coalition, float64 (2^n,), by bit mask.

    Returns:
        The value of each client, float64 (n,).
    """
    players = int(np.log2(len(table)))
    masks = 1 << np.arange(players)
    return estimate(lambda members: table[members @ masks], players, method="exact").values
