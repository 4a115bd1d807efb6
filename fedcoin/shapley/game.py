"""A cooperative game with a memo: the utility is asked for every coalition once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.errors import ShapleyCode

Utility = Callable[[Bools], ArrayLike]
"""Takes coalitions, bool (m, n), and returns their utilities, m finite numbers."""


class Game:
    """A utility over a number of players, with a memo and a count of its evaluations.

    The empty and the grand coalition are evaluated at once and not counted.

    Args:
        utility: Takes coalitions, bool (m, players), and returns m finite numbers.
        players: Number of players, n; at least 1.

    Raises:
        RefusalError: BAD_GAME when the utility does not answer with finite numbers.

    Attributes:
        players: Number of players, n.
        empty: u(no player).
        grand: u(all players).
    """

    def __init__(self, utility: Utility, players: int) -> None:
        self._utility = utility
        self.players = players
        self._memo: dict[bytes, float] = {}
        self._uncounted = 0
        self.empty, self.grand = self.values(
            np.array([[False] * players, [True] * players])
        ).tolist()
        self._uncounted = len(self._memo)

    @property
    def evaluations(self) -> int:
        """Number of distinct coalitions evaluated, not counting the empty and the grand one."""
        return len(self._memo) - self._uncounted

    def values(self, coalitions: Bools) -> Floats:
        """Return the utilities of coalitions; evaluate only those that are not in the memo.

        Args:
            coalitions: bool (m, n); rows may repeat.

        Returns:
            float64 (m,), in the utility's unit.

        Raises:
            RefusalError: BAD_GAME when the utility does not answer with one finite number for each
                coalition.
        """
        keys = [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        unknown: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in self._memo:
                unknown.setdefault(key, row)
        if unknown:
            answers = self._evaluate(coalitions[list(unknown.values())])
            self._memo.update(zip(unknown, answers.tolist(), strict=True))
        return np.array([self._memo[key] for key in keys], dtype=np.float64)

    def _evaluate(self, coalitions: Bools) -> Floats:
        answers = np.asarray(self._utility(coalitions), dtype=np.float64)
        if answers.shape != (len(coalitions),):
            raise RefusalError(
                ShapleyCode.BAD_GAME,
                f"the utility answered with shape {answers.shape} to {len(coalitions)} coalitions;"
                " it must return one number for each",
                field="utility",
            )
        if not np.isfinite(answers).all():
            row = int(np.flatnonzero(~np.isfinite(answers))[0])
            raise RefusalError(
                ShapleyCode.BAD_GAME,
                f"the utility answered {answers[row]} for coalition"
                f" {np.flatnonzero(coalitions[row]).tolist()}; it must be finite",
                field="utility",
            )
        return answers
