"""A hash stream's words, and the numbers drawn from it."""

from __future__ import annotations

import hashlib

from fedcoin.incentive.proof.hash_stream import HashStream


def test_words_are_the_digests_in_order() -> None:
    stream = HashStream(b"seed")
    expected = b"".join(
        hashlib.sha256(b"seed" + counter.to_bytes(8, "big")).digest() for counter in range(2)
    )
    words = [stream.next_word().to_bytes(4, "big") for _ in range(16)]
    assert b"".join(words) == expected


def test_below_skips_words_over_the_last_multiple() -> None:
    bound = 3_000_000_000  # Almost a third of all words must be rejected.
    words, drawn = HashStream(b"x"), HashStream(b"x")
    kept = [word for word in (words.next_word() for _ in range(200)) if word < bound]
    assert len(kept) < 200
    assert [drawn.draw_below(bound) for _ in kept] == kept


def test_below_is_even_enough() -> None:
    stream = HashStream(b"even")
    counts = [0] * 7
    for _ in range(7_000):
        counts[stream.draw_below(7)] += 1
    # Chi-square with 6 degrees of freedom; 22.5 is the 99.9th percentile.
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 22.5


def test_one_is_always_zero() -> None:
    assert HashStream(b"").draw_below(1) == 0
    assert 0 <= HashStream(b"").draw_below(1 << 32) < 1 << 32
