"""Scores grow, halve every minute, and reach the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.network.peers.protection.reputation import BAN_SCORE, POINTS, Offence, Reputation


def test_every_offence_costs_something() -> None:
    assert set(POINTS) == set(Offence)
    assert all(points > 0 for points in POINTS.values())


@pytest.mark.parametrize("offence", list(Offence))
def test_every_offence_repeated_at_once_leads_to_a_ban(offence: Offence) -> None:
    score = Reputation()
    times = -(-BAN_SCORE // POINTS[offence])
    reached = [score.add(offence, 100.0 + i * 0.001) for i in range(times)]
    assert reached == [False] * (times - 1) + [True]


def test_half_is_forgotten_in_a_minute() -> None:
    score = Reputation()
    score.add(Offence.BAD_SIGNATURE, 1000.0)
    assert score.value(1000.0) == 50
    assert score.value(1060.0) == pytest.approx(25)
    assert score.value(1120.0) == pytest.approx(12.5)
    assert not score.add(Offence.BAD_SIGNATURE, 1060.0)
    assert score.value(1060.0) == pytest.approx(75)


@given(st.lists(st.tuples(st.sampled_from(Offence), st.floats(0, 100)), max_size=30))
def test_never_negative_and_never_above_the_sum(history: list[tuple[Offence, float]]) -> None:
    score, now = Reputation(), 0.0
    for offence, pause in history:
        now += pause
        score.add(offence, now)
    total = sum(POINTS[offence] for offence, _ in history)
    assert 0 <= score.value(now) <= total + 1e-6
