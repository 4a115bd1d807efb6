"""Tests of who is left out of a campaign, in parts of what the campaign pays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.coordinator.chain_messages import compute_max_harm
from fedcoin.application.coordinator.participation import (
    HarmBalance,
    check_harmless,
    check_lone_update,
)
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.training_reward import compute_payouts, split_budget
from fedcoin.learning.evaluation.lone_updates import LoneUpdate
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


def balance(*rounds: RoundRecord) -> dict[bytes, int]:
    """The balances after some rounds."""
    made = HarmBalance()
    for record in rounds:
        made.add(record)
    return made.nano


def test_undoing_each_others_harm_does_not_make_up_for_it() -> None:
    """Else two accomplices could take turns: what one repairs is paid, and the other harms."""
    rounds = [
        ended(number, *zip(pair, (-6_000_000, 6_000_000), strict=True))
        for number, pair in enumerate([(ANN, BOB), (BOB, ANN)] * 10, 1)
    ]
    assert balance(*rounds) == {ANN: 60_000_000, BOB: 60_000_000}
    check_harmless(60_000_000, 60_000_000)
    with pytest.raises(RefusalError) as caught:
        check_harmless(60_000_001, 60_000_000)
    assert (caught.value.code, caught.value.limit) == (ApplicationCode.LEFT_OUT, "-60000000")


def test_harm_counts_as_far_as_others_gained() -> None:
    """No more was paid for undoing it, and nothing in a round that was worse for everybody."""
    assert balance(ended(1, (ANN, -400_000_000), (BOB, -300_000_000))) == {}
    third = (b"c" * 20, 5_000_000)
    rounds = [ended(1, (ANN, -400_000_000), (BOB, -1_000_000), third), ended(2, (ANN, 9), (BOB, 9))]
    assert balance(*rounds) == {ANN: 5_000_000, BOB: 1_000_000}


def adopted(number: int, right_of_ten: int, *values: tuple[bytes, int]) -> RoundRecord:
    return replace(ended(number, *values), adopted=True, utility=right_of_ten)


def test_all_harm_counts_where_its_model_is_adopted() -> None:
    """Else a client could sink a converged model in each round under `PROPORTIONAL`."""
    sunk = adopted(1, 3, (ANN, -400_000_000), (BOB, 1_000_000))
    assert balance(sunk) == {ANN: 400_000_000}


def test_a_part_of_what_the_model_gained_makes_up_for_harm() -> None:
    """An honest client's values are above and below zero by chance, once the model is good."""
    first = adopted(1, 7, (ANN, 500_000_000), (BOB, 200_000_000), (bytes(20), -100_000_000))
    # Of the gains, 6 of 7 parts took the model up; the rest made up for the third one's harm.
    earned = {ANN: -428_571_428, BOB: -171_428_571, bytes(20): 100_000_000}
    assert balance(first) == earned
    noisy = ended(2, (ANN, -5_000_000), (BOB, 8_000_000))
    assert balance(first, noisy)[ANN] == -423_571_428
    # Of a round that was not settled nothing is known.
    assert balance(first, replace(adopted(2, 9, (ANN, 1)), settled=False)) == earned


def test_sinking_the_model_and_raising_it_again_makes_up_for_nothing() -> None:
    """Under `PROPORTIONAL` each settled model is adopted, also one that is worse."""
    rounds = [adopted(1, 8, (ANN, 400_000_000), (BOB, 400_000_000))]
    for number in (2, 4, 6):
        rounds += [
            adopted(number, 4, (ANN, -400_000_000), (BOB, 0)),
            adopted(number + 1, 8, (ANN, 200_000_000), (BOB, 200_000_000)),
        ]
    assert balance(*rounds) == {ANN: -400_000_000 + 3 * 400_000_000, BOB: -400_000_000}
    # What raises it above the best one is real.
    rounds.append(adopted(8, 9, (BOB, 100_000_000)))
    assert balance(*rounds)[BOB] == -500_000_000


