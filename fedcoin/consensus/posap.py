"""Proof of Shapley: the agreed vector, the inliers, the winner, and the difficulty.

The paper (arXiv:2002.11711, algorithms 1 and 2) lets each miner compare its vector with the
mean of what it heard. Here all vectors are on the chain before any is judged, and every node
computes the same outcome from them, in integers:

1. The median, coordinate by coordinate, weighted by the miners' power (half-way between the
   lower and the upper one). Under half of the power cannot move it beyond the others' range.
2. The inliers: vectors within D of the median in L2 norm, of miners that proved at least a
   share (a quarter) of the median number of samples, weighted by power too. They must hold more
   than half of the power that revealed, else there is no outcome.
3. S-bar: the inliers' mean weighted by samples, rounded to whole nano-utility so that its sum
   is the rounded mean of their sums (efficiency). No coordinate is rounded by a whole unit, so
   none leaves the range of the inliers.
4. The winner: the inlier closest to the unrounded mean; a tie is drawn by lot from the
   challenge, weighted by power. Under EXACT every inlier computed the same sum and what
   differs is floating point on its machine, so all inliers tie.

Why a share of the median: when D is wide a vector of a few samples lies within it too, and whoever
may stop anywhere claims the count that suits it. Under half of the power can bring the bar no
higher than that share of the largest honest count, and no lower than that of the least. A vector
below the bar still counts in both medians: power votes there, not work, and were it left out, those
who remain could have another majority.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from fedcoin.data.crypto.hashing import sha256
from fedcoin.incentive.rounding import round_to_sum

_LOTTERY = b"fedcoin/lottery/v1\0"


@dataclass(frozen=True, slots=True)
class Reveal:
    """What one miner validly revealed about a task.

    `miner` is its address (20 bytes), `power` its bond in sap, `samples` how many samples it
    proved, `shapley_nano` its vector in nano-utility, one number for each client.
    """

    miner: bytes
    power: int
    samples: int
    shapley_nano: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the reveals of a task come to: S-bar, the winner with its S, the inliers.

    Vectors are in nano-utility; miners are addresses, inliers in rising order.
    """

    mean_shapley_nano: tuple[int, ...]
    winner: bytes
    winner_shapley_nano: tuple[int, ...]
    inliers: tuple[bytes, ...]


def compute_outcome(
    reveals: Sequence[Reveal],
    difficulty_nano: int,
    challenge: bytes,
    exact: bool,
    *,
    min_samples_percent: int,
) -> Outcome | None:
    """The outcome of a task, or None when the inliers hold too little power.

    `exact` says that the schedule is EXACT. `min_samples_percent` (1 to 100) is the share of the
    median number of samples that an inlier has proved. The order of the reveals does not matter.
    Whether enough miners revealed at all is for the contract to say; none give None.
    Raises `ValueError` when a miner stands twice, vectors differ in length, or a power or
    number of samples is not positive: the contract lets no such reveal in.
    """
    ordered = _checked(reveals)
    centre = _doubled_median(ordered)
    least = _least_samples(ordered, min_samples_percent)
    inliers = [
        r
        for r in ordered
        if r.samples >= least and _is_within(r.shapley_nano, centre, difficulty_nano)
    ]
    if 2 * sum(r.power for r in inliers) <= sum(r.power for r in ordered):
        return None
    sums, weight = _weighted_sums(inliers)
    best = inliers if exact else _closest(inliers, sums, weight)
    winner = _draw(best, challenge)
    return Outcome(
        mean_shapley_nano=round_to_sum(sums, weight),
        winner=winner.miner,
        winner_shapley_nano=winner.shapley_nano,
        inliers=tuple(r.miner for r in inliers),
    )


