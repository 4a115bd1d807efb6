"""Estimate Shapley values of a game with the library; no chain, NumPy alone.

    python examples/shapley_values.py

The game: 15 members of a council vote. Five permanent members have a veto, and a motion needs nine
votes. The value of a member is the probability that its vote decides, over all orders of voting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedcoin import shapley

PERMANENT, MEMBERS, VOTES_NEEDED = 5, 15, 9


def utility(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Tell which coalitions pass a motion.

    Args:
        coalitions: Shape (m, 15): the members of each coalition, permanent members first.

    Returns:
        Shape (m,): 1 for a coalition that passes a motion, 0 for another.
    """
    no_veto = coalitions[:, :PERMANENT].all(axis=1)
    enough = coalitions.sum(axis=1) >= VOTES_NEEDED
    passes: NDArray[np.float64] = (no_veto & enough).astype(np.float64)
    return passes


def main() -> None:
    """Compute the exact values, then estimate them from 500 evaluations."""
    exact = shapley.estimate(utility, n=MEMBERS, method="exact")
    sampled = shapley.estimate(utility, n=MEMBERS, method="complementary", budget=500, seed=1)
    for estimate in (exact, sampled):
        permanent, other = estimate.values[0], estimate.values[-1]
        error = estimate.std_errors[0]
        print(
            f"{estimate.method}: {estimate.evaluations} evaluations, "
            f"permanent member {permanent:.4f} (standard error {error:.4f}), other {other:.4f}"
        )


if __name__ == "__main__":
    main()
