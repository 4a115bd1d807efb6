"""Complementary contributions: what a coalition is worth more than all the others together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fedcoin.incentive.layouts import Bools
from fedcoin.incentive.shapley.games import Floats, Game
from fedcoin.incentive.shapley.result import Estimate, need
from fedcoin.incentive.shapley.sampling import draw, pairs_in, spread


@dataclass(slots=True)
class _Stratum:
    """Pairs of coalitions of one size, up to n / 2, and their complements."""

    size: int
    pairs: int
    order: Bools
    """The pairs in the order in which they are used; more are drawn than may be needed."""
    used: int = 0
    gaps: list[Floats] = field(default_factory=list)

    def terms(self, n: int) -> Floats:
        """(m, n): their mean estimates the stratum's part of n times the values."""
        gaps = np.concatenate(self.gaps)
        rows = self.order[: self.used]
        halves = 2 * self.size == n
        # Both halves of a pair are equally likely to come first: their gaps' mean is zero.
        centred = gaps if halves else gaps - gaps.mean()
        # What centring by the sample's own mean took away.
        loss = 1.0 if halves else self.used / max(self.used - 1, 1) * (1 - 1 / self.pairs)
        if self.used == self.pairs:
            loss = 1.0
        scale = n * n / (self.size * (n - self.size)) * loss / (2 if halves else 1)
        spread_out: Floats = centred[:, None] * (rows - self.size / n) * scale
        return spread_out


def complementary(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Stratified complementary contributions (Zhang et al., SIGMOD 2023, CC-Shapley).

    One pair, u(S) - u(N without S), tells something about every player. Pairs are drawn by size
    without replacement, half of them evenly, the others where the first half varied most (Neyman's
    allocation). Raises ``Refusal`` BAD_BUDGET for fewer than two pairs for each size.
    """
    n = game.players
    sizes = range(1, n // 2 + 1)
    counts = [pairs_in(n, size) for size in sizes]
    need(budget, 2 * sum(min(2, count) for count in counts), "complementary")
    total = min(budget // 2, sum(counts))
    least = [min(2, count) for count in counts]
    most = max(8, 6 * total // max(len(counts), 1))
    room = [min(count, most) - few for count, few in zip(counts, least, strict=True)]
    first = spread(max(total // 2 - sum(least), 0), room, [1.0] * len(counts))
    first = [few + more for few, more in zip(least, first, strict=True)]
    strata = [
        _Stratum(size, count, draw(n, size, min(count, most), rng))
        for size, count in zip(sizes, counts, strict=True)
    ]
    for stratum, count in zip(strata, first, strict=True):
        _use(game, stratum, count)
    spreads = [float(np.sqrt(stratum.terms(n).var(axis=0).sum())) + 1e-12 for stratum in strata]
    room = [len(stratum.order) - stratum.used for stratum in strata]
    second = spread(total - sum(first), room, _wanted(spreads, first, total))
    for stratum, count in zip(strata, second, strict=True):
        _use(game, stratum, count)
    values = np.full(n, (game.grand - game.empty) / n)
    variances = np.zeros(n)
    for stratum in strata:
        terms = stratum.terms(n)
        values += terms.mean(axis=0) / n
        if stratum.used < stratum.pairs:
            left = 1 - stratum.used / stratum.pairs
            few = (stratum.used - 1) or 1
            variances += terms.var(axis=0) / few * left * (1 + 1.21 / few) ** 2 / n**2
    return Estimate(values, np.sqrt(variances), game.evaluations, "complementary")


def _wanted(spreads: list[float], first: list[int], total: int) -> list[float]:
    """How many more each stratum should get for the whole to be in proportion to the spreads."""
    share = total / sum(spreads)
    return [max(spread * share - have, 1e-9) for spread, have in zip(spreads, first, strict=True)]


def _use(game: Game, stratum: _Stratum, count: int) -> None:
    if count:
        rows = stratum.order[stratum.used : stratum.used + count]
        both = game.values(np.concatenate([rows, ~rows]))
        stratum.gaps.append(both[:count] - both[count:])
        stratum.used += count
