from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from math import isqrt
from random import Random
from statistics import median

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedcoin.consensus import posap
from fedcoin.consensus.posap import Outcome, Reveal, retarget
from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.draw_scores import compute_score, negative_log2

D = 1_000
CHALLENGE = b"c" * 32
PERCENT = 25


def miner(i: int) -> bytes:
    return bytes([i]) * 20


def reveal(i: int, *vector: int, power: int = 1, samples: int = 1) -> Reveal:
    return Reveal(miner(i), power, samples, vector)


def decide(
    reveals: list[Reveal], d: int, challenge: bytes, exact: bool, percent: int = PERCENT
) -> Outcome | None:
    return posap.compute_outcome(reveals, d, challenge, exact, min_samples_percent=percent)


def outcome(
    *reveals: Reveal, d: int = D, challenge: bytes = CHALLENGE, percent: int = PERCENT
) -> Outcome:
    found = decide(list(reveals), d, challenge, exact=False, percent=percent)
    assert found is not None
    return found


# Examples.


def test_one_miner_is_its_own_outcome() -> None:
    assert outcome(reveal(1, 5, -7, 0)) == Outcome((5, -7, 0), miner(1), (5, -7, 0), (miner(1),))


def test_no_reveals_give_no_outcome() -> None:
    assert decide([], D, CHALLENGE, exact=False) is None


def test_the_mean_weighs_by_power_times_samples() -> None:
    found = outcome(reveal(1, 0, samples=1), reveal(2, 400, power=3, samples=3))
    assert found.mean_shapley_nano == (360,)


def test_no_more_samples_count_than_the_median_number() -> None:
    found = outcome(reveal(1, 0, samples=2), reveal(2, 0, samples=2), reveal(3, 300, samples=900))
    assert found.mean_shapley_nano == (100,)
    assert posap.weigh_work({b"a": (2, 5), b"b": (3, 7), b"c": (4, 3)}) == {
        b"a": 10,
        b"b": 15,
        b"c": 12,
    }
    assert posap.weigh_work({}) == {}


def test_the_winner_is_the_closest_to_the_mean() -> None:
    found = outcome(reveal(1, 0), reveal(2, 100), reveal(3, 500))
    assert found.mean_shapley_nano == (200,)
    assert found.winner == miner(2)
    assert found.winner_shapley_nano == (100,)


def test_closeness_is_to_the_unrounded_mean() -> None:
    # The mean is 1/3. Rounded to 0, the miners at 0 and 1 would not change order; but with 2/3 the
    # miner at 1 is closer, and with 1/3 the one at 0.
    assert outcome(reveal(1, 0), reveal(2, 0), reveal(3, 1)).winner in {miner(1), miner(2)}
    assert outcome(reveal(1, 0), reveal(2, 1), reveal(3, 1)).winner in {miner(2), miner(3)}


def test_an_outlier_neither_counts_nor_wins() -> None:
    found = outcome(reveal(1, 0, 0), reveal(2, 10, 0), reveal(3, 10**9, -(10**9), samples=10**9))
    assert found.inliers == (miner(1), miner(2))
    assert found.mean_shapley_nano == (5, 0)


def test_fewer_samples_than_a_quarter_of_the_median_are_no_inlier() -> None:
    diligent = [reveal(i, 0, samples=samples) for i, samples in ((1, 104), (2, 104), (3, 900))]
    assert outcome(*diligent, reveal(4, 0, samples=26)).inliers == tuple(
        miner(i) for i in range(1, 5)
    )
    assert miner(4) not in outcome(*diligent, reveal(4, 0, samples=25)).inliers
    lazy = reveal(4, 0, samples=25)
    assert miner(4) in outcome(*diligent, lazy, percent=24).inliers
    assert outcome(*diligent, lazy, percent=100).inliers == (miner(1), miner(2), miner(3))


def test_the_bar_goes_by_power_and_not_by_heads() -> None:
    crowd = [reveal(i, 0, samples=1) for i in range(2, 9)]
    assert outcome(reveal(1, 0, samples=400, power=8), *crowd).inliers == (miner(1),)
    assert len(outcome(reveal(1, 0, samples=400, power=7), *crowd).inliers) == 8


