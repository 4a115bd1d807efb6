from __future__ import annotations

import pytest

from fedcoin.application.offline.evaluation_pace import EvaluationPace


def paced(*batches: tuple[int, float]) -> EvaluationPace:
    pace = EvaluationPace()
    for num_coalitions, seconds in batches:
        pace.add(num_coalitions, seconds)
    return pace


def test_nothing_is_said_before_enough_was_measured() -> None:
    assert paced().predict(100) is None
    assert paced((2, 0.3), (16, 0.3)).predict(100) is None
    assert paced((2, 1.0)).predict(100) == pytest.approx(50)


def test_slow_first_batches_do_not_count() -> None:
    # Each batch costs 0.2 s to send, and 1 ms for each coalition: 66 times less than the first.
    batches = [(count, 0.2 + 0.001 * count) for count in (2, 16, 128, 1024)]
    assert paced(*batches).predict(10_000) == pytest.approx(12, rel=0.02)


def test_the_latest_batches_correct_the_prediction() -> None:
    batches = [(100, 1.0)] * 4
    assert paced(*batches).predict(100) == pytest.approx(1)
    assert paced(*batches, *[(100, 3.0)] * 4).predict(100) == pytest.approx(3)
    assert paced(*batches).predict(0) == 0
