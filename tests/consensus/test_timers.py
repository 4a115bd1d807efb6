from __future__ import annotations

from fedcoin.consensus.timers import Timeouts, Timer, TimerKind


def test_each_round_waits_half_of_the_first_longer() -> None:
    timeouts = Timeouts(propose_ms=1000, vote_ms=500)
    assert [timeouts.delay_ms(Timer(TimerKind.PROPOSE, r)) for r in range(4)] == [
        1000, 1500, 2000, 2500,
    ]  # fmt: skip
    for kind in (TimerKind.PREVOTE, TimerKind.PRECOMMIT):
        assert [timeouts.delay_ms(Timer(kind, r)) for r in range(3)] == [500, 750, 1000]


def test_no_timer_runs_for_ever() -> None:
    assert Timeouts(1000, 500).delay_ms(Timer(TimerKind.PROPOSE, 2**32)) == 60_000
    assert Timeouts(90_000, 500).delay_ms(Timer(TimerKind.PROPOSE, 7)) == 90_000
