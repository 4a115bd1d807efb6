"""Two models of a game and their weighted mean."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.shapley.kriging.mixture import fit_mixture
from fedcoin.shapley.kriging.posterior import fit_posterior
from fedcoin.shapley.strata import draw_coalitions

PLAYERS = 8


def sample() -> NDArray[np.bool_]:
    rng = np.random.default_rng(5)
    sizes = ((1, 8), (2, 20), (3, 20))
    small = np.concatenate([draw_coalitions(PLAYERS, size, count, rng) for size, count in sizes])
    return np.concatenate([small, ~small])


def one_spoils(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """An accuracy that one player ruins, so that what the others add depends on that player."""
    quality = coalitions @ np.linspace(0.1, 1, PLAYERS)
    worth: NDArray[np.float64] = 1 / (1 + np.exp(4 * coalitions[:, 3] - quality))
    return worth


def test_players_are_told_apart_where_that_predicts_better() -> None:
    coalitions = sample()
    worth = one_spoils(coalitions)
    mixed = fit_mixture(coalitions, worth, np.random.default_rng(0))
    alike = fit_posterior(coalitions, worth, np.random.default_rng(0))
    fold = np.arange(4, 90, 7)
    mixed_error = np.linalg.norm(mixed.compute_prediction_errors(fold))
    assert mixed_error < 0.5 * np.linalg.norm(alike.compute_prediction_errors(fold))


def test_the_mean_is_linear_in_the_utilities_and_adds_up_to_zero() -> None:
    coalitions = sample()
    worth = one_spoils(coalitions) + 0.1 * np.random.default_rng(2).normal(size=len(coalitions))
    mixed = fit_mixture(coalitions, worth, np.random.default_rng(0))
    assert mixed.values.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(mixed.weights.T @ worth, mixed.values, atol=1e-9)
    assert (mixed.variances >= 0).all()


def test_a_constant_game_is_mixed_without_a_warning() -> None:
    coalitions = sample()
    mixed = fit_mixture(coalitions, np.zeros(len(coalitions)), np.random.default_rng(0))
    np.testing.assert_allclose(mixed.values, 0, atol=1e-12)
