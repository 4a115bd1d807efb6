"""What the schedules have in common: how a leaf's utilities become a vector.

A layout knows, for one schedule and one miner, which coalitions a leaf holds and how much each of
their utilities is worth to each client. Everything is in whole numbers: sums over leaves are S
times ``denominator``. Arrays over leaves are called with ``indices`` of shape (N,).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Layout(Protocol):
    """How one schedule lays coalitions out in leaves."""

    @property
    def leaf_length(self) -> int:
        """Utilities in a leaf, m."""

    @property
    def cycle_length(self) -> int:
        """Leaves in a row that make up for each other's error, from multiples of this on."""

    @property
    def pair_length(self) -> int:
        """Leaves in a row that belong together most closely: 1 where each stands alone."""

    def denominator(self, samples: int) -> int:
        """By what the total of ``samples`` leaves is divided to give S in right answers."""

    def evaluations(self, samples: int) -> int:
        """How many coalitions ``samples`` leaves stand for."""

    def coalitions(self, index: int) -> Bools:
        """The coalitions of leaf ``index``: (m, n), true where the client takes part."""

    def mask_implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """Which of ``utilities`` (N, m) nobody evaluates since the rest defines them: (N, m)."""

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """What those are: (N, m), of meaning only where ``implied`` is true."""

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """The leaves' vectors: (N, n) from canonical utilities (N, m)."""

    def sum_bounds(
        self, first: Ints, count: Ints, size: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """Lowest and highest sum of each group of ``count`` leaves from ``first``: (S, n) each.

        Holds for any utilities from 0 to ``size``. No value passes 2**62 for plans in range.
        """

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """What the clients' sums of such a group add up to, whatever the utilities: (S,)."""
