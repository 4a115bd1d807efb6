"""A cooperative game with a memo: the utility is asked for every coalition once.

Estimators see utilities relative to the empty coalition's, in a unit that is a power of two:

    (u(S) - u(empty)) / 2^e

A constant that is added to all utilities therefore costs no more precision than it cost the
utility, and squares neither overflow nor vanish. The exponent e is 0 unless the utilities are
extremely large or small. Division by a power of two rounds nothing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.errors import ShapleyCode

Utility = Callable[[Bools], ArrayLike]
"""Takes coalitions, bool (m, n), and returns their utilities, m finite numbers."""

_MAX_EXPONENT = 300
"""Utilities above 2^300 units, or all below 2^-300 units, need another unit."""
_MAX_CALL_PAIRS = 1 << 13
"""The most pairs for which the utility is asked at once, to bound the memory of a call."""
_ROUNDING_UNITS = 8
"""Rounding errors to expect of a utility function, in units of its largest answer's last place."""


class UnitError(Exception):
    """A utility is too large for the game's unit. `Game.in_fitting_unit` chooses another unit."""


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
        exponent: e; the unit is 2^e.
        empty: The utility of no player in that unit, relative to itself: 0.
        grand: The utility of all players in that unit, relative to that of none.
    """

    def __init__(self, utility: Utility, players: int) -> None:
        self._utility = utility
        self.players = players
        self._memo: dict[bytes, float] = {}
        self._earlier: dict[bytes, float] = {}
        self._ends = self._recall(np.array([[False] * players, [True] * players]))
        self._uncounted = len(self._memo)
        self._set_exponent(_choose_exponent(float(np.abs(self._ends).max())))

    @property
    def evaluations(self) -> int:
        """Number of distinct coalitions evaluated, not counting the empty and the grand one."""
        return len(self._memo) - self._uncounted

    @property
    def rounding(self) -> float:
        """The rounding error to expect of a utility so far, in the game's unit."""
        return _ROUNDING_UNITS * math.ldexp(self._largest() * 2.0**-52, -self.exponent)

    def in_fitting_unit(self) -> Game:
        """Return this game in a unit that fits all utilities of the memo.

        Returns:
            This object when its unit fits. Otherwise a new one that counts from 0, but asks the
            utility for no coalition that is in this one's memo.
        """
        exponent = _choose_exponent(self._largest())
        if exponent == self.exponent:
            return self
        game = copy.copy(self)
        game._earlier = self._earlier | self._memo
        game._memo = dict(list(self._memo.items())[: self._uncounted])
        game._set_exponent(exponent)
        return game

    def values(self, coalitions: Bools) -> Floats:
        """Return the utilities of coalitions; evaluate only those that are not in the memo.

        Args:
            coalitions: bool (m, n); rows may repeat.

        Returns:
            float64 (m,), relative to the empty coalition's, in the game's unit.

        Raises:
            RefusalError: BAD_GAME when the utility does not answer with one finite number for each
                coalition.
            UnitError: A utility is too large for the unit.
        """
        answers = self._recall(coalitions)
        largest = float(np.abs(answers).max(initial=0.0))
        if largest and math.frexp(largest)[1] > self.exponent + _MAX_EXPONENT:
            raise UnitError
        relative: Floats = np.ldexp(answers, -self.exponent) - self._origin
        return relative

    def pair_values(self, strata: Sequence[Bools]) -> list[Floats]:
        """Return the utilities of coalitions and of their complements, in as few calls as possible.

        Many coalitions at once cost a utility less than the same ones in parts: it may share work
        among them, or spread them over processes.

        Args:
            strata: Coalitions of each stratum, bool (q, n), with a q of its own for each.

        Returns:
            For each stratum float64 (2, q), as of `values`: of the coalitions and of their
            complements.

        Raises:
            RefusalError: BAD_GAME when the utility does not answer with one finite number for each
                coalition.
            UnitError: A utility is too large for the unit.
        """
        if not strata:
            return []
        rows = np.concatenate(strata)
        worth = np.empty((2, len(rows)))
        for start in range(0, len(rows), _MAX_CALL_PAIRS):
            part = rows[start : start + _MAX_CALL_PAIRS]
            answers = self.values(np.concatenate([part, ~part]))
            worth[:, start : start + len(part)] = answers.reshape(2, -1)
        return np.split(worth, np.cumsum([len(stratum) for stratum in strata])[:-1], axis=1)

    def _set_exponent(self, exponent: int) -> None:
        self.exponent = exponent
        origin, grand = np.ldexp(self._ends, -exponent).tolist()
        self._origin = origin
        self.empty, self.grand = 0.0, grand - origin

    def _largest(self) -> float:
        return max(map(abs, (*self._memo.values(), *self._earlier.values())))

    def _recall(self, coalitions: Bools) -> Floats:
        """Return the utility function's own answers, from the memo where it has them."""
        keys = [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        unknown: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in self._memo:
                unknown.setdefault(key, row)
        for key in [key for key in unknown if key in self._earlier]:
            self._memo[key] = self._earlier[key]
            del unknown[key]
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


def _choose_exponent(largest: float) -> int:
    """Choose the unit's exponent for utilities of this size at most."""
    exponent = math.frexp(largest)[1]
    return exponent if abs(exponent) > _MAX_EXPONENT else 0
