"""EXACT: the leaves hold all coalitions, and their vectors add up to the Shapley values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.incentive.proof import exact_layout
from fedcoin.incentive.proof.exact_layout import ExactLayout


@pytest.mark.parametrize("clients", range(1, 17))
def test_weights_are_whole_and_add_up(clients: int) -> None:
    unit = math.lcm(*range(1, clients + 1))
    for size, weight in enumerate(exact_layout.integer_weights(clients)):
        assert weight * clients * math.comb(clients - 1, size) == unit


@pytest.mark.parametrize("clients", [1, 2, 5, 6, 7, 10, 16])
def test_leaves_hold_every_mask_once(clients: int) -> None:
    layout = ExactLayout(clients)
    assert layout.leaves <= 64
    assert layout.leaves * layout.leaf_length == 1 << clients == layout.evaluations(layout.leaves)
    rows = np.concatenate([layout.coalitions(leaf) for leaf in range(layout.leaves)])
    masks = rows @ (1 << np.arange(clients))
    assert masks.tolist() == list(range(1 << clients))


def shapley_by_orders(utility: dict[frozenset[int], int], clients: int) -> list[float]:
    """The definition: the mean marginal contribution over all n! orders."""
    values = [0] * clients
    for order in itertools.permutations(range(clients)):
        for place, client in enumerate(order):
            before = frozenset(order[:place])
            values[client] += utility[before | {client}] - utility[before]
    return [value / math.factorial(clients) for value in values]


@pytest.mark.parametrize("clients", [1, 2, 3, 6, 7])
def test_blocks_add_up_to_the_definition(clients: int) -> None:
    layout = ExactLayout(clients)
    rng = np.random.default_rng(clients)
    utilities = rng.integers(0, 100, size=(layout.leaves, layout.leaf_length))
    flat = utilities.reshape(-1)
    utility = {
        frozenset(k for k in range(clients) if mask >> k & 1): int(flat[mask])
        for mask in range(1 << clients)
    }
    empty, grand = int(flat[0]), int(flat[-1])
    vectors = layout.contributions(np.arange(layout.leaves), utilities, grand, empty)
    values = vectors.sum(axis=0) / layout.denominator(layout.leaves)
    np.testing.assert_allclose(values, shapley_by_orders(utility, clients), atol=1e-9)
    assert vectors.sum() == layout.denominator(layout.leaves) * (grand - empty)


def extremes(layout: ExactLayout, first: int, count: int, size: int) -> list[NDArray[np.int64]]:
    """Return vectors of leaves whose free utilities move one client's sum as far as possible."""
    masks = np.arange(first * layout.leaf_length, (first + count) * layout.leaf_length)
    table = exact_layout.contribution_coefficients(masks, layout.clients)
    sums = []
    for client in range(layout.clients):
        for side in (1, -1):
            utilities = np.where(table[:, client] * side > 0, size, 0)
            utilities[masks == 0] = 3
            utilities[masks == (1 << layout.clients) - 1] = 7
            sums.append(utilities @ table)
    return sums


@pytest.mark.parametrize(
    ("clients", "first", "count"), [(3, 0, 8), (7, 0, 1), (7, 60, 4), (8, 8, 8)]
)
def test_bounds_are_reached_and_never_passed(clients: int, first: int, count: int) -> None:
    layout, size = ExactLayout(clients), 50
    low, high = layout.sum_bounds(np.array([first]), np.array([count]), size, 7, 3)
    sums = np.array(extremes(layout, first, count, size))
    assert (sums >= low).all()
    assert (sums <= high).all()
    assert (sums.max(axis=0) == high[0]).all()
    assert (sums.min(axis=0) == low[0]).all()
    net = layout.efficiency_sums(np.array([first]), np.array([count]), 7, 3)
    assert (sums.sum(axis=1) == net[0]).all()


def test_bounds_of_the_largest_game_fit_in_64_bits() -> None:
    low, high = ExactLayout(16).sum_bounds(np.array([0]), np.array([64]), 10**7, 10**7, 0)
    assert -(2**62) < low.min() < high.max() < 2**62
