"""Why keeping the rest of the fund after the last round binds no server that means to cheat.

docs/adr/0043 has the argument.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.incentive.training_reward import UNIT_NANO, compute_payouts
from fedcoin.v1 import task_pb2

MAX_FUND = 10**15
"""Ten million FDC, in sap."""


@given(
    fund=st.integers(1, MAX_FUND),
    gains=st.lists(st.integers(UNIT_NANO // 1000, UNIT_NANO), min_size=1, max_size=4),
)
def test_a_requester_can_choose_a_price_that_leaves_nothing(fund: int, gains: list[int]) -> None:
    """Its own clients take the whole fund, whatever they gain, so that no rest can be burned."""
    price = -(-fund * UNIT_NANO // sum(gains)) + len(gains) * 1000  # no gain's part is rounded down
    terms = task_pb2.OpenCampaign(
        training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE, unit_price=price
    )
    assert price <= MAX_AMOUNT
    assert sum(compute_payouts(terms, gains, fund)) == fund
