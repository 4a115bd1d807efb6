"""What is assumed of a game before it is seen, up to numbers that are learned from it.

The game is a random function: any function of the coalition's size, plus an additive game, plus
for each degree d a random part whose variance at size s is

    exp(level_d + (a_0 + a_1 d) log(2 s / n) + (b_0 + b_1 d) log(2 (n - s) / n))

and whose correlation between sizes s and t falls with the distance of log(s / (n - s)) from
log(t / (n - t)), plus noise of each coalition's own with a variance of the same form. The noise is
a part of the game: where a coalition was evaluated, it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.johnson_polynomials import log_factorials

_LEVELS = np.array([-1.0, -2.0, -3.5, -5.0])
# a_0, a_1, b_0, b_1, log of the length; the noise's level and slopes; the additive game's level.
_OTHERS = np.array([0.0, -0.5, 0.0, 0.5, 0.7, -6.0, 0.0, 0.0, 0.0])
_OTHERS_WIDTHS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 4.0])
_LEAST_NOISE = 1e-7


def degrees_for(n: int) -> int:
    """Up to which degree interactions are told from noise: among many players only pairs."""
    return 4 if n <= 20 else 2


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers that are learned, as one vector: d levels, then as listed above."""

    degrees: int
    vector: Floats
    rough: float
    """The variance that neither sizes nor players explain: what the noise is small beside."""

    def variances(self, degree: int, sizes: Ints, n: int) -> Floats:
        """Of the part of one degree, at each size; without the additive game."""
        a0, a1, b0, b1 = self.vector[self.degrees : self.degrees + 4]
        first, last = slopes(sizes, n)
        rise = (a0 + a1 * degree) * first + (b0 + b1 * degree) * last
        return _exp(self.vector[degree - 1] + rise)

    def noise(self, sizes: Ints, n: int) -> Floats:
        """Variance of the noise, at each size; never quite nothing."""
        level, rise, fall = self.vector[self.degrees + 5 : self.degrees + 8]
        first, last = slopes(sizes, n)
        return _exp(level + rise * first + fall * last) + _LEAST_NOISE * self.rough

    def additive(self) -> float:
        """Variance of what a player adds whomever it joins."""
        return float(_exp(self.vector[-1:])[0])

    def length(self) -> float:
        """How far sizes are alike."""
        return float(np.exp(self.vector[self.degrees + 4]))

    def kinship(self, sizes: Ints, others: Ints, n: int) -> Floats:
        """Correlation between sizes, (k, l)."""
        kin: Floats = np.exp(-distances(sizes, others, n) / (2 * self.length() ** 2))
        return kin


def expected(degrees: int, rough: float, additive: float) -> tuple[Settings, Floats]:
    """The settings' likely values and how far they may be off, (p,).

    For worths of which sizes and players leave the variance ``rough``, a player adding something
    of the variance ``additive``.
    """
    centre = np.concatenate([_LEVELS[:degrees], _OTHERS])
    centre[:degrees] += np.log(rough)
    centre[degrees + 5] += np.log(rough)
    centre[-1] = np.log(additive)
    return Settings(degrees, centre, rough), np.append(np.full(degrees, 3.0), _OTHERS_WIDTHS)


@dataclass(frozen=True, slots=True)
class ValueCovariances:
    """How the Shapley values vary with the game: by size, and by noise.

    Player i's value is u(all) - u(empty) over n, plus what is described here.
    """

    additive: Floats
    """(k,): with the worth of a coalition of each of the k sizes, times 1[i in S] - s / n."""
    inside: Floats
    """(k,): with the noise of a coalition of that size with i in it; the noise's part."""
    outside: Floats
    """(k,): the same where i is not, to be taken away."""
    variance: float
    """Of each value, times 1[i = j] - 1 / n for two."""


def value_covariances(settings: Settings, sizes: Ints, n: int) -> ValueCovariances:
    """For the values of n players and coalitions of k sizes."""
    every = np.arange(1, n)
    weight_in, weight_out = _shapley_weights(every, n)
    deviation = np.sqrt(settings.variances(1, every, n) / (every * (n - every) / n))
    additive = deviation @ settings.kinship(every, every, n) * deviation / (n - 1)
    noise = settings.noise(every, n)
    loud = (noise * (weight_in + weight_out)).sum() / (n - 1)
    place = sizes - 1
    return ValueCovariances(
        additive[place] + settings.additive(),
        (weight_in * noise)[place],
        (weight_out * noise)[place],
        float(additive.sum() / (n - 1) + settings.additive() + loud),
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


def slopes(sizes: Ints, n: int) -> tuple[Floats, Floats]:
    """What the logarithms of variances rise with, by size: (k,), (k,)."""
    return np.log(2 * sizes / n), np.log(2 * (n - sizes) / n)


def distances(sizes: Ints, others: Ints, n: int) -> Floats:
    """Between sizes, squared: (k, l)."""
    x, y = (np.log(size / (n - size)) for size in (sizes, others))
    far: Floats = np.subtract.outer(x, y) ** 2
    return far


def _exp(values: Floats) -> Floats:
    """Neither overflows nor vanishes."""
    bounded: Floats = np.exp(np.clip(values, -60, 60))
    return bounded
