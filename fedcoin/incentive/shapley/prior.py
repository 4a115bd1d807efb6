"""What is assumed of a game before it is seen, up to numbers that are learned from it.

The game is a random function: any function of the coalition's size, plus any additive game, plus
for each degree d a random part whose variance at size s is

    exp(level_d + (a_0 + a_1 d) log(2 s / n) + (b_0 + b_1 d) log(2 (n - s) / n))

and whose correlation between sizes s and t falls with the distance of log(s / (n - s)) from
log(t / (n - t)), plus noise of each coalition's own with a variance of the same form. The noise is
a part of the game: where a coalition was evaluated, it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.incentive.layouts import Bools, Ints
from fedcoin.incentive.shapley.games import Floats
from fedcoin.incentive.shapley.zonal import log_factorials, zonal_tables

_LEVELS = np.array([-1.0, -2.0, -3.5, -5.0])
# a_0, a_1, b_0, b_1, log of the length, the noise's level and slopes.
_OTHERS = np.array([0.0, -0.5, 0.0, 0.5, 0.7, -6.0, 0.0, 0.0])
_OTHERS_WIDTHS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0])
_LEAST_NOISE = 1e-10


def degrees_for(n: int) -> int:
    """Up to which degree interactions are told from noise: among many players only pairs."""
    return 4 if n <= 20 else 2


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers that are learned, as one vector: d levels, then as listed above."""

    degrees: int
    vector: Floats

    def variances(self, degree: int, sizes: Ints, n: int) -> Floats:
        """Of the part of one degree, at each size."""
        a0, a1, b0, b1 = self.vector[self.degrees : self.degrees + 4]
        first, last = _slopes(sizes, n)
        rise = (a0 + a1 * degree) * first + (b0 + b1 * degree) * last
        return _exp(self.vector[degree - 1] + rise)

    def noise(self, sizes: Ints, n: int, scale: float = 1.0) -> Floats:
        """Variance of the noise, at each size; never quite nothing."""
        level, rise, fall = self.vector[self.degrees + 5 :]
        first, last = _slopes(sizes, n)
        return _exp(level + rise * first + fall * last) + _LEAST_NOISE * scale

    def kinship(self, sizes: Ints, others: Ints, n: int) -> Floats:
        """Correlation between sizes, (k, l)."""
        length = np.exp(self.vector[self.degrees + 4])
        kin: Floats = np.exp(-_distances(sizes, others, n) / (2 * length**2))
        return kin


def expected(degrees: int, rough: float) -> tuple[Floats, Floats]:
    """The settings' likely values and how far they may be off, for residuals of this variance."""
    centre = np.concatenate([_LEVELS[:degrees], _OTHERS])
    centre[:degrees] += np.log(rough)
    centre[degrees + 5] += np.log(rough)
    return centre, np.concatenate([np.full(degrees, 3.0), _OTHERS_WIDTHS])


