"""The pause after a block grows with its transactions, and is bounded."""

from __future__ import annotations

import pytest

from fedcoin.application.node.voting.block_pace import BlockPace, compute_pause_ms


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


def test_the_pause_ends_with_its_time_or_when_the_clock_is_set_back() -> None:
    pace = BlockPace()
    assert pace.pause_left_ms(5) == 0
    pace.begin_height(1_000)
    pace.end_height(2_000, num_transactions=150, num_validators=4, has_voted=True)
    assert [pace.pause_left_ms(now) for now in (2_000, 2_099, 2_100, 1_999)] == [100, 1, 0, 0]


@pytest.mark.parametrize(("has_voted", "pause"), [(True, 500), (False, 0)])
def test_a_block_that_came_as_a_whole_took_no_time(has_voted: bool, pause: int) -> None:
    pace = BlockPace()
    pace.begin_height(1_000)
    pace.end_height(1_800, num_transactions=0, num_validators=16, has_voted=has_voted)
    assert pace.pause_left_ms(1_800) == pause
