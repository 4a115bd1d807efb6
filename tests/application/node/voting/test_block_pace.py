"""The pause after a block grows with its transactions, and is bounded."""

from __future__ import annotations

import pytest

from fedcoin.application.node.voting.block_pace import compute_pause_ms


@pytest.mark.parametrize(
    ("count", "pause"), [(0, 0), (50, 0), (150, 100), (350, 300), (10_000, 300)]
)
def test_the_pause_is_what_the_content_is_worth(count: int, pause: int) -> None:
    assert compute_pause_ms(count, 0, 16) == pause


@pytest.mark.parametrize(
    ("count", "took", "validators", "pause"),
    [
        (0, 300, 16, 0),
        (0, 800, 16, 500),
        (0, 800, 10, 250),
        (0, 800, 4, 0),
        (0, 800, 1, 0),
        (0, 60_000, 100, 1_000),
        (150, 350, 16, 100),
        (10_000, -5_000, 16, 300),
    ],
)
def test_long_voting_of_many_is_followed_by_a_pause(
    count: int, took: int, validators: int, pause: int
) -> None:
    assert compute_pause_ms(count, took, validators) == pause
