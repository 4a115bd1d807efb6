"""Leave-one-out, Banzhaf and Beta-Shapley values from recorded evaluations.

All of them are semivalues: means of what a player adds to a coalition S of s other players, with a
probability w_s for each size, the same for all players (Dubey, Neyman, Weber, "Value theory without
efficiency", 1981):

    phi_i = sum over s < n of  w_s  mean over S of that size without i of (u(S with i) - u(S))

    leave-one-out    w_(n-1) = 1
    Banzhaf          w_s = C(n-1, s) / 2^(n-1)
    Beta(a, b)       w_s = C(n-1, s) B(s + b, n - 1 - s + a) / B(a, b)
                     (Kwon, Zou, "Beta Shapley", AISTATS 2022; their j is s + 1)
    Shapley          w_s = 1 / n = Beta(1, 1)

Only Shapley values add up to u(N) - u(empty).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Floats
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.recording import RecordedUtility
from fedcoin.shapley.semivalues.size_sample import estimate_from_sizes


@dataclass(frozen=True, slots=True)
class SemivalueEstimate:
    """Estimated semivalues of one game."""

    values: Floats
    """(n,), in the utility's unit."""
    std_errors: Floats
    """(n,), one standard error each; 0 when the values are exact."""
    evaluations: int
    """Number of distinct coalitions recorded, not counting the empty and the grand one."""
    kind: str
    """`leave-one-out`, `banzhaf`, or `beta(a, b)`."""


def compute_leave_one_out(recorded: RecordedUtility) -> SemivalueEstimate:
    """Compute what the grand coalition loses without each player: u(N) - u(N without i).

    Asks the utility for the coalitions of n - 1 players that are not recorded yet, at most n.

    Args:
        recorded: The utility, after an estimate.

    Returns:
        The exact values, with standard errors of 0.

    Raises:
        RefusalError: NOT_EVALUATED when nothing has been estimated with the recorded utility;
            BAD_GAME when the utility does not answer with finite numbers.
    """
    n = recorded.evaluations().coalitions.shape[1]
    utilities = recorded(np.concatenate([np.ones((1, n), np.bool_), ~np.eye(n, dtype=np.bool_)]))
    values = utilities[0] - utilities[1:]
    num_counted = recorded.evaluations().num_counted
    return SemivalueEstimate(values, np.zeros(n), num_counted, "leave-one-out")


def estimate_banzhaf(recorded: RecordedUtility) -> SemivalueEstimate:
    """Estimate Banzhaf values: means over all coalitions of the other players, equally likely.

    They are exact where every coalition was evaluated. Otherwise see `estimate_beta_shapley`.

    Args:
        recorded: The utility, after an estimate.

    Returns:
        The values with their standard errors.

    Raises:
        RefusalError: NOT_EVALUATED when too few coalitions are recorded: the empty or the grand one
            is missing, or no size has two; BAD_GAME when a recorded utility is not finite.
    """
    n = recorded.evaluations().coalitions.shape[1]
    logs = [_log_binomial(n - 1, s) - (n - 1) * math.log(2) for s in range(n)]
    return _estimate(recorded, np.exp(logs), "banzhaf")


def estimate_beta_shapley(
    recorded: RecordedUtility, alpha: float, beta: float
) -> SemivalueEstimate:
    """Estimate Beta-Shapley values; alpha weights small coalitions, beta large ones.

    They are exact where every coalition was evaluated. Otherwise they, and their standard errors,
    hold when the coalitions of each size are a random sample: after the methods `permutation`,
    `antithetic`, `complementary` and `kriging`, and not after `truncated` or `grouped`. Sizes with
    fewer than two coalitions are interpolated between their neighbours, which no standard error
    shows. After `antithetic` the standard errors are too large, or infinite.

    Args:
        recorded: The utility, after an estimate.
        alpha: The first parameter of the beta distribution, above 0. With beta = 1: 1 gives Shapley
            values; Kwon and Zou recommend 4 and 16.
        beta: The second parameter of the beta distribution, above 0.

    Returns:
        The values with their standard errors.

    Raises:
        RefusalError: BAD_WEIGHTS when alpha or beta is not a number above 0; NOT_EVALUATED when too
            few coalitions are recorded: the empty or the grand one is missing, or no size has two;
            BAD_GAME when a recorded utility is not finite.
    """
    if not (0 < alpha < math.inf and 0 < beta < math.inf):
        raise RefusalError(
            ShapleyCode.BAD_WEIGHTS,
            f"alpha is {alpha} and beta {beta}; both must be finite numbers above 0",
            field="alpha",
            limit="above 0",
        )
    n = recorded.evaluations().coalitions.shape[1]
    whole = _log_beta(alpha, beta)
    logs = [
        _log_binomial(n - 1, s) + _log_beta(s + beta, n - 1 - s + alpha) - whole for s in range(n)
    ]
    return _estimate(recorded, np.exp(logs), f"beta({alpha:g}, {beta:g})")


def _estimate(recorded: RecordedUtility, weights: Floats, kind: str) -> SemivalueEstimate:
    evaluations = recorded.evaluations()
    # Logarithms of large factorials round: the weights are probabilities again after this.
    values, std_errors = estimate_from_sizes(evaluations, weights / weights.sum())
    return SemivalueEstimate(values, std_errors, evaluations.num_counted, kind)


def _log_binomial(n: int, s: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(s + 1) - math.lgamma(n - s + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
