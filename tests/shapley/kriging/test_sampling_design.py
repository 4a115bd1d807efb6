"""Which coalitions are evaluated: no size starves, and what is drawn is a random sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedcoin.shapley.game import Game
from fedcoin.shapley.kriging.sampling_design import evaluate_sample

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def outlier(coalitions: Bools) -> Floats:
    """Return utilities that one client spoils when it is alone, and that jump at size 5."""
    smooth = np.sqrt(coalitions @ np.linspace(0.5, 1, 10))
    jumps = 3.0 * (coalitions @ (7 ** np.arange(10)) % 11 > 5) * (coalitions.sum(axis=1) == 5)
    return np.where(coalitions[:, 0] & (coalitions.sum(axis=1) == 1), -30.0, smooth + jumps)


def council(coalitions: Bools) -> Floats:
    """Return whether five permanent members of fifteen and four others vote yes."""
    wins = coalitions[:, :5].all(axis=1) & (coalitions.sum(axis=1) >= 9)
    return wins.astype(np.float64)


def test_one_outlying_client_does_not_starve_the_other_sizes() -> None:
    for seed in range(5):
        coalitions, _ = evaluate_sample(Game(outlier, 10), 300, np.random.default_rng(seed))
        drawn = np.bincount(coalitions.sum(axis=1), minlength=11)
        assert drawn[1:10].min() >= 10
        assert drawn[2:5].min() >= 12


def test_sizes_that_are_drawn_in_part_favour_no_player() -> None:
    """The members of the drawn coalitions of one size are spread evenly over the players."""
    coalitions, _ = evaluate_sample(Game(council, 15), 4_000, np.random.default_rng(1))
    sizes = coalitions.sum(axis=1)
    for size in range(2, 8):
        share = coalitions[sizes == size].mean(axis=0)
        tolerance = 4 * np.sqrt(size / 15 * (1 - size / 15) / (sizes == size).sum())
        assert np.abs(share - size / 15).max() <= tolerance