class Covariances:
    """Covariances between given coalitions (m, n), none of them empty or grand."""

    def __init__(self, coalitions: Bools, degrees: int, scale: float) -> None:
        self.n = coalitions.shape[1]
        self.scale = scale
        members = coalitions.astype(np.float64)
        count = members.sum(axis=1).astype(np.int64)
        self.sizes, self.size_of = np.unique(count, return_inverse=True)
        self._pick = (self.size_of[:, None], self.size_of[None, :])
        overlap = np.rint(members @ members.T).astype(np.int64)
        tables = zonal_tables(self.n, self.sizes, degrees)
        self._zonal = [table[self._pick[0], self._pick[1], overlap] for table in tables]

    def matrix(self, settings: Settings) -> Floats:
        """(m, m), the noise included; not the size's own function nor the additive game."""
        total: Floats = np.sum(self._parts(settings), axis=0)
        total[np.diag_indices_from(total)] += self.noise(settings)
        return total

    def noise(self, settings: Settings) -> Floats:
        """(m,)."""
        return settings.noise(self.sizes, self.n, self.scale)[self.size_of]

    def derivatives(self, settings: Settings) -> list[Floats]:
        """Of the matrix by each setting; those of diagonal ones are vectors (m,)."""
        parts = self._parts(settings)
        first, last = (slope[self.size_of] for slope in _slopes(self.sizes, self.n))
        first_mean, last_mean = ((slope[:, None] + slope[None, :]) / 2 for slope in (first, last))
        whole = np.sum(parts, axis=0)
        heavy = np.sum([degree * part for degree, part in enumerate(parts, 1)], axis=0)
        length = np.exp(settings.vector[settings.degrees + 4])
        far = _distances(self.sizes, self.sizes, self.n)[self._pick] / length**2
        noise = self.noise(settings)
        return [
            *parts,
            whole * first_mean,
            heavy * first_mean,
            whole * last_mean,
            heavy * last_mean,
            whole * far,
            noise,
            noise * first,
            noise * last,
        ]

    def _parts(self, settings: Settings) -> list[Floats]:
        kin = settings.kinship(self.sizes, self.sizes, self.n)
        parts = []
        for degree, zonal in enumerate(self._zonal, 1):
            deviation = np.sqrt(settings.variances(degree, self.sizes, self.n))
            parts.append((np.multiply.outer(deviation, deviation) * kin)[self._pick] * zonal)
        return parts


@dataclass(frozen=True, slots=True)
class ValueCovariances:
    """How the Shapley values vary with the game: by size, and by noise.

    Player i's value is u(all) - u(empty) over n, plus its share of the additive game, plus what is
    described here.
    """

    additive: Floats
    """(k,): with the worth of a coalition of each of the k sizes, times 1[i in S] - s / n."""
    inside: Floats
    """(k,): with the noise of a coalition of that size with i in it; the noise's part."""
    outside: Floats
    """(k,): the same where i is not, to be taken away."""
    variance: float
    """Of each value, times 1[i = j] - 1 / n for two."""


def value_covariances(settings: Settings, sizes: Ints, n: int, scale: float) -> ValueCovariances:
    """For the values of n players and coalitions of k sizes."""
    every = np.arange(1, n)
    weight_in, weight_out = _shapley_weights(every, n)
    deviation = np.sqrt(settings.variances(1, every, n) / (every * (n - every) / n))
    own = np.sqrt(settings.variances(1, sizes, n) / (sizes * (n - sizes) / n))
    kin = settings.kinship(every, sizes, n)
    additive = deviation @ kin * own / (n - 1)
    noise = settings.noise(every, n, scale)
    both = deviation @ settings.kinship(every, every, n) @ deviation / (n - 1) ** 2
    loud = (noise * (weight_in + weight_out)).sum() / (n - 1)
    place = sizes - 1
    return ValueCovariances(
        additive, (weight_in * noise)[place], (weight_out * noise)[place], float(both + loud)
    )


def _shapley_weights(sizes: Ints, n: int) -> tuple[Floats, Floats]:
    """What a coalition of each size counts in a member's value, and against another's."""
    logs = log_factorials(n)
    inside = np.exp(logs[sizes - 1] + logs[n - sizes] - logs[n])
    outside = np.exp(logs[sizes] + logs[n - 1 - sizes] - logs[n])
    return inside, outside


def shapley_weights(coalitions: Bools) -> Floats:
    """(m, n): what a coalition's worth counts in each player's value; none is empty or grand."""
    n = coalitions.shape[1]
    inside, outside = _shapley_weights(coalitions.sum(axis=1), n)
    return np.where(coalitions, inside[:, None], -outside[:, None])


def _slopes(sizes: Ints, n: int) -> tuple[Floats, Floats]:
    return np.log(2 * sizes / n), np.log(2 * (n - sizes) / n)


def _distances(sizes: Ints, others: Ints, n: int) -> Floats:
    """Squared."""
    x, y = (np.log(size / (n - size)) for size in (sizes, others))
    far: Floats = np.subtract.outer(x, y) ** 2
    return far


def _exp(values: Floats) -> Floats:
    """Neither overflows nor vanishes."""
    bounded: Floats = np.exp(np.clip(values, -60, 60))
    return bounded
