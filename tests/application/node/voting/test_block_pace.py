"""The pause after a block grows with its transactions, and is bounded."""

from __future__ import annotations

import pytest

from fedcoin.application.node.voting.block_pace import compute_pause_ms


@pytest.mark.parametrize(
    ("count", "pause"), [(0, 0), (50, 0), (150, 100), (350, 300), (10_000, 300)]
)
def test_the_pause_is_what_the_content_is_worth(count: int, pause: int) -> None:
    assert compute_pause_ms(count) == pause
