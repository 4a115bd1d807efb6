"""Correlations between coalitions against their definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.shapley.kriging.johnson_polynomials import (
    compute_johnson_correlations,
    log_factorials,
)

PLAYERS = 8
SIZES = np.array([2, 3, 4, 6])


def overlap_probabilities(s: int, t: int) -> NDArray[np.float64]:
    """The distribution of the overlap of random coalitions of these sizes, counted."""
    fixed = set(range(t))
    counts = np.zeros(PLAYERS + 1)
    for members in itertools.combinations(range(PLAYERS), s):
        counts[len(fixed & set(members))] += 1
    return counts / math.comb(PLAYERS, s)


def test_log_factorials() -> None:
    expected = [math.log(math.factorial(k)) for k in range(6)]
    np.testing.assert_allclose(log_factorials(5), expected, atol=1e-12)


def test_degree_one_is_the_cosine_of_centred_memberships() -> None:
    (table,) = compute_johnson_correlations(PLAYERS, SIZES, 1)
    one, two = np.zeros(PLAYERS), np.zeros(PLAYERS)
    one[:3], two[1:7] = 1, 1
    one, two = one - one.mean(), two - two.mean()
    cosine = one @ two / np.sqrt((one @ one) * (two @ two))
    assert table[1, 3, 2] == pytest.approx(cosine)


def test_degrees_are_orthogonal_and_a_coalition_agrees_with_itself() -> None:
    tables = compute_johnson_correlations(PLAYERS, SIZES, 3)
    for i, j in itertools.product(range(len(SIZES)), repeat=2):
        probabilities = overlap_probabilities(int(SIZES[i]), int(SIZES[j]))
        assert [probabilities @ table[i, j] for table in tables] == pytest.approx([0, 0, 0])
        for one, two in itertools.combinations(tables, 2):
            assert probabilities @ (one[i, j] * two[i, j]) == pytest.approx(0)
    for degree, table in enumerate(tables, start=1):
        for i, size in enumerate(SIZES):
            has_degree = min(size, PLAYERS - size) >= degree
            assert table[i, i, size] == pytest.approx(float(has_degree))
