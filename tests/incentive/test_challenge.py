from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.incentive.challenge import challenge_of, challenged_leaves

KEY = b"k" * 32


def test_challenge_covers_task_and_certificate() -> None:
    task, certificate = b"t" * 32, b"certificate"
    assert (
        challenge_of(task, certificate)
        == hashlib.sha256(
            b"fedcoin/challenge/v1\x00" + task + hashlib.sha256(certificate).digest()
        ).digest()
    )
    assert challenge_of(task, certificate) != challenge_of(task, certificate + b"\x00")
    assert challenge_of(task, certificate) != challenge_of(b"u" * 32, certificate)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 10**6), st.integers(1, 100))
def test_leaves_are_different_rising_and_in_range(challenge: bytes, samples: int, q: int) -> None:
    leaves = challenged_leaves(challenge, KEY, samples, q)
    assert len(leaves) == min(q, samples)
    assert list(leaves) == sorted(set(leaves))
    assert leaves[0] >= 0
    assert leaves[-1] < samples
    assert leaves == challenged_leaves(challenge, KEY, samples, q)


def test_all_leaves_when_there_are_no_more() -> None:
    assert challenged_leaves(b"c" * 32, KEY, 5, 5) == (0, 1, 2, 3, 4)
    assert challenged_leaves(b"c" * 32, KEY, 5, 10**9) == (0, 1, 2, 3, 4)


def test_other_miners_are_asked_for_other_leaves() -> None:
    one = challenged_leaves(b"c" * 32, KEY, 10_000, 44)
    assert one != challenged_leaves(b"c" * 32, b"l" * 32, 10_000, 44)
    assert one != challenged_leaves(b"d" * 32, KEY, 10_000, 44)


def test_each_leaf_is_as_likely_as_another() -> None:
    counts = [0] * 20
    for trial in range(2_000):
        for leaf in challenged_leaves(hashlib.sha256(b"%d" % trial).digest(), KEY, 20, 5):
            counts[leaf] += 1
    # Chi-square with 19 degrees of freedom; 43.8 is the 99.9th percentile.
    assert sum((count - 500) ** 2 / 500 for count in counts) < 43.8


def test_no_challenge_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        challenged_leaves(b"c" * 32, KEY, 5, 0)