def test_a_vector_below_the_bar_still_votes_on_the_centre() -> None:
    """Without it, two of the remaining three would be at the median, with 4 of 9 votes."""
    honest = [reveal(1, 0, power=2, samples=400), reveal(2, 0, power=3, samples=10)]
    liars = [reveal(3, 5 * D, power=2, samples=900), reveal(4, 5 * D, power=2, samples=900)]
    assert decide([*honest, *liars], D, CHALLENGE, exact=False) is None


def test_inliers_that_the_bar_leaves_are_counted_against_all_that_revealed() -> None:
    reveals = [reveal(1, 0, samples=100), reveal(2, 0, samples=100), reveal(3, 0, samples=1)]
    assert outcome(*reveals).inliers == (miner(1), miner(2))
    assert decide([reveals[0], reveal(2, 9 * D, samples=100), reveals[2]], D, b"", False) is None


def test_the_distance_is_over_all_coordinates_and_d_itself_is_within() -> None:
    centre = [reveal(i, 0, 0) for i in (1, 2, 3)]
    assert miner(4) in outcome(*centre, reveal(4, 600, 800)).inliers
    assert miner(4) not in outcome(*centre, reveal(4, 601, 800)).inliers


def test_two_equal_miners_are_as_far_from_their_median() -> None:
    assert outcome(reveal(1, 0), reveal(2, 2 * D)).inliers == (miner(1), miner(2))
    assert decide([reveal(1, 0), reveal(2, 2 * D + 1)], D, CHALLENGE, exact=False) is None


def test_the_median_weighs_by_power() -> None:
    found = outcome(reveal(1, 0, power=5), reveal(2, 9999, power=2), reveal(3, 9999, power=2))
    assert found.inliers == (miner(1),)


def test_inliers_with_half_of_the_power_are_too_few() -> None:
    # The vector of the coordinates' medians is close to the first miner only.
    three = [reveal(1, 0, 0), reveal(2, 9999, 0), reveal(3, 0, 9999)]
    assert decide(three, D, CHALLENGE, exact=False) is None
    assert outcome(*(replace(r, power=3 if r.miner == miner(1) else 1) for r in three)).inliers == (
        miner(1),
    )


def test_a_null_player_stays_at_zero_and_whole_numbers_stay() -> None:
    found = outcome(reveal(1, 0, 1, 7), reveal(2, 0, 2, 7), reveal(3, 0, 2, 7))
    assert found.mean_shapley_nano == (0, 2, 7)


def test_all_zero_and_all_negative_vectors_are_vectors() -> None:
    assert outcome(reveal(1, 0, 0), reveal(2, 0, 0)).mean_shapley_nano == (0, 0)
    assert outcome(reveal(1, -3, -5), reveal(2, -4, -6)).mean_shapley_nano == (-3, -6)


def test_under_exact_all_inliers_draw_lots() -> None:
    reveals = [reveal(1, 0), reveal(2, 0), reveal(3, 9)]
    winners = set()
    for i in range(50):
        found = decide(reveals, D, bytes([i]) * 32, exact=True)
        assert found is not None
        winners.add(found.winner)
    assert winners == {miner(1), miner(2), miner(3)}


def test_ties_are_drawn_by_power_from_the_challenge() -> None:
    reveals = [reveal(1, 5, power=10), reveal(2, 5, power=30), reveal(3, 5, power=60)]
    wins = Counter(outcome(*reveals, challenge=i.to_bytes(32, "big")).winner for i in range(2_000))
    for i, share in ((1, 0.1), (2, 0.3), (3, 0.6)):
        assert abs(wins[miner(i)] / 2_000 - share) < 0.04


def test_the_draw_is_the_documented_one() -> None:
    def score(number: int, power: int) -> int:
        label = b"fedcoin/draw/v1\0"
        ticket = hashlib.sha256(label + CHALLENGE + miner(number)).digest()
        return (power << 128) // negative_log2(int.from_bytes(ticket, "big"))

    powers = {1: 10, 2: 30, 3: 60}
    found = outcome(*(reveal(i, 5, power=power) for i, power in powers.items()))
    assert found.winner == miner(max(powers, key=lambda i: score(i, powers[i])))


def test_golden_draws() -> None:
    """Blocks were settled by these draws, so they must never change."""
    reveals = [reveal(1, 5, power=10), reveal(2, 5, power=30), reveal(3, 5, power=60)]
    winners = [outcome(*reveals, challenge=bytes([i]) * 32).winner[0] for i in range(8)]
    assert winners == [3, 2, 1, 3, 3, 3, 3, 3]
    assert compute_score(bytes(32), bytes(20), 10**9) == 19555457823286992627550812382


