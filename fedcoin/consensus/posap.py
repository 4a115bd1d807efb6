"""Proof of Shapley: the agreed vector, the inliers, the winner, and the difficulty.

In the paper (arXiv:2002.11711, algorithms 1 and 2) each miner compares its vector with the mean of
the vectors it has received. Here all vectors are on the chain before any is judged, and every node
computes the same outcome from them, in integers.

Notation: miner m has power p_m (its bond in sap when the task was opened), proved n_m samples, and
revealed the vector S_m, shape (clients,), in nano-utility (1e-9 of a utility). D is the difficulty,
in nano-utility.

1. The median, coordinate by coordinate, weighted by power; half-way between the lower and the upper
   weighted median. Miners with less than half of the power cannot move it outside the range of the
   other miners' values.
2. The inliers: miners whose vector is within D of the median in L2 norm, and that proved at least
   `min_samples_percent` of the median of n_m, also weighted by power. They must hold more than half
   of the power that revealed; otherwise there is no outcome.
3. The agreed vector (S-bar): the mean of the inliers' vectors, weighted by w_m, rounded to whole
   nano-utility by largest remainder. So its sum is the rounded mean of the inliers' sums
   (efficiency), and no coordinate leaves the range of the inliers' values. The weight
   w_m = p_m min(n_m, median of n_m) is also what miners are paid by (`weigh_work`).
4. The winner: the inlier whose vector is closest to the unrounded mean; of several, the one with
   the highest score (`draw_scores`), which is drawn from the challenge and weighted by power. Under
   SCHEDULE_EXACT all inliers computed the same sums, and what differs is floating point on their
   computers, so all inliers tie. They also tie where the winner receives the whole mining price:
   to be closest would pay for addresses and not for power (docs/adr/0026).

Why a share of the median number of samples: with a wide D, a vector of a few samples is within D,
too, and a miner may stop at any number that suits it. Miners with less than half of the power can
raise the bar no higher than that share of the largest honest number, and lower it no lower than
that share of the smallest. A vector below the bar still counts in both medians: power votes there,
not work, and without it the remaining miners could have another majority.

Why no more samples than the median count: a miner that goes on when the others stop would be paid
for work that nobody needs, and where there are few clients it has evaluated all coalitions after a
while, so that further samples cost it nothing. Why power counts beside samples: any number of keys
can prove as many samples as one, and an owner could let those alone commit whose vectors suit it
(docs/adr/0078).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

from fedcoin.incentive.draw_scores import compute_score
from fedcoin.incentive.rounding import round_to_sum


@dataclass(frozen=True, slots=True)
class Reveal:
    """One miner's proved result for a task."""

    miner: bytes
    """The miner's address, 20 bytes."""
    power: int
    """The miner's power in the task in sap, at least 1."""
    samples: int
    """The number of samples that the miner proved, at least 1."""
    shapley_nano: tuple[int, ...]
    """The miner's vector: one Shapley value for each client, in nano-utility."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ledger pays by, once a task's miners have proved their vectors."""

    mean_shapley_nano: tuple[int, ...]
    """The agreed vector (S-bar): one Shapley value for each client, in nano-utility."""
    winner: bytes
    """The winner's address, 20 bytes."""
    winner_shapley_nano: tuple[int, ...]
    """The winner's vector, in nano-utility."""
    inliers: tuple[bytes, ...]
    """The inliers' addresses, 20 bytes each, in rising order."""


def compute_outcome(
    reveals: Sequence[Reveal],
    difficulty_nano: int,
    challenge: bytes,
    is_drawn: bool,
    *,
    min_samples_percent: int,
) -> Outcome | None:
    """Compute the outcome of a task.

    Whether enough miners revealed is decided by the contract layer.

    Args:
        reveals: What the miners revealed, in any order.
        difficulty_nano: D, the largest L2 distance of an inlier from the median, in nano-utility.
        challenge: The task's challenge, 32 bytes.
        is_drawn: Whether the winner is drawn among all inliers: under SCHEDULE_EXACT, and where the
            winner receives the whole mining price.
        min_samples_percent: The share of the median number of samples that an inlier must have
            proved, 1 to 100.

    Returns:
        The outcome, or None when there are no reveals, or the inliers hold half of the power or
        less.

    Raises:
        ValueError: When a miner is listed twice, vectors differ in length, or a power or number
            of samples is not positive. The contract layer admits no such reveals.
    """
    ordered = _check_and_sort(reveals)
    doubled_median = _doubled_median(ordered)
    min_samples = _min_samples(ordered, min_samples_percent)
    inliers = [
        r
        for r in ordered
        if r.samples >= min_samples and _is_within(r.shapley_nano, doubled_median, difficulty_nano)
    ]
    if 2 * sum(r.power for r in inliers) <= sum(r.power for r in ordered):
        return None
    weights = weigh_work({r.miner: (r.power, r.samples) for r in ordered})
    sums, weight = _weighted_sums(inliers, weights)
    best = inliers if is_drawn else _closest(inliers, sums, weight)
    # No two miners have the same address, so that the last key decides every tie.
    winner = min(best, key=lambda r: (-compute_score(challenge, r.miner, r.power), r.miner))
    return Outcome(
        mean_shapley_nano=round_to_sum(sums, weight),
        winner=winner.miner,
        winner_shapley_nano=winner.shapley_nano,
        inliers=tuple(r.miner for r in inliers),
    )


