"""Record what a utility answered, so that other values can be computed from the same evaluations.

```python
recorded = shapley.RecordedUtility(utility)
estimate = shapley.estimate(recorded, n=16, budget=300)
banzhaf = shapley.estimate_banzhaf(recorded)
```
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.game import Utility


@dataclass(frozen=True, slots=True)
class Evaluations:
    """Coalitions that were evaluated and their utilities."""

    coalitions: Bools
    """(m, n), all different, in the order in which they were asked for."""
    utilities: Floats
    """(m,), in the utility's unit."""

    @property
    def num_counted(self) -> int:
        """Number of coalitions, not counting the empty and the grand one."""
        size = self.coalitions.sum(axis=1)
        return int(((size > 0) & (size < self.coalitions.shape[1])).sum())


class RecordedUtility:
    """A utility that remembers every answer, in the order of the questions.

    It asks the utility for each coalition once, however many estimates use it.

    Args:
        utility: Takes coalitions, bool (m, n), and returns m finite numbers.
    """

    def __init__(self, utility: Utility) -> None:
        self._utility = utility
        self._answers: dict[bytes, float] = {}
        self._num_players = 0

    def __call__(self, coalitions: Bools) -> Floats:
        """Return the utilities of coalitions; evaluate those that are new.

        Args:
            coalitions: bool (m, n), with the same n in each call; rows may repeat.

        Returns:
            float64 (m,).

        Raises:
            RefusalError: BAD_GAME when the number of players is not that of the first call, or the
                utility does not return one number for each coalition.
        """
        self._num_players = self._num_players or coalitions.shape[1]
        if coalitions.shape[1] != self._num_players:
            raise _bad_game(
                f"the coalitions have {coalitions.shape[1]} players, those recorded so far "
                f"{self._num_players}; record each game by itself"
            )
        keys = [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        new: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in self._answers:
                new.setdefault(key, row)
        if new:
            answers = np.asarray(self._utility(coalitions[list(new.values())]), np.float64)
            if answers.shape != (len(new),):
                raise _bad_game(
                    f"the utility answered with shape {answers.shape} to {len(new)} coalitions; "
                    "it must return one number for each"
                )
            self._answers.update(zip(new, answers.tolist(), strict=True))
        return np.array([self._answers[key] for key in keys], np.float64)

    def evaluations(self) -> Evaluations:
        """Return all that was evaluated so far.

        Returns:
            The coalitions with their utilities.

        Raises:
            RefusalError: NOT_EVALUATED when the empty or the grand coalition is missing, as before
                the first estimate; BAD_GAME when a utility is not finite.
        """
        width = (self._num_players + 7) // 8
        packed = np.frombuffer(b"".join(self._answers), np.uint8).reshape(-1, max(width, 1))
        unpacked = np.unpackbits(packed, axis=1, count=self._num_players)
        coalitions = unpacked.astype(np.bool_)
        utilities = np.array(list(self._answers.values()), np.float64)
        size = coalitions.sum(axis=1)
        if not ((size == 0).any() and (size == self._num_players).any() and self._num_players):
            raise RefusalError(
                ShapleyCode.NOT_EVALUATED,
                f"{len(utilities)} coalitions are recorded, without the empty or the grand one; "
                "pass this object to `estimate` first",
                field="recorded",
            )
        if not np.isfinite(utilities).all():
            raise _bad_game("a recorded utility is not finite")
        return Evaluations(coalitions, utilities)


def _bad_game(sentence: str) -> RefusalError:
    return RefusalError(ShapleyCode.BAD_GAME, sentence, field="utility")
