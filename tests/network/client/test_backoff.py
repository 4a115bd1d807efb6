from __future__ import annotations

import random

from fedcoin.network.client.backoff import Backoff, pause_after


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 5.0, uniform=middle)
    assert [backoff.next_pause() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_success_begins_anew() -> None:
    backoff = Backoff(1.0, 5.0, uniform=middle)
    backoff.next_pause()
    backoff.next_pause()
    backoff.reset()
    assert backoff.next_pause() == 1.0


def test_callers_do_not_come_back_in_step() -> None:
    randoms = [random.Random(seed) for seed in range(50)]
    pauses = {Backoff(1.0, 5.0, uniform=one.uniform).next_pause() for one in randoms}
    assert len(pauses) == 50
    assert all(0.5 <= pause <= 1.5 for pause in pauses)


def test_the_pause_after_any_number_of_failures_is_bounded() -> None:
    pauses = [pause_after(n, 1.0, 5.0, uniform=middle) for n in (0, 1, 2, 3, 4, 10_000)]
    assert pauses == [1.0, 1.0, 2.0, 4.0, 5.0, 5.0]
