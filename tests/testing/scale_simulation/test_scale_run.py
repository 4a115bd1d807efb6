"""Simulated networks make blocks with the product's own code, and their messages are counted."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fedcoin.testing.scale_simulation.scale_run import (
    DIALLED_PEERS,
    MAX_CALLERS,
    ScaleSetting,
    draw_connections,
    simulate_scale,
)


@pytest.mark.slow
def test_four_validators_send_two_votes_to_each_other_for_a_block() -> None:
    result = simulate_scale(ScaleSetting(4, 4, 3))
    assert result.peers == 3
    assert result.blocks == 3
    # Two votes to three peers, give or take those under way when counting begins and ends.
    assert 4.5 < result.votes < 7.5
    assert result.rounds == 0
    # A proposal and two votes cross from North America to Europe; nothing is faster.
    assert 0.03 < result.finality_p50 < 0.5
    assert result.transfers > 0


@pytest.mark.slow
def test_a_slow_processor_delays_blocks() -> None:
    fast, slow = (simulate_scale(ScaleSetting(4, 4, 3, work_ms=ms)) for ms in (0.0, 40.0))
    assert slow.finality_p50 > fast.finality_p50 + 0.04


@pytest.mark.slow
def test_followers_get_blocks_and_make_no_votes() -> None:
    result = simulate_scale(ScaleSetting(12, 4, 3))
    assert result.blocks >= 3
    # Eight votes for a block, each of which a node sends to most of its peers at most.
    assert result.votes < 8 * result.peers


@pytest.mark.slow
def test_a_simulation_without_enough_time_fails() -> None:
    with pytest.raises(RuntimeError, match="block 1 was not final in time"):
        simulate_scale(ScaleSetting(4, 4, 3, max_seconds=0.1))


def test_each_node_dials_eight_others_and_few_dial_one() -> None:
    setting = ScaleSetting(200, 100, 1)
    pairs = draw_connections(setting, random.Random(5))
    dialled = Counter(first for first, _ in pairs)
    assert set(dialled.values()) == {DIALLED_PEERS}
    assert max(Counter(second for _, second in pairs).values()) <= MAX_CALLERS
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert draw_connections(setting, random.Random(5)) == pairs
    mesh = draw_connections(ScaleSetting(20, 20, 1, is_mesh=True), random.Random(5))
    assert len(mesh) == 20 * 19 // 2
