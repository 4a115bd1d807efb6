"""Which tasks a miner works on."""

from __future__ import annotations

import pytest

from fedcoin.application.mining.task_choice import is_worth_mining, sort_by_offer
from fedcoin.data.messages.parameters import Parameters
from fedcoin.v1.state_pb2 import TaskState

RULES = Parameters(base_fee=1_000, fee_per_kib=10_000)


def test_the_best_offer_comes_first_and_of_equal_ones_the_oldest() -> None:
    offers = {b"a": 5, b"b": 9, b"c": 5, b"d": 0}
    tasks = {task_id: TaskState(offer=offer) for task_id, offer in offers.items()}
    assert [task_id for task_id, _ in sort_by_offer(tasks)] == [b"b", b"a", b"c", b"d"]


@pytest.mark.parametrize(
    ("price", "power", "floor", "is_worth"),
    [
        # A quarter of the price; 33,000 sap of fees and 1,000 sap for each of 20 million.
        (4 * 53_000, 25, 1_000, True),
        (4 * 53_000 - 1, 25, 1_000, False),
        (4 * 53_000, 24, 1_000, False),
        (4 * 53_000, 25, 1_001, False),
        (1, 100, 1_000, False),
        (0, 1, 0, True),
        (10**9, 0, 0, False),
    ],
)
def test_a_miner_s_share_must_cover_fees_and_floor_price(
    price: int, power: int, floor: int, is_worth: bool
) -> None:
    task = TaskState(total_power=100, work=20_000_000)
    assert is_worth_mining(task, price, power, RULES, floor) is is_worth
