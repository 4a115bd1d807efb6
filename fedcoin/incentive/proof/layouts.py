"""The interface of all schedules: which coalitions a leaf holds, and how utilities become values.

Notation of this folder:

    n        number of clients
    N        number of leaves, the samples of one miner
    m        number of coalitions in a leaf, `leaf_length`
    G        number of groups of consecutive leaves: the leaves below G nodes of the tree
    E        the largest utility: with the accuracy, the examples in the evaluation set
    u(T)     utility of coalition T on the evaluation set, 0 to E, in units of 1
    grand    u(all clients); empty: u(no client)
    v_j      vector of leaf j, (n,) integers: what its utilities contribute to each client
    S        Shapley values in units of the utility, S = (sum of all v_j) / `denominator`

A layout says, for one schedule and one miner, which coalitions a leaf holds and how their
utilities give v_j. Everything is an integer, so that all nodes compute the same sums. Whatever
the utilities are, the vectors of a group of leaves have bounds (`sum_bounds`) and add up over the
clients to a known number (`efficiency_sums`); evidence is checked against both.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
"""Counts, sums and indices."""
Bools = NDArray[np.bool_]
"""Masks, and coalitions as rows of memberships."""


class Layout(Protocol):
    """The coalitions of each leaf, and the vectors that follow, for one schedule and one miner."""

    @property
    def leaf_length(self) -> int:
        """Number of utilities in a leaf, m."""

    @property
    def cycle_length(self) -> int:
        """Number of consecutive leaves whose errors partly cancel, counted from leaf 0.

        A multiple of it is the best number of samples.
        """

    @property
    def pair_length(self) -> int:
        """2 when leaves 2j and 2j + 1 are a walk and its reverse, otherwise 1."""

    def denominator(self, samples: int) -> int:
        """Return the divisor that turns the sum of all leaves' vectors into Shapley values.

        Args:
            samples: Number of leaves, N.

        Returns:
            A positive integer. The sum divided by it is in units of the utility.
        """

    def evaluations(self, samples: int) -> int:
        """Count the utilities that a number of leaves hold.

        Args:
            samples: Number of leaves, N.

        Returns:
            The number of utilities in them, those that the schedule defines included.
        """

    def coalitions(self, index: int) -> Bools:
        """List the coalitions of a leaf.

        Args:
            index: The leaf, from 0.

        Returns:
            bool (m, n), true where the client takes part.
        """

    def mask_implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """Mark the utilities that the schedule defines, so that they need no evaluation.

        Args:
            indices: The leaves, int64 (N,).
            utilities: The utilities of each leaf's m coalitions, int64 (N, m). Those
                that the schedule defines may have any value.
            grand: u(all clients), in units of the utility.
            truncation: Distance from `grand`, in units of the utility, at which a walk is cut off.

        Returns:
            bool (N, m), true where the utility follows from the schedule, `grand`, the empty
            coalition's utility and the utilities before it.
        """

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """Compute the utilities that the schedule defines.

        Args:
            indices: The leaves, int64 (N,).
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            int64 (N, m). Only the numbers for which `mask_implied` is true have a meaning.
        """

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """Compute the vectors that leaves contribute to the clients' values.

        Args:
            indices: The leaves, int64 (N,).
            utilities: The utilities of each leaf's m coalitions, int64 (N, m), including
                those that the schedule defines.
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The vectors, int64 (N, n).
        """

    def sum_bounds(
        self, first: Ints, count: Ints, max_utility: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """Bound the sum of the leaves' vectors in each group of consecutive leaves.

        A leaf is one sample of a miner; its vector has one number for each client.

        Args:
            first: First leaf of each group, int64 (G,).
            count: Number of leaves of each group, int64 (G,).
            max_utility: E; utilities are from 0 to E.
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The lowest and the highest possible sums, shape (G, n) each. Their absolute values are
            below 2**62 for every plan within the limits of `SamplingPlan`.
        """

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """Predict the total, over all clients, of the vectors in each group of leaves.

        The total depends on `grand` and `empty` alone, not on the other utilities, because Shapley
        values are efficient: they add up to `grand` - `empty`. A miner's sums are checked against
        it.

        Args:
            first: First leaf of each group, int64 (G,).
            count: Number of leaves of each group, int64 (G,).
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The totals, int64 (G,), in the unit of the vectors.
        """
