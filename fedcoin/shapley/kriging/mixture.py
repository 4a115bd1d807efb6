"""The mean of two models of a game: one treats all players alike, the other tells them apart.

Which of them is nearer depends on the game. A mean of the two, with the weights 1 - c and c, is
often nearer than both, because their errors differ. To predict a part of the sample from the rest
(8 folds of pairs), the best weight is a least-squares coefficient ("stacking", Wolpert, Neural
Networks 5, 1992). It is trusted the more, the more the squared errors of the two differ: with R,
at most 1, the smaller sum of squares divided by the larger one,

    c = 1/2 + (1 - R) (stacking weight - 1/2)

so that models that predict equally well count the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.posterior import Posterior, fit_posterior

_MAX_PLAYERS_APART = 32
"""The most players whom the second model tells apart. Among more, a sample that this method can
afford says little about single players."""
_FOLDS = 8


@dataclass(frozen=True, slots=True)
class Mixture:
    """The weighted mean of posteriors of the values minus their mean."""

    values: Floats
    """(n,), in the utility's unit; they add up to 0."""
    variances: Floats
    """(n,), in the square of that unit: those of the parts, and how much their values differ."""
    weights: Floats
    """(m, n): how much each coalition's utility counts in the values."""
    _parts: tuple[tuple[float, Posterior], ...]

    def compute_prediction_errors(self, rows: Ints) -> Floats:
        """Predict some of the utilities from all others, and return by how much that is wrong.

        Args:
            rows: Indices of the coalitions to leave out together, (f,).

        Returns:
            Actual less predicted utility, float64 (f,), in the utility's unit.
        """
        parts = [share * part.compute_prediction_errors(rows) for share, part in self._parts]
        errors: Floats = np.sum(parts, axis=0)
        return errors

    def predict(self, coalitions: Bools) -> Floats:
        """Predict how far other coalitions' utilities differ from the mean of their size.

        Args:
            coalitions: bool (l, n), none of which was evaluated, of sizes that were.

        Returns:
            Predicted utility less the mean utility of coalitions of that size, float64 (l,), in the
            utility's unit.
        """
        parts = [share * part.predict(coalitions) for share, part in self._parts]
        predicted: Floats = np.sum(parts, axis=0)
        return predicted


def fit_mixture(coalitions: Bools, worth: Floats, rng: np.random.Generator) -> Mixture:
    """Fit both models, or up from 33 players the first alone, and weigh them.

    Args:
        coalitions: bool (2 q, n): q different evaluated coalitions, then their complements in the
            same order.
        worth: The utilities of these coalitions, float64 (2 q,).
        rng: Source of randomness: rows to fit hyperparameters to, and the folds.

    Returns:
        The weighted mean of both posteriors, or the first one where the second was not fitted.
    """
    alike = fit_posterior(coalitions, worth, rng)
    if coalitions.shape[1] > _MAX_PLAYERS_APART:
        return _mix(((1.0, alike),))
    apart = fit_posterior(coalitions, worth, rng, tells_players_apart=True)
    order = rng.permutation(len(coalitions) // 2)
    folds = [order[start::_FOLDS] for start in range(_FOLDS)]
    rows = [np.concatenate([fold, fold + len(order)]) for fold in folds if len(fold)]
    first, second = (
        np.concatenate([part.compute_prediction_errors(fold) for fold in rows])
        for part in (alike, apart)
    )
    share = _weigh(first, second)
    return _mix(((1 - share, alike), (share, apart)))


def _weigh(first: Floats, second: Floats) -> float:
    """Compute c from the errors of the two models, (m,) each."""
    largest = max(float(np.abs(first).max()), float(np.abs(second).max()))
    if largest == 0:
        return 0.5
    first, second = first / largest, second / largest
    gap = first - second
    apart = float(gap @ gap)
    stacked = min(max(float(first @ gap) / apart, 0.0), 1.0) if apart > 0 else 0.5
    squares = sorted((float(first @ first), float(second @ second)))
    return 0.5 + (1 - squares[0] / squares[1]) * (stacked - 0.5)


def _mix(parts: tuple[tuple[float, Posterior], ...]) -> Mixture:
    """Compute the mean of posteriors with shares that add up to 1."""
    values: Floats = np.sum([share * part.values for share, part in parts], axis=0)
    variances: Floats = np.sum(
        [share * (part.variances + (part.values - values) ** 2) for share, part in parts], axis=0
    )
    weights: Floats = np.sum([share * part.weights for share, part in parts], axis=0)
    return Mixture(values, variances, weights, parts)