@pytest.mark.parametrize(
    ("reveals", "saying"),
    [
        ([reveal(1, 0), reveal(1, 0)], "listed twice"),
        ([reveal(1, 0), reveal(2, 0, 0)], "length"),
        ([reveal(1, 0, power=0)], "power"),
        ([reveal(1, 0, samples=0)], "samples"),
    ],
)
def test_reveals_that_the_contract_excludes_are_errors(reveals: list[Reveal], saying: str) -> None:
    with pytest.raises(ValueError, match=saying):
        decide(reveals, D, CHALLENGE, exact=False)


# Properties.

nano = st.integers(-(10**9), 10**9)
powers = st.integers(1, 10**12)
counts = st.integers(1, 10**6)
percents = st.integers(1, 100)


@st.composite
def many_reveals(draw: st.DrawFn, spread: int = 3 * D) -> list[Reveal]:
    """Draw vectors around a common one, most within D."""
    clients = draw(st.integers(1, 6))
    centre = draw(st.lists(nano, min_size=clients, max_size=clients))
    return [
        reveal(
            i,
            *(c + draw(st.integers(-spread // 3, spread // 3)) for c in centre),
            power=draw(powers),
            samples=draw(counts),
        )
        for i in range(1, draw(st.integers(1, 7)) + 1)
    ]


@given(
    many_reveals(),
    st.randoms(use_true_random=False),
    st.booleans(),
    st.binary(max_size=32),
    percents,
)
def test_the_order_of_the_reveals_does_not_matter(
    reveals: list[Reveal], random: object, exact: bool, challenge: bytes, percent: int
) -> None:
    shuffled = list(reveals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = decide(reveals, D, challenge, exact, percent)
    assert found == decide(shuffled, D, challenge, exact, percent)


@given(st.lists(st.tuples(counts, powers), min_size=1, max_size=9), percents)
def test_the_bar_alone_never_denies_an_outcome(miners: list[tuple[int, int]], percent: int) -> None:
    reveals = [reveal(i, 7, power=p, samples=s) for i, (s, p) in enumerate(miners)]
    found = outcome(*reveals, percent=percent)
    least = min(r.samples for r in reveals if r.miner in found.inliers)
    # The bar: a miner that did as many samples as an inlier is not below it.
    assert set(found.inliers) == {r.miner for r in reveals if r.samples >= least}


@given(st.permutations(range(5)), many_reveals(), percents)
def test_client_numbers_do_not_matter(
    order: list[int], reveals: list[Reveal], percent: int
) -> None:
    """Symmetry: clients that change places change values, and nothing else changes."""
    order = [k for k in order if k < len(reveals[0].shapley_nano)]
    order += range(len(order), len(reveals[0].shapley_nano))
    moved = [replace(r, shapley_nano=tuple(r.shapley_nano[k] for k in order)) for r in reveals]
    found, other = (decide(list(rs), D, CHALLENGE, False, percent) for rs in (reveals, moved))
    assume(found is not None)
    assert found is not None
    assert other is not None
    assert (other.inliers, other.winner) == (found.inliers, found.winner)
    for place, k in enumerate(order):
        # A remainder that two clients share goes to the first of them.
        assert abs(other.mean_shapley_nano[place] - found.mean_shapley_nano[k]) <= 1


@given(many_reveals(), st.booleans(), percents)
def test_what_an_outcome_is(reveals: list[Reveal], exact: bool, percent: int) -> None:
    found = decide(reveals, D, CHALLENGE, exact, percent)
    assume(found is not None)
    assert found is not None
    inliers = [r for r in reveals if r.miner in found.inliers]
    assert found.inliers == tuple(sorted(found.inliers))
    assert 2 * sum(r.power for r in inliers) > sum(r.power for r in reveals)
    assert (found.winner, found.winner_shapley_nano) in [(r.miner, r.shapley_nano) for r in inliers]
    for k, (mean, true) in enumerate(
        zip(found.mean_shapley_nano, unrounded_mean(reveals, inliers), strict=True)
    ):
        column = [r.shapley_nano[k] for r in inliers]
        assert min(column) <= mean <= max(column)
        assert abs(mean - true) < 1


def unrounded_mean(reveals: list[Reveal], inliers: list[Reveal]) -> list[Fraction]:
    half = sum(r.power for r in reveals) / 2
    enough = min(
        r.samples
        for r in reveals
        if sum(other.power for other in reveals if other.samples <= r.samples) >= half
    )
    weights = [r.power * min(r.samples, enough) for r in inliers]
    return [
        Fraction(sum(w * r.shapley_nano[k] for w, r in zip(weights, inliers, strict=True)))
        / sum(weights)
        for k in range(len(inliers[0].shapley_nano))
    ]


@given(many_reveals())
def test_the_winner_is_the_closest_inlier(reveals: list[Reveal]) -> None:
    found = decide(reveals, D, CHALLENGE, exact=False)
    assume(found is not None)
    assert found is not None
    inliers = [r for r in reveals if r.miner in found.inliers]
    mean = unrounded_mean(reveals, inliers)

    def distance(r: Reveal) -> Fraction:
        return sum(((v - m) ** 2 for v, m in zip(r.shapley_nano, mean, strict=True)), Fraction(0))

    least = min(distance(r) for r in inliers)
    assert least == next(distance(r) for r in inliers if r.miner == found.winner)


@given(many_reveals(), st.integers(-(10**9), 10**9))
def test_efficiency_is_kept_to_the_last_nano(reveals: list[Reveal], total: int) -> None:
    """When all vectors add up to v(all) - v(empty), so does S-bar."""
    level = [
        replace(r, shapley_nano=(*r.shapley_nano, total - sum(r.shapley_nano))) for r in reveals
    ]
    found = decide(level, 10**10, CHALLENGE, exact=False)
    assert found is not None
    assert sum(found.mean_shapley_nano) == total


@given(many_reveals(), percents)
def test_a_null_player_of_every_miner_is_one_of_the_mean(
    reveals: list[Reveal], percent: int
) -> None:
    with_null = [replace(r, shapley_nano=(*r.shapley_nano, 0)) for r in reveals]
    found = decide(with_null, 10**10, CHALLENGE, False, percent)
    assert found is not None
    assert found.mean_shapley_nano[-1] == 0


@st.composite
def attacks(draw: st.DrawFn) -> tuple[list[Reveal], list[Reveal]]:
    """Draw honest reveals, and others with just under half of the power.

    The liars know the honest vectors: theirs are near them, at distance D, and far away.
    """
    honest = draw(many_reveals())
    anchor = honest[0].shapley_nano
    power = sum(r.power for r in honest)
    liars = draw(st.integers(1, 5))
    assume(power > liars)
    budget = power - 1
    found = []
    for i in range(liars):
        share = draw(st.integers(1, max(1, budget - (liars - 1 - i))))
        budget -= share
        near = st.integers(-2 * D, 2 * D)
        vector = [a + draw(near | nano | st.sampled_from((-D, D))) for a in anchor]
        found.append(reveal(100 + i, *vector, power=share, samples=draw(counts)))
        if budget < 1:
            break
    return honest, found


@given(attacks(), st.booleans(), st.integers(1, 10 * D), percents)
def test_just_under_half_of_the_power_moves_no_coordinate_by_more_than_d(
    attack: tuple[list[Reveal], list[Reveal]], exact: bool, d: int, percent: int
) -> None:
    honest, liars = attack
    assert 2 * sum(r.power for r in liars) < sum(r.power for r in (*honest, *liars))
    found = decide([*honest, *liars], d, CHALLENGE, exact, percent)
    assume(found is not None)
    assert found is not None
    for k, mean in enumerate(found.mean_shapley_nano):
        column = [r.shapley_nano[k] for r in honest]
        assert min(column) - d <= mean <= max(column) + d


@given(attacks(), percents)
def test_just_under_half_of_the_power_keeps_the_bar_within_the_honest_counts(
    attack: tuple[list[Reveal], list[Reveal]], percent: int
) -> None:
    """The liars can neither push out a miner with its share of the largest honest count, nor let in
    one with less than its share of the smallest.
    """
    honest, liars = attack
    found = decide([*honest, *liars], 10**11, CHALLENGE, False, percent)
    assert found is not None
    most, least = (pick(r.samples for r in honest) for pick in (max, min))
    for r in (*honest, *liars):
        if 100 * r.samples >= percent * most:
            assert r.miner in found.inliers
        if 100 * r.samples < percent * least:
            assert r.miner not in found.inliers


@given(attacks(), st.data())
def test_liars_cannot_stop_honest_miners_that_are_close_enough(
    attack: tuple[list[Reveal], list[Reveal]], data: st.DataObject
) -> None:
    """All honest miners are inliers when D is the diagonal of the box around their vectors, and
    each has at least a quarter of any other's samples.
    """
    honest, liars = attack
    alike = st.integers(*data.draw(st.sampled_from([(1, 4), (25, 100), (250_000, 10**6)])))
    honest = [replace(r, samples=data.draw(alike)) for r in honest]
    columns = list(zip(*(r.shapley_nano for r in honest), strict=True))
    diagonal = isqrt(sum((max(c) - min(c)) ** 2 for c in columns)) + 1
    found = decide([*honest, *liars], diagonal, CHALLENGE, exact=False)
    assert found is not None
    assert {r.miner for r in honest} <= set(found.inliers)


# Difficulty.


def test_d_follows_the_square_root_of_the_time() -> None:
    assert retarget(1_000, 40_000, 10_000, 1, 10**9) == 2_000
    assert retarget(1_000, 2_500, 10_000, 1, 10**9) == 500
    assert retarget(1_000, 10_000, 10_000, 1, 10**9) == 1_000
    assert retarget(20_000_000, 20_000, 10_000, 1, 10**9) == 28_284_271


def test_d_is_at_most_doubled_or_halved_and_stays_within_its_limits() -> None:
    assert retarget(1_000, 10**9, 10_000, 1, 10**9) == 2_000
    assert retarget(1_000, 0, 10_000, 1, 10**9) == 500
    assert retarget(1_001, -5, 10_000, 1, 10**9) == 501
    assert retarget(1_000, 10**9, 10_000, 1, 1_500) == 1_500
    assert retarget(1_000, 0, 10_000, 800, 10**9) == 800


def test_d_outside_of_its_limits_is_brought_back() -> None:
    assert retarget(10, 1, 1, 100, 200) == 100
    assert retarget(1_000, 1, 1, 100, 200) == 200


@pytest.mark.parametrize(("target", "low", "high"), [(0, 1, 2), (1, 0, 2), (1, 3, 2)])
def test_limits_that_are_none(target: int, low: int, high: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        retarget(1, 1, target, low, high)


@given(
    st.integers(1, 10**10),
    st.integers(0, 10**12),
    st.integers(1, 10**8),
    st.integers(1, 10**9),
    st.integers(0, 10**10),
)
def test_retarget_stays_within_every_limit(
    d: int, elapsed: int, target: int, low: int, room: int
) -> None:
    high = low + room
    new = retarget(d, elapsed, target, low, high)
    assert low <= new <= high
    assert new in (low, high) or d <= 2 * new <= 4 * d
    assert retarget(d, elapsed + 1_000, target, low, high) >= new


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_a_step_of_the_power_is_followed_without_swinging(factor: float) -> None:
    """Samples ~ 1 / D^2, give or take a tenth; the median of 101 runs.

    The bounds of D are the defaults, and each step begins with the target met.
    """
    rules, runs = Parameters(), []
    for seed in range(101):
        random = Random(seed)
        d = wanted = 20_000_000
        times = []
        for _ in range(20):
            elapsed = 10_000 * (wanted / d) ** 2 / factor * random.gauss(1, 0.1)
            times.append(elapsed)
            low, high = rules.min_difficulty_nano, rules.max_difficulty_nano
            d = retarget(d, int(elapsed), rules.target_settle_ms, low, high)
        runs.append(times)
    off = [median(column) / rules.target_settle_ms - 1 for column in zip(*runs, strict=True)]
    assert abs(off[0]) > 0.7
    assert all(abs(share) < 0.15 for share in off[2:])
    # No overshoot follows the step.
    assert all(abs(share) < 0.05 for share in off[3:])


@given(st.integers(10**5, 10**8), st.floats(0.05, 20))
def test_mining_time_is_on_target_within_a_few_tasks(start: int, speed: float) -> None:
    """With samples ~ 1 / D^2 at a constant speed, the second step is exact."""
    target = 10_000
    wanted = 10_000_000
    d = start
    for _ in range(12):
        elapsed = int(target * (wanted / d) ** 2 / speed)
        d = retarget(d, elapsed, target, 1, 10**12)
    assert abs(int(target * (wanted / d) ** 2 / speed) - target) <= target * 0.01
