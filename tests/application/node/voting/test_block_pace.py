"""The pause after a block grows with its transactions, and is bounded."""

from __future__ import annotations

import pytest

from fedcoin.application.node.voting.block_pace import compute_pause_ms


@pytest.mark.parametrize(
    ("count", "pause"), [(0, 0), (50, 0), (150, 100), (350, 300), (10_000, 300)]
)
def test_the_pause_is_what_the_content_is_worth(count: int, pause: int) -> None:
    assert compute_pause_ms(count, 0) == pause


@pytest.mark.parametrize(
    ("count", "took", "pause"),
    [(0, 300, 0), (0, 800, 500), (0, 60_000, 1_000), (150, 350, 100), (10_000, -5_000, 300)],
)
def test_long_voting_is_followed_by_a_pause(count: int, took: int, pause: int) -> None:
    assert compute_pause_ms(count, took) == pause
