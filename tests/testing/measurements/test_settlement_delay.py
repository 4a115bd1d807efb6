"""Censoring proposers and withholding miners delay settlements by no more than they should."""

from __future__ import annotations

import pytest

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.incentive.payout import compute_deposit
from fedcoin.testing.measurements.settlement_delay import measure_censorship, measure_withholding

DEPOSIT = compute_deposit(1, 20 * SAP_PER_FDC, winner_takes_all=True)


@pytest.mark.parametrize(("validators", "censors"), [(4, 1), (7, 2)])
@pytest.mark.parametrize("hasty", [False, True])
def test_censors_delay_an_action_by_at_most_a_block_each(
    validators: int, censors: int, hasty: bool
) -> None:
    honest = measure_censorship(2, validators, 0)
    delay = measure_censorship(2, validators, censors, hasty=hasty)
    assert delay.failed == 0
    # Each of a task's three phases can be delayed.
    assert delay.max_blocks <= honest.min_blocks + 3 * censors
    assert len(delay.waits) - 1 <= censors
    assert sum(delay.waits) == 3 * 2 * (validators - censors)
    assert len(honest.waits) == 1
    assert delay.revealed == 2 * (validators - censors)
    assert delay.burned == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("validators", "censors"), [(4, 1), (7, 2), (10, 3)])
def test_the_longest_delay_is_reached_and_never_exceeded(validators: int, censors: int) -> None:
    delay = measure_censorship(4, validators, censors, seeds=2)
    assert delay.failed == 0
    assert len(delay.waits) - 1 == censors


@pytest.mark.parametrize("kind", ["withholder", "late-withholder"])
def test_withholding_does_not_stop_a_settlement_with_a_quorum(kind: str) -> None:
    outcome = measure_withholding(2, kind, 4, 1)
    assert (outcome.settled, outcome.failed) == (2, 0)
    assert outcome.burned == pytest.approx(DEPOSIT / SAP_PER_FDC)


def test_an_absent_miner_costs_time_and_no_coins() -> None:
    outcome = measure_withholding(2, "absentee", 4, 1)
    assert (outcome.settled, outcome.failed, outcome.burned) == (2, 0, 0)
    # A grace time, not the window of 10 s.
    assert 6 <= outcome.seconds < 8