def retarget(
    difficulty_nano: int, elapsed_ms: int, target_ms: int, minimum: int, maximum: int
) -> int:
    """The next D: D x sqrt(elapsed / target), within [D/2, 2D] and [minimum, maximum].

    Samples needed grow with 1 / D^2, so this brings the next task to the target in one step,
    unless a limit stands in the way. Times in ms, D and its limits in nano-utility; rounded
    down. Raises `ValueError` when the target or a limit is not positive.
    """
    if target_ms <= 0 or not 0 < minimum <= maximum:
        raise ValueError("the target and the limits of D must be positive and in order")
    wanted = isqrt(difficulty_nano * difficulty_nano * max(elapsed_ms, 0) // target_ms)
    stepped = min(max(wanted, (difficulty_nano + 1) // 2), 2 * difficulty_nano)
    return min(max(stepped, minimum), maximum)


def _checked(reveals: Sequence[Reveal]) -> list[Reveal]:
    ordered = sorted(reveals, key=lambda reveal: reveal.miner)
    if len({reveal.miner for reveal in ordered}) != len(ordered):
        raise ValueError("a miner reveals a task once")
    if len({len(reveal.shapley_nano) for reveal in ordered}) > 1:
        raise ValueError("the vectors of a task have one length")
    if any(reveal.power <= 0 or reveal.samples <= 0 for reveal in ordered):
        raise ValueError("a reveal has power and samples")
    return ordered


def _least_samples(reveals: Sequence[Reveal], percent: int) -> int:
    """`percent` of the lower median of the numbers of samples, rounded up; 0 of nothing.

    More than half of the power has that median or more, so the bar alone denies no outcome.
    """
    if not reveals:
        return 0
    powers = [reveal.power for reveal in reveals]
    lower, _ = _medians([reveal.samples for reveal in reveals], powers)
    return -(-percent * lower // 100)


def _doubled_median(reveals: Sequence[Reveal]) -> tuple[int, ...]:
    """Twice the power-weighted median of each coordinate; twice, to stay in integers."""
    columns = zip(*(reveal.shapley_nano for reveal in reveals), strict=True)
    powers = [reveal.power for reveal in reveals]
    return tuple(sum(_medians(column, powers)) for column in columns)


def _medians(values: Sequence[int], powers: Sequence[int]) -> tuple[int, int]:
    """The least value at which half of the power is reached, and the one at which it is passed."""
    total, below = sum(powers), 0
    lower: int | None = None
    for value, power in sorted(zip(values, powers, strict=True)):
        below += power
        if lower is None and 2 * below >= total:
            lower = value
        if lower is not None and 2 * below > total:
            return lower, value
    raise ValueError("there is no median of nothing")


def _is_within(vector: Sequence[int], doubled_centre: Sequence[int], distance: int) -> bool:
    squares = ((2 * v - c) ** 2 for v, c in zip(vector, doubled_centre, strict=True))
    return sum(squares) <= (2 * distance) ** 2


def _weighted_sums(inliers: Sequence[Reveal]) -> tuple[tuple[int, ...], int]:
    """The mean as a fraction: its numerators and the denominator that they share."""
    weight = sum(reveal.samples for reveal in inliers)
    rows = [[reveal.samples * value for value in reveal.shapley_nano] for reveal in inliers]
    return tuple(sum(column) for column in zip(*rows, strict=True)), weight


def _closest(inliers: Sequence[Reveal], sums: Sequence[int], weight: int) -> list[Reveal]:
    distances = [
        sum((weight * v - s) ** 2 for v, s in zip(reveal.shapley_nano, sums, strict=True))
        for reveal in inliers
    ]
    least = min(distances)
    return [r for r, distance in zip(inliers, distances, strict=True) if distance == least]


def _draw(candidates: Sequence[Reveal], challenge: bytes) -> Reveal:
    """Draw one by lot, each with a chance in proportion to its power.

    The ticket is SHA-256("fedcoin/lottery/v1" 00 challenge) as a big-endian number modulo the
    candidates' power; it falls on one of them, laid side by side in address order.
    """
    total = sum(reveal.power for reveal in candidates)
    ticket = int.from_bytes(sha256(_LOTTERY, challenge), "big") % total
    for reveal in candidates:
        ticket -= reveal.power
        if ticket < 0:
            return reveal
    raise AssertionError("the ticket is below the sum of the powers")
