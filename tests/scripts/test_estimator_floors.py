"""The floors of estimates: what the known structure of a game leaves."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.benchmarks.estimator_floors import (
    choose_best,
    find_pairwise_residuals,
    fit_known_model,
)
from scripts.benchmarks.trained_games import list_coalitions

COALITIONS = list_coalitions(6)[1:-1]
WEIGHTS = np.arange(1.0, 7)


def test_a_known_model_is_exact_when_all_is_evaluated() -> None:
    worth = np.sqrt(COALITIONS @ WEIGHTS)
    model = fit_known_model(COALITIONS, worth)
    everything, few = np.arange(len(worth)), choose_best(model, 30)
    assert model.estimate(everything) == pytest.approx((0, 0), abs=1e-4)
    error, expected = model.estimate(few)
    assert 0 < error < 0.1
    assert 0 < expected < 0.1
    assert len(set(few.tolist())) == 30


def test_chosen_coalitions_tell_more_than_random_ones() -> None:
    model = fit_known_model(COALITIONS, np.sqrt(COALITIONS @ WEIGHTS))
    random = [np.random.default_rng(seed).permutation(62)[:36] for seed in range(5)]
    assert model.estimate(choose_best(model, 36))[1] < min(
        model.estimate(rows)[1] for rows in random
    )


def test_a_game_of_pairs_leaves_no_residual() -> None:
    together = COALITIONS[:, 0] & COALITIONS[:, 3]
    worth = COALITIONS @ WEIGHTS + 2.0 * together + COALITIONS.sum(axis=1) ** 3
    assert np.abs(find_pairwise_residuals(COALITIONS, worth)).max() < 1e-9
    triple = COALITIONS[:, :3].all(axis=1)
    assert np.abs(find_pairwise_residuals(COALITIONS, worth + triple)).max() > 0.01
