"""Every watcher gets each event once, in order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase, EvaluationShard
from fedcoin.application.coordinator.round_events import RoundEventLog
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.v1 import federated_learning_service_pb2 as pb
from tests.support.genesis import GENESIS_HASH
from tests.support.waiting import let_others_run

ALICE, BOB = b"a" * 20, b"b" * 20


def campaign() -> Campaign:
    return Campaign(
        "chain", GENESIS_HASH, 2, 4, b"m" * 32, b"b" * 32, (EvaluationShard(b"e" * 32, 9),)
    )


def record(number: int) -> RoundRecord:
    return RoundRecord(number, b"t" * 32, True, True, 5, 9, (ClientOutcome(ALICE, 3, -7, 11),))


async def watch(events: RoundEventLog, address: bytes) -> list[pb.WatchRoundsResponse]:
    return [message async for message in events.follow(address)]


async def test_slow_and_fast_watchers_see_the_same() -> None:
    events, state = RoundEventLog(), campaign()
    events.begin(state)
    early = asyncio.create_task(watch(events, ALICE))
    for number in (1, 2):
        state.begin_training(1000 * number)
        events.add_phase(state)
        if number == 1:
            await let_others_run()  # The first watcher gets one event, then all others at once.
        state.phase = CampaignPhase.SETTLING
        events.add_phase(state, b"t" * 32)
        state.end_round(record(number))
        events.add_round_end(state, record(number))
        events.add_phase(state)
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
    assert (seen[3].num_samples, seen[3].failed) == (3, False)
    # A late watcher gets the ends of the rounds, and that the campaign is finished.
    late = await watch(events, BOB)
    ends = [pb.ROUND_PHASE_SETTLED, pb.ROUND_PHASE_SETTLED]
    assert [message.phase for message in late] == [*ends, pb.ROUND_PHASE_FINISHED]
    assert [message.num_samples for message in late] == [0, 0, 0]
    assert late[0].payout == 0
    assert await events.wait_until_informed([ALICE, BOB], 0.1)
    assert not await events.wait_until_informed([b"c" * 20], 0.1)


async def test_the_end_waits_for_clients_that_are_not_informed() -> None:
    events, state = RoundEventLog(), campaign()
    state.phase = CampaignPhase.FINISHED
    events.begin(state)
    waiting = asyncio.create_task(events.wait_until_informed([ALICE, BOB], 60))
    await watch(events, ALICE)
    await asyncio.sleep(0)
    assert not waiting.done()
    await watch(events, BOB)
    assert await waiting


async def test_after_a_restart_the_rounds_that_are_over_come_first() -> None:
    state = campaign()
    state.rounds = 3
    state.phase = CampaignPhase.SETTLING
    state.end_round(record(1))
    state.end_round(replace(record(2), settled=False))
    state.begin_training(99)
    events = RoundEventLog()
    events.begin(state)
    follower = events.follow(ALICE)
    first, second, third = [await anext(follower) for _ in range(3)]
    assert (first.phase, first.round, first.payout) == (pb.ROUND_PHASE_SETTLED, 1, 11)
    assert (second.phase, second.round, second.failed) == (pb.ROUND_PHASE_SETTLED, 2, True)
    assert (third.phase, third.round, third.deadline_ms) == (pb.ROUND_PHASE_TRAINING, 3, 99)