def play_noise(seed: int, rounds: int) -> tuple[HarmBalance, NDArray[Any]]:
    """Play a campaign of five honest clients whose values are noise once the model is good.

    Returns:
        The balances, and the sum of each client's harm.
    """
    rng, made, sums = np.random.default_rng(seed), HarmBalance(), np.zeros(5)
    utility = 100_000_000
    for number in range(1, rounds + 1):
        gain = 0.6 * max(0, 920_000_000 - utility)
        values = np.rint(gain / 5 + rng.normal(0, 5_000_000, 5)).astype(int)
        is_adopted = values.sum() > 0
        utility += int(values.sum()) if is_adopted else 0
        outcomes = zip([bytes([k]) * 20 for k in range(5)], values.tolist(), strict=True)
        record = replace(ended(number, *outcomes), utility=utility, evaluation_size=10**9)
        made.add(replace(record, adopted=bool(is_adopted)))
        gained = values[values > 0].sum()
        sums += np.maximum(0, -values if is_adopted else np.minimum(-values, gained))
    return made, sums


@pytest.mark.parametrize("rounds", [10, 50, 100])
def test_honest_noise_leaves_nobody_out_however_long_a_campaign_is(rounds: int) -> None:
    limit, over_by_sum = 100_000_000, 0
    for seed in range(8):
        made, sums = play_noise(seed, rounds)
        assert max(made.nano.values()) < limit
        over_by_sum += int((sums > limit).sum())
    # Harm that only added up would leave most of them out of a long campaign.
    assert (over_by_sum > 20) == (rounds == 100)


@pytest.mark.parametrize("earned", [0, 300_000_000])
@pytest.mark.parametrize("harm", [100_000, 3_000_000, 50_000_000, 900_000_000])
def test_accomplices_are_paid_for_a_part_of_the_fund_and_what_was_earned_and_one_round(
    harm: int, earned: int
) -> None:
    """However small the harm of a round is: it adds up over the rounds."""
    config = settings(budget="100fdc", split=(7, 1, 2), unit_price="140fdc", max_harm="0.05")
    terms = task_pb2.OpenCampaign(
        budget=config.budget,
        split=task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
        training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE,
        unit_price=config.unit_price,
    )
    fund, most, made = split_budget(terms).training, compute_max_harm(config), HarmBalance()
    # First the one that will harm takes the model from 0.3 up, and is paid for it.
    made.add(replace(adopted(1, 0, (ANN, earned)), utility=3 + earned // 100_000_000))
    left = fund - sum(compute_payouts(terms, (earned,), fund))
    paid, last = 0, 0
    while made.nano.get(ANN, 0) <= most:
        made.add(ended(2, (ANN, -harm), (BOB, harm)))
        last = sum(compute_payouts(terms, (-harm, harm), left - paid))
        paid += last
    # What the accomplice of one address that harms was paid until that is left out.
    assert 0 < paid <= fund * 0.05 + earned * config.unit_price // 10**9 + last


@pytest.mark.parametrize(
    ("base", "alone", "max_harm", "is_refused"),
    [
        (800, 159, 0.8, True),
        (800, 160, 0.8, False),
        (800, 0, 1.0, False),
        # A base that is worth little may be lost by chance.
        (200, 0, 0.8, False),
        (201, 0, 0.8, True),
        (800, 600, 0.1, False),
        (800, 599, 0.1, True),
        (800, 950, 0.0, False),
        (0, 0, 0.0, False),
    ],
)
def test_an_update_is_refused_for_what_it_costs_alone(
    base: int, alone: int, max_harm: float, is_refused: bool
) -> None:
    found = LoneUpdate(base, alone)
    if not is_refused:
        check_lone_update(found, 1000, max_harm)
        return
    with pytest.raises(RefusalError, match="% worse") as caught:
        check_lone_update(found, 1000, max_harm)
    assert caught.value.code is ApplicationCode.HARMFUL_UPDATE
    assert caught.value.limit == f"{max_harm:g}"
