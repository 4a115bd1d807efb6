"""The draw among miners: chances by power, and an order that no dropout changes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log2, sqrt

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.hashing import sha256
from fedcoin.incentive.draw_scores import compute_score, negative_log2

TOP = 2**256 - 1

powers = st.lists(st.integers(1, 2**63 - 1), min_size=2, max_size=12)
challenges = st.binary(min_size=32, max_size=32)


def miner(number: int) -> bytes:
    return bytes([number]) * 20


def order(challenge: bytes, weights: dict[bytes, int]) -> list[bytes]:
    return sorted(weights, key=lambda m: -compute_score(challenge, m, weights[m]))


@given(st.integers(0, TOP))
def test_the_logarithm_is_right_and_positive(number: int) -> None:
    found = negative_log2(number)
    assert found >= 1
    # log2 of the top 53 bits, which is all that a float can tell.
    shift = max(0, (number + 1).bit_length() - 53)
    assert abs(found / 2**64 - (256 - shift - log2((number + 1) >> shift))) < 1e-12 * 256


def test_the_logarithm_at_its_ends_and_at_powers_of_two() -> None:
    assert negative_log2(TOP) == 1
    assert negative_log2(0) == 256 << 64
    for exponent in range(256):
        assert negative_log2((1 << exponent) - 1) == (256 - exponent) << 64


@given(st.integers(0, TOP - 1), st.integers(1, TOP))
def test_the_logarithm_falls_as_the_number_rises(number: int, step: int) -> None:
    assert negative_log2(min(TOP, number + step)) <= negative_log2(number)


@given(challenges, powers, st.data())
def test_a_dropout_leaves_the_order_of_the_others(
    challenge: bytes, weights: list[int], data: st.DataObject
) -> None:
    all_miners = {miner(i): power for i, power in enumerate(weights)}
    left = data.draw(st.sets(st.sampled_from(sorted(all_miners)), min_size=1))
    whole = [m for m in order(challenge, all_miners) if m in left]
    assert order(challenge, {m: all_miners[m] for m in left}) == whole


@given(challenges, st.integers(1, 2**62))
def test_more_power_never_lowers_a_score(challenge: bytes, power: int) -> None:
    scores = [compute_score(challenge, miner(1), p) for p in (0, power, power + 1, 2 * power)]
    assert scores[0] == 0
    assert all(low <= high for low, high in pairwise(scores))


def test_chances_are_in_proportion_to_power_however_it_is_split() -> None:
    """4,000 draws; each count within four standard deviations."""
    draws = 4_000
    split = {miner(i): 5 for i in range(20)}
    whole = {miner(100): 300, miner(101): 600}
    wins = Counter(
        order(sha256(number.to_bytes(4, "big")), split | whole)[0] for number in range(draws)
    )
    counts = (sum(wins[m] for m in split), *(wins[m] for m in whole))
    for count, share in zip(counts, (0.1, 0.3, 0.6), strict=True):
        assert abs(count - draws * share) < 4 * sqrt(draws * share * (1 - share))
