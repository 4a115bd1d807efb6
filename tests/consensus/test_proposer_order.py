"""Turns are in proportion to power, however it is split, and joining, leaving or winning gains
none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.consensus.proposer_order import MAX_DISTINCT_ROUNDS, ProposerOrder
from fedcoin.consensus.validators import Validator, ValidatorSet
from tests.conftest import ReportAttack

FDC = 100_000_000


def bonded(powers: Sequence[int]) -> ValidatorSet:
    return ValidatorSet(
        tuple(Validator(bytes([i]) * 20, bytes([i]) * 32, power) for i, power in enumerate(powers))
    )


def address(index: int) -> bytes:
    return bytes([index]) * 20


def turns(order: ProposerOrder, heights: int) -> Counter[bytes]:
    """Count the proposers of round 0 over this many heights."""
    counted: Counter[bytes] = Counter()
    for _ in range(heights):
        counted[order.proposer(0).address] += 1
        order = order.next_height(order.validators)
    return counted


def test_equal_validators_take_turns_in_the_order_of_addresses() -> None:
    order = ProposerOrder.first(bonded([5, 5, 5]))
    seen = []
    for _ in range(6):
        seen.append(order.proposer(0).address)
        order = order.next_height(order.validators)
    assert seen == [address(i) for i in (0, 1, 2, 0, 1, 2)]


def test_each_round_passes_the_turn_on() -> None:
    order = ProposerOrder.first(bonded([5, 5, 5]))
    assert [order.proposer(r).address for r in range(4)] == [address(i) for i in (0, 1, 2, 0)]
    # Asked in any order.
    again = ProposerOrder.first(bonded([5, 5, 5]))
    assert again.proposer(2).address == address(2)
    assert again.proposer(0).address == address(0)


@pytest.mark.attack
def test_dust_bonds_get_the_turns_of_their_power_and_no_more(report_attack: ReportAttack) -> None:
    # 96 bonds of 1 FDC hold 2.3 % of the power beside four of 1,000 FDC.
    order = ProposerOrder.first(bonded([FDC] * 96 + [1_000 * FDC] * 4))
    counted = turns(order, 4_096)
    dust = sum(counted[address(i)] for i in range(96))
    assert dust == 96
    report_attack(
        "96 bonds of 1 FDC beside four of 1,000 FDC (2.3 % of the power) take the turns to propose",
        "96 % of the turns",
        f"{dust / 4_096:.1%} of the turns".replace("%", " %"),
    )
    assert all(counted[address(i)] == 1_000 for i in range(96, 100))


def test_dust_bonds_do_not_hold_up_the_rounds_of_a_height() -> None:
    order = ProposerOrder.first(bonded([FDC] * 96 + [1_000 * FDC] * 4))
    first = [order.proposer(round).address for round in range(8)]
    assert set(first) == {address(i) for i in range(96, 100)}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=8))
def test_turns_are_as_the_power(powers: list[int]) -> None:
    total = sum(powers)
    counted = turns(ProposerOrder.first(bonded(powers)), min(total, 2_000))
    for i, power in enumerate(powers):
        expected = power * min(total, 2_000) / total
        assert abs(counted[address(i)] - expected) <= len(powers)


def test_a_winner_has_round_zero_and_is_charged_for_it() -> None:
    order = ProposerOrder.first(bonded([1, 1, 2]))
    counted: Counter[bytes] = Counter()
    for height in range(400):
        counted[order.proposer(0).address] += 1
        # The first validator wins a task every twelve blocks.
        order = order.next_height(order.validators, address(0) if height % 12 == 0 else b"")
        if height % 12 == 0:
            assert order.proposer(0).address == address(0)
            assert order.proposer(1).address != address(0)
    assert [counted[address(i)] for i in range(3)] == [100, 100, 200]


def test_a_silent_winner_is_charged_as_well() -> None:
    validators = bonded([1, 1])
    won = ProposerOrder(validators, (0, 0), address(1))
    assert won.proposer(0).address == address(1)
    assert won.next_height(validators).proposer(0).address == address(0)


def test_a_winner_that_left_has_no_turn() -> None:
    order = ProposerOrder(bonded([1, 1]), (0, 0), address(7))
    assert order.proposer(0).address == address(0)


def test_newcomers_start_behind() -> None:
    old = ProposerOrder.first(bonded([10, 10, 10]))
    order = old.next_height(bonded([10, 10, 10, 10]))
    first = [order.proposer(round).address for round in range(3)]
    assert address(3) not in first


def test_leaving_and_bonding_again_resets_nothing() -> None:
    with_debt = ProposerOrder(bonded([10] * 10), (*[20] * 9, -180))
    left = with_debt.priorities_after()[address(9)]
    without = with_debt.next_height(bonded([10] * 9))
    back = without.next_height(bonded([10] * 10), remembered={address(9): left})
    forgotten = without.next_height(bonded([10] * 10))
    assert back.priorities[9] < forgotten.priorities[9]
    ahead = without.next_height(bonded([10] * 10), remembered={address(9): 1_000})
    assert ahead.priorities == forgotten.priorities


def test_priorities_fit_into_64_bits() -> None:
    order = ProposerOrder.first(bonded([2**62, 2**61, 2**61 - 1]))
    for height in range(100):
        order = order.next_height(order.validators, address(2) if height % 2 else b"")
        assert all(abs(priority) < 2**62 for priority in order.priorities)
    assert turns(order, 400)[address(0)] in range(195, 206)


def test_a_far_round_costs_no_more_than_the_rounds_that_differ() -> None:
    order = ProposerOrder.first(bonded([5, 5, 5]))
    far = order.proposer(2**32 - 2)
    assert far == order.proposer((2**32 - 2) % MAX_DISTINCT_ROUNDS)


def test_an_empty_set_has_no_proposer() -> None:
    order = ProposerOrder.first(ValidatorSet(()))
    with pytest.raises(ValueError, match="no proposer"):
        order.proposer(0)
    assert order.next_height(ValidatorSet(())).priorities == ()


def test_priorities_and_validators_go_together() -> None:
    with pytest.raises(ValueError, match="2 priorities for 3 validators"):
        ProposerOrder(bonded([1, 1, 1]), (0, 0))
