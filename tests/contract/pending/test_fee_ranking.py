"""The fee for the next block, followed change by change, against sorting all that wait."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.contract.pending.fee_ranking import FeeRanking
from fedcoin.contract.pending.sender_queue import Entry
from tests.support.keys import CAROL
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to


@pytest.fixture(scope="module")
def waiting() -> list[Entry]:
    """Payments of several sizes, of which some pay the same for each byte."""
    chain = LedgerChain.create(1, fee_per_kib=1)
    (sender,) = chain.miners
    entries = []
    for arrival in range(24):
        action = transfer_to(*((CAROL.address, 1),) * (1 + arrival % 4))
        fee = 10_000 * (1 + arrival % 5)
        entries.append(Entry(chain.sign(sender, action, fee=fee), None, 0, arrival=arrival))
    return entries


def sorted_rate(entries: list[Entry], room: int) -> int:
    """Compute the rate from all entries, as it is defined."""
    rates = sorted(((e.fee_rate, e.num_bytes) for e in entries), reverse=True)
    for rate, num_bytes in rates:
        room -= num_bytes
        if room < 0:
            return rate + 1
    return 0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_rate_is_that_of_sorting_everything(waiting: list[Entry], data: st.DataObject) -> None:
    ranking, inside = FeeRanking(), set[int]()
    for _ in range(data.draw(st.integers(1, 40))):
        which = data.draw(st.integers(0, len(waiting) - 1))
        if which in inside:
            inside.remove(which)
            ranking.remove(waiting[which])
        else:
            inside.add(which)
            ranking.add(waiting[which])
        assert len(ranking) == len(inside)
        if data.draw(st.booleans()):
            room = data.draw(st.integers(-500, 8_000))
            assert ranking.find_rate(room) == sorted_rate([waiting[i] for i in inside], room)
