"""Which peers are too slow to fetch blocks from, on a clock that the test sets."""

from __future__ import annotations

from fedcoin.network.peers.sync.source_pace import (
    MAX_LAG,
    MEMORY_S,
    TRIAL_BLOCKS,
    TRIAL_S,
    SourcePace,
    bench_slow,
)


def paced(seconds: float, num_blocks: int) -> SourcePace:
    pace = SourcePace()
    pace.begin(0.0)
    pace.end(seconds, num_blocks)
    return pace


def benched(*paces: SourcePace, places: int = 4, now: float = 9.0) -> list[int]:
    bench_slow(paces, places, now)
    return [number for number, pace in enumerate(paces) if pace.is_benched]


def test_only_the_time_in_which_blocks_are_waited_for_counts() -> None:
    pace = paced(2.0, 10)
    assert pace.rate(100.0) == 5
    pace.begin(100.0)
    assert pace.rate(103.0) == 2
    pace.end(102.0, 2)
    assert pace.rate(500.0) == 3


def test_a_rate_counts_after_a_second_or_many_blocks() -> None:
    pace = SourcePace()
    pace.begin(5.0)
    assert pace.rate(5.0 + TRIAL_S / 2) is None
    assert pace.rate(5.0 + TRIAL_S) == 0
    assert paced(0.01, TRIAL_BLOCKS) is not None
    rate = paced(0.01, TRIAL_BLOCKS).rate(1.0)
    assert rate is not None
    assert round(rate) == TRIAL_BLOCKS * 100


def test_a_faster_newcomer_takes_the_place_of_the_slowest() -> None:
    drippers = [paced(10.0, 20 + number) for number in range(4)]
    assert benched(*drippers) == []
    # Beside a newcomer that was not tried yet, all keep their places.
    assert benched(*drippers, SourcePace()) == []
    assert benched(*drippers, paced(1.0, 4)) == [0]
    # The one that left is no longer compared.
    assert benched(*drippers, paced(1.0, 4)) == [0]


def test_a_slow_newcomer_takes_nobodys_place() -> None:
    assert benched(*[paced(1.0, 5) for _ in range(4)], paced(1.0, 1)) == [4]


def test_peers_that_only_hold_others_up_are_benched_although_there_is_room() -> None:
    fast = paced(1.0, 1000)
    just, slower = paced(1.0, round(1000 / MAX_LAG)), paced(1.0, round(1000 / MAX_LAG) - 1)
    silent = SourcePace()
    silent.begin(0.0)
    assert benched(fast, just, slower, silent) == [2, 3]


def test_one_peer_alone_is_never_benched() -> None:
    silent = SourcePace()
    silent.begin(0.0)
    assert benched(silent) == []
    assert benched(silent, SourcePace()) == []


def test_a_peer_that_was_fast_at_first_is_not_fast_for_long() -> None:
    pace, now = paced(MEMORY_S, 100_000), 0.0
    while now < 10 * MEMORY_S:
        pace.begin(now)
        now += 0.4
        pace.end(now, 1)
    rate = pace.rate(now)
    assert rate is not None
    assert rate < 10


def test_benched_peers_come_back_when_the_fast_one_slows_down() -> None:
    honest = [paced(1.0, 100 + number) for number in range(4)]
    burst = paced(0.005, TRIAL_BLOCKS)
    assert benched(*honest, burst) == [0, 1, 2, 3]
    burst.begin(0.0)
    # Three of them fit beside it, the fastest ones.
    assert benched(*honest, burst, now=0.5) == [0]


def test_benched_peers_come_back_when_the_fast_one_leaves() -> None:
    honest = [paced(1.0, 100 + number) for number in range(4)]
    benched(*honest, paced(0.005, TRIAL_BLOCKS))
    assert benched(*honest, SourcePace()) == [0]
