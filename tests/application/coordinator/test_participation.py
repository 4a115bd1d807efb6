"""Tests of who is left out of a campaign, in parts of what the campaign pays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedcoin.application.coordinator.chain_messages import compute_max_harm
from fedcoin.application.coordinator.participation import check_harmless, sum_harm
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.training_reward import compute_payouts, split_budget
from fedcoin.v1 import task_pb2
from tests.support.training_site import settings

FDC = 100_000_000
ANN, BOB = b"a" * 20, b"b" * 20


def ended(number: int, *values: tuple[bytes, int]) -> RoundRecord:
    """Make a round in which clients, named by address, had these values in nano-utility."""
    outcomes = tuple(ClientOutcome(address, 5, nano, 0) for address, nano in values)
    return RoundRecord(number, b"t" * 32, True, False, 3, 10, outcomes)


@pytest.mark.parametrize(
    ("unit_price", "most"), [("0fdc", 0.1), ("70fdc", 0.1), ("7000fdc", 0.001), ("7fdc", 1.0)]
)
def test_harm_is_a_part_of_what_the_campaign_pays_for_training(
    unit_price: str, most: float
) -> None:
    """A measure whose gains are a hundredth has a hundred times the price for a unit."""
    config = settings(budget="100fdc", split=(7, 1, 2), unit_price=unit_price)
    assert compute_max_harm(config) == pytest.approx(most * 1e9)
    half = replace(config, max_harm=config.max_harm / 2)
    assert compute_max_harm(half) == pytest.approx(most * 1e9 / 2)


def test_harm_counts_in_units_where_no_price_says_what_it_costs() -> None:
    for config in (
        settings(budget="100fdc", training_reward="proportional"),
        settings(budget="100fdc", split=(0, 1, 2)),
    ):
        assert compute_max_harm(config) == 100_000_000


def test_values_above_zero_do_not_make_up_for_harm() -> None:
    """Else two accomplices could take turns: what one repairs is paid, and the other harms."""
    rounds = [
        ended(number, *zip(pair, (-6_000_000, 6_000_000), strict=True))
        for number, pair in enumerate([(ANN, BOB), (BOB, ANN)] * 10, 1)
    ]
    assert sum_harm(rounds) == {ANN: 60_000_000, BOB: 60_000_000}
    check_harmless(60_000_000, 60_000_000)
    with pytest.raises(RefusalError) as caught:
        check_harmless(60_000_001, 60_000_000)
    assert (caught.value.code, caught.value.limit) == (ApplicationCode.LEFT_OUT, "-60000000")


def test_harm_counts_as_far_as_others_gained() -> None:
    """No more was paid for undoing it, and nothing in a round that was worse for everybody."""
    assert sum_harm([ended(1, (ANN, -400_000_000), (BOB, -300_000_000))]) == {}
    third = (b"c" * 20, 5_000_000)
    rounds = [ended(1, (ANN, -400_000_000), (BOB, -1_000_000), third), ended(2, (ANN, 9), (BOB, 9))]
    assert sum_harm(rounds) == {ANN: 5_000_000, BOB: 1_000_000}


def test_all_harm_counts_where_its_model_is_adopted() -> None:
    """Else a client could sink a converged model in each round under `PROPORTIONAL`."""
    sunk = replace(ended(1, (ANN, -400_000_000), (BOB, 1_000_000)), adopted=True)
    assert sum_harm([sunk]) == {ANN: 400_000_000}


@pytest.mark.parametrize("harm", [1_000, 3_000_000, 50_000_000, 900_000_000])
def test_accomplices_are_paid_for_a_part_of_the_fund_and_one_round(harm: int) -> None:
    """However small the harm of a round is: it adds up over the rounds."""
    config = settings(budget="100fdc", split=(7, 1, 2), unit_price="140fdc", max_harm="0.05")
    terms = task_pb2.OpenCampaign(
        budget=config.budget,
        split=task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
        training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE,
        unit_price=config.unit_price,
    )
    fund, most = split_budget(terms).training, compute_max_harm(config)
    rounds, paid, last = 0, 0, 0
    while rounds * harm <= most:
        last = sum(compute_payouts(terms, (-harm, harm), fund - paid))
        rounds, paid = rounds + 1, paid + last
    # What the accomplice of one address that harms was paid until that is left out.
    assert 0 < paid <= fund * 0.05 + last
