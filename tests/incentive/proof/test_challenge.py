"""The challenge covers the opened salts, and its leaves are uniformly distributed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.incentive.proof.challenge import derive_challenge, draw_challenged_leaves

KEY = b"k" * 32


def test_challenge_covers_task_attempt_and_salts() -> None:
    task, salts = b"t" * 32, {b"b" * 20: b"2" * 32, b"a" * 20: b"1" * 32}
    opened = b"a" * 20 + b"1" * 32 + b"b" * 20 + b"2" * 32
    challenge = derive_challenge(task, 3, salts)
    assert (
        challenge
        == hashlib.sha256(
            b"fedcoin/challenge/v2\x00" + task + bytes([0, 0, 0, 3, 0, 0, 0, 2]) + opened
        ).digest()
    )
    assert challenge != derive_challenge(b"u" * 32, 3, salts)
    assert challenge != derive_challenge(task, 2, salts)
    assert challenge != derive_challenge(task, 3, {b"a" * 20: b"1" * 32})
    assert challenge != derive_challenge(task, 3, {b"b" * 20: b"1" * 32, b"a" * 20: b"2" * 32})


@given(st.binary(min_size=32, max_size=32), st.integers(1, 10**6), st.integers(1, 100))
def test_leaves_are_different_rising_and_in_range(challenge: bytes, samples: int, q: int) -> None:
    leaves = draw_challenged_leaves(challenge, KEY, samples, q)
    assert len(leaves) == min(q, samples)
    assert list(leaves) == sorted(set(leaves))
    assert leaves[0] >= 0
    assert leaves[-1] < samples
    assert leaves == draw_challenged_leaves(challenge, KEY, samples, q)


def test_all_leaves_when_there_are_no_more() -> None:
    assert draw_challenged_leaves(b"c" * 32, KEY, 5, 5) == (0, 1, 2, 3, 4)
    assert draw_challenged_leaves(b"c" * 32, KEY, 5, 10**9) == (0, 1, 2, 3, 4)


def test_other_miners_are_asked_for_other_leaves() -> None:
    one = draw_challenged_leaves(b"c" * 32, KEY, 10_000, 44)
    assert one != draw_challenged_leaves(b"c" * 32, b"l" * 32, 10_000, 44)
    assert one != draw_challenged_leaves(b"d" * 32, KEY, 10_000, 44)


def test_each_leaf_is_as_likely_as_another() -> None:
    counts = [0] * 20
    for trial in range(2_000):
        for leaf in draw_challenged_leaves(hashlib.sha256(b"%d" % trial).digest(), KEY, 20, 5):
            counts[leaf] += 1
    # Chi-square with 19 degrees of freedom; 43.8 is the 99.9th percentile.
    assert sum((count - 500) ** 2 / 500 for count in counts) < 43.8


def test_no_challenge_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        draw_challenged_leaves(b"c" * 32, KEY, 5, 0)
