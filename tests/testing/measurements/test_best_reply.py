"""No reply to honest miners earns more than honesty, on the ledger."""

from __future__ import annotations

import pytest

from fedcoin.testing.campaign_simulation.coalition_play import Reply
from fedcoin.testing.measurements.best_reply import (
    MODES,
    measure_reply,
    measure_withheld_salts,
    search_best_reply,
)
from fedcoin.v1 import task_pb2

REPLIES = [
    Reply(),
    Reply(keys=20),
    Reply(keys=5, max_salts=2, max_leaves=2),
    Reply(keys=5, max_salts=1, opens_last=False),
    Reply(keys=5, skipped=2),
    Reply(keys=2, max_leaves=1, bonds_late=True),
    Reply(keys=2, diligence=10),
]


@pytest.mark.parametrize(("reward", "schedule"), MODES)
@pytest.mark.parametrize("reply", REPLIES)
def test_no_reply_earns_more_than_acting(reward: str, schedule: int, reply: Reply) -> None:
    outcome = measure_reply(reply, reward, schedule, 3)
    assert outcome.gains == 0
    assert outcome.net <= outcome.acting


@pytest.mark.parametrize(
    "reply", [Reply(keys=20), Reply(keys=5, skipped=2), Reply(keys=2, bonds_late=True)]
)
def test_exact_tasks_pay_no_more_than_the_share_of_the_power(reply: Reply) -> None:
    outcome = measure_reply(reply, "pro_rata", task_pb2.SCHEDULE_EXACT, 3)
    assert outcome.net <= outcome.fair * (1 + 1e-6)


def test_the_deposit_of_a_third_was_too_little_and_the_whole_price_is_enough() -> None:
    third = measure_withheld_salts(12, 10, 1 / 3)
    whole = measure_withheld_salts(12, 10, 1.0)
    assert third.net > 0.3
    assert third.acting == whole.acting == whole.net < 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("reward", "schedule"), MODES)
def test_the_search_ends_with_honesty(reward: str, schedule: int) -> None:
    tried = search_best_reply(reward, schedule, 8)
    assert len(tried) > 20
    assert not any(outcome.gains for outcome in tried)
