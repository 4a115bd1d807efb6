"""Every watcher sees each change once, in order."""

from __future__ import annotations

import asyncio

from fedcoin.application.coordinator.campaign import (
    Campaign,
    ClientOutcome,
    EvaluationShard,
    Phase,
    RoundRecord,
)
from fedcoin.application.coordinator.round_events import RoundEventLog
from fedcoin.v1 import federated_learning_service_pb2 as pb

ALICE, BOB = b"a" * 20, b"b" * 20


def campaign() -> Campaign:
    return Campaign("chain", 2, 4, b"m" * 32, b"b" * 32, (EvaluationShard(b"e" * 32, 9),))


def record(number: int) -> RoundRecord:
    return RoundRecord(number, b"t" * 32, True, 5, 9, (ClientOutcome(ALICE, 3, -7, 11),))


async def told(announcements: RoundEventLog, address: bytes) -> list[pb.WatchRoundsResponse]:
    return [message async for message in announcements.follow(address)]


async def test_slow_and_fast_watchers_see_the_same() -> None:
    made, state = RoundEventLog(), campaign()
    made.resume(state)
    early = asyncio.create_task(told(made, ALICE))
    for number in (1, 2):
        state.begin_training(1000 * number)
        made.present(state)
        if number == 1:
            await asyncio.sleep(0.01)  # the first watcher hears of it alone, then of all the rest
        state.phase = Phase.SETTLING
        made.present(state, b"t" * 32)
        state.end_round(record(number))
        made.settled(state, record(number))
        made.present(state)
    seen = await early
    phases = [message.phase for message in seen]
    assert phases == [
        pb.ROUND_PHASE_WAITING,
        pb.ROUND_PHASE_TRAINING,
        pb.ROUND_PHASE_SETTLING,
        pb.ROUND_PHASE_SETTLED,
        pb.ROUND_PHASE_WAITING,
        pb.ROUND_PHASE_TRAINING,
        pb.ROUND_PHASE_SETTLING,
        pb.ROUND_PHASE_SETTLED,
        pb.ROUND_PHASE_FINISHED,
    ]
    assert (seen[3].payout, seen[3].shapley_nano) == (11, -7)
    assert (seen[1].base, seen[1].deadline_ms) == (b"b" * 32, 1000)
    # Who comes late is told how the last round ended, and that all is over.
    late = await told(made, BOB)
    assert [message.phase for message in late] == [pb.ROUND_PHASE_SETTLED, pb.ROUND_PHASE_FINISHED]
    assert late[0].payout == 0
    assert await made.all_dismissed([ALICE, BOB], 0.1)
    assert not await made.all_dismissed([b"c" * 20], 0.1)


async def test_after_a_restart_the_last_round_is_told_first() -> None:
    state = campaign()
    state.phase = Phase.SETTLING
    state.end_round(record(1))
    state.begin_training(99)
    made = RoundEventLog()
    made.resume(state)
    follower = made.follow(ALICE)
    first, second = await anext(follower), await anext(follower)
    assert (first.phase, first.round, first.payout) == (pb.ROUND_PHASE_SETTLED, 1, 11)
    assert (second.phase, second.round, second.deadline_ms) == (pb.ROUND_PHASE_TRAINING, 2, 99)