def weigh_work(proved: Mapping[bytes, tuple[int, int]]) -> dict[bytes, int]:
    """Weigh what miners proved, for the agreed vector and for their pay.

    Args:
        proved: Power in sap and number of samples, both at least 1, of each miner that revealed, by
            address.

    Returns:
        By address, the power times the number of samples, of which no more count than the lower
        median of all numbers, weighted by power.
    """
    median = _median_samples(*zip(*proved.values(), strict=True)) if proved else 0
    return {miner: power * min(samples, median) for miner, (power, samples) in proved.items()}


def retarget(
    difficulty_nano: int, elapsed_ms: int, target_ms: int, minimum: int, maximum: int
) -> int:
    """Compute the next D: D x sqrt(elapsed / target), within [D / 2, 2 D] and the limits.

    The samples that a miner needs grow with 1 / D^2, so this brings the next task to the target
    in one step, unless a limit prevents it.

    Args:
        difficulty_nano: The D of the settled task, in nano-utility.
        elapsed_ms: How long the task took from opening to settlement, in ms.
        target_ms: How long a task is meant to take, in ms.
        minimum: The smallest D allowed, in nano-utility.
        maximum: The largest D allowed, in nano-utility.

    Returns:
        The next D in nano-utility, rounded down.

    Raises:
        ValueError: When the target or a limit is not positive, or the limits are out of order.
    """
    if target_ms <= 0 or not 0 < minimum <= maximum:
        raise ValueError("the target and the limits of D must be positive and in order")
    wanted = isqrt(difficulty_nano * difficulty_nano * max(elapsed_ms, 0) // target_ms)
    stepped = min(max(wanted, (difficulty_nano + 1) // 2), 2 * difficulty_nano)
    return min(max(stepped, minimum), maximum)


def _check_and_sort(reveals: Sequence[Reveal]) -> list[Reveal]:
    ordered = sorted(reveals, key=lambda reveal: reveal.miner)
    if len({reveal.miner for reveal in ordered}) != len(ordered):
        raise ValueError("a miner is listed twice")
    if len({len(reveal.shapley_nano) for reveal in ordered}) > 1:
        raise ValueError("the vectors of a task must have the same length")
    if any(reveal.power <= 0 or reveal.samples <= 0 for reveal in ordered):
        raise ValueError("a reveal's power and number of samples must be positive")
    return ordered


def _min_samples(reveals: Sequence[Reveal], percent: int) -> int:
    """Compute a share of the lower median of the numbers of samples, rounded up; 0 for none.

    Miners with more than half of the power have that median or more, so this bar alone never
    prevents an outcome.
    """
    if not reveals:
        return 0
    powers, samples = [r.power for r in reveals], [r.samples for r in reveals]
    return -(-percent * _median_samples(powers, samples) // 100)


def _median_samples(powers: Sequence[int], samples: Sequence[int]) -> int:
    """Return the lowest number of samples at which half of the power is reached."""
    return _medians(samples, powers)[0]


def _doubled_median(reveals: Sequence[Reveal]) -> tuple[int, ...]:
    """Compute twice the power-weighted median of each coordinate, which is an integer."""
    columns = zip(*(reveal.shapley_nano for reveal in reveals), strict=True)
    powers = [reveal.power for reveal in reveals]
    return tuple(sum(_medians(column, powers)) for column in columns)


def _medians(values: Sequence[int], powers: Sequence[int]) -> tuple[int, int]:
    """Return the lower and the upper weighted median: half the power is reached, and exceeded."""
    total, below = sum(powers), 0
    lower: int | None = None
    for value, power in sorted(zip(values, powers, strict=True)):
        below += power
        if lower is None and 2 * below >= total:
            lower = value
        if lower is not None and 2 * below > total:
            return lower, value
    raise ValueError("no values have no median")


def _is_within(vector: Sequence[int], doubled_median: Sequence[int], distance: int) -> bool:
    squares = ((2 * v - c) ** 2 for v, c in zip(vector, doubled_median, strict=True))
    return sum(squares) <= (2 * distance) ** 2


def _weighted_sums(
    inliers: Sequence[Reveal], weights: Mapping[bytes, int]
) -> tuple[tuple[int, ...], int]:
    """Compute the weighted mean as a fraction: numerators, and their common denominator."""
    weight = sum(weights[reveal.miner] for reveal in inliers)
    rows = [[weights[reveal.miner] * value for value in reveal.shapley_nano] for reveal in inliers]
    return tuple(sum(column) for column in zip(*rows, strict=True)), weight


def _closest(inliers: Sequence[Reveal], sums: Sequence[int], weight: int) -> list[Reveal]:
    distances = [
        sum((weight * v - s) ** 2 for v, s in zip(reveal.shapley_nano, sums, strict=True))
        for reveal in inliers
    ]
    smallest = min(distances)
    return [r for r, distance in zip(inliers, distances, strict=True) if distance == smallest]
