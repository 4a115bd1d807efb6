"""The rate at which blocks are fetched, and the time left."""

from __future__ import annotations

import pytest

from fedcoin.network.peers.sync.sync_pace import SyncPace


def test_the_time_left_follows_from_the_rate() -> None:
    pace = SyncPace()
    assert pace.estimate(0, 500).seconds_left is None
    for second in range(5):
        pace.note(100 * second, float(second))
        pace.note(100 * second + 1, second + 0.1)
    progress = pace.estimate(400, 500)
    assert progress.blocks_per_second == pytest.approx(100)
    assert progress.seconds_left == pytest.approx(1)
    assert pace.estimate(600, 500).target_height == 600


def test_only_the_last_samples_count() -> None:
    pace = SyncPace()
    for second in range(200):
        pace.note(0 if second < 100 else second - 100, float(second))
    assert pace.estimate(99, 109).seconds_left == pytest.approx(10)
    pace.clear()
    assert pace.estimate(99, 109).seconds_left is None
