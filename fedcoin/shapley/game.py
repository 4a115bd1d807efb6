"""A cooperative game behind a memo: every coalition is asked for once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.errors import ShapleyCode

Utility = Callable[[Bools], ArrayLike]
"""Takes coalitions, bool (m, n), and returns what they are worth, m numbers."""


class Game:
    """A utility over ``players`` players, with a memo and a count of what it was asked for.

    ``empty`` and ``grand`` are asked for at once and not counted.
    """

    def __init__(self, utility: Utility, players: int) -> None:
        self._utility = utility
        self.players = players
        self._memo: dict[bytes, float] = {}
        self._free = 0
        self.empty, self.grand = self.values(
            np.array([[False] * players, [True] * players])
        ).tolist()
        self._free = len(self._memo)

    @property
    def evaluations(self) -> int:
        """Distinct coalitions asked for so far, besides the empty and the grand one."""
        return len(self._memo) - self._free

    def values(self, coalitions: Bools) -> Floats:
        """Worth of each row of ``coalitions`` (m, n): float64 (m,).

        Raises ``Refusal`` BAD_GAME when the utility does not answer with m finite numbers.
        """
        keys = [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        fresh: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in self._memo:
                fresh.setdefault(key, row)
        if fresh:
            answers = self._ask(coalitions[list(fresh.values())])
            self._memo.update(zip(fresh, answers.tolist(), strict=True))
        return np.array([self._memo[key] for key in keys], dtype=np.float64)

    def _ask(self, coalitions: Bools) -> Floats:
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
