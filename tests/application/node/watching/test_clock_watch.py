"""How a node compares its clock with its peers', and when its log warns."""

from __future__ import annotations

import pytest

from fedcoin.application.node.watching.clock_watch import (
    REPEAT_MS,
    ClockLog,
    median_difference_ms,
)
from fedcoin.network.ports.peers_port import PeerInfo


def peer(difference_ms: int | None) -> PeerInfo:
    return PeerInfo(bytes(32), "", True, 0, 0, "test/1", difference_ms)


def test_the_median_ignores_a_liar_and_who_does_not_say() -> None:
    assert median_difference_ms([]) is None
    assert median_difference_ms([peer(None)]) is None
    assert median_difference_ms([peer(120), peer(None), peer(-(10**15)), peer(110)]) == 110
    assert median_difference_ms([peer(-100), peer(-105)]) == -102


def test_the_log_warns_at_once_at_intervals_and_tells_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    clock_log = ClockLog(limit_ms=2_500)
    for now_ms, difference_ms in enumerate((None, 0, 2_500, -2_500)):
        clock_log.observe(difference_ms, now_ms)
    assert caplog.messages == []
    clock_log.observe(2_501, 1_000)
    clock_log.observe(-3_000, 1_000 + REPEAT_MS - 1)
    clock_log.observe(None, 1_000 + REPEAT_MS - 1)
    (first,) = caplog.messages
    assert "this node's clock is 2.5 s behind the median of its peers' clocks" in first
    clock_log.observe(-3_000, 1_000 + REPEAT_MS)
    assert "3.0 s ahead of the median" in caplog.messages[1]
    clock_log.observe(10, 2_000 + REPEAT_MS)
    clock_log.observe(10, 3_000 + REPEAT_MS)
    assert caplog.messages[2:] == ["this node's clock agrees with its peers' again"]
