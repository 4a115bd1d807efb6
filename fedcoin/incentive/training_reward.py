"""The two rules by which a campaign pays its clients.

PROPORTIONAL is the paper's: each round's training price is split among the clients with a positive
value (`payout.split_training_price`). A round that gains little pays as much as one that gains
much.

UNIT_PRICE pays for what was gained. Each positive value is paid at one price for a unit of the
utility, the same in every round, out of one fund for the whole campaign:

    payout_k = floor(max(S_k, 0) * unit_price / 10^9)

S_k is the agreed value in nano-utility. Each round starts from the best model settled so far, so
that gains are counted above it: what one round loses is never paid for again. A harmful update has
a negative value of its own and takes nothing from the others. When the fund does not suffice, it
is split in proportion. What is left in it at the campaign's end returns to the requester.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.incentive.payout import (
    RoundPrices,
    compute_round_budget,
    compute_round_prices,
    split,
    split_training_price,
)
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import OpenCampaign

UNIT_NANO: Final = 1_000_000_000
"""One unit of the utility, in nano-utility: the step from its smallest to its largest value."""


def split_budget(terms: OpenCampaign) -> RoundPrices:
    """Split a whole campaign's budget into what it pays for training, aggregation and mining.

    Args:
        terms: The campaign's terms.

    Returns:
        The three parts in sap, by largest remainder; they add up to the budget.

    Raises:
        RefusalError: BAD_SPLIT when all parts of the price split are 0.
    """
    weights = (terms.split.training, terms.split.aggregation, terms.split.mining)
    return RoundPrices(*split(terms.budget, weights))


def compute_prices_due(terms: OpenCampaign, round_number: int, training_fund: int) -> RoundPrices:
    """Compute the prices that the task of a round must offer.

    Args:
        terms: The campaign's terms.
        round_number: From 1 to the campaign's number of rounds.
        training_fund: What is left of the budget for training, in sap; used by UNIT_PRICE only.

    Returns:
        The round's prices in sap. Under UNIT_PRICE the training price is the whole fund, which is
        the most that the round can pay.

    Raises:
        RefusalError: BAD_SPLIT when the campaign has no such round or its spread is unknown.
    """
    if terms.training_reward != task_pb2.TRAINING_REWARD_UNIT_PRICE:
        return compute_round_prices(
            terms.budget, terms.rounds, terms.spread, round_number, terms.split
        )
    parts = split_budget(terms)
    shares = (
        compute_round_budget(part, terms.rounds, terms.spread, round_number)
        for part in (parts.aggregation, parts.mining)
    )
    return RoundPrices(training_fund, *shares)


def compute_training_share(terms: OpenCampaign, round_number: int, training_fund: int) -> int:
    """Compute what a round's training is worth by the campaign's spread alone.

    Args:
        terms: The campaign's terms.
        round_number: From 1 to the campaign's number of rounds.
        training_fund: What is left of the budget for training, in sap; used by UNIT_PRICE only.

    Returns:
        The amount in sap: the training price, or under UNIT_PRICE the round's share of the budget
        for training, but at most the fund.
    """
    if terms.training_reward != task_pb2.TRAINING_REWARD_UNIT_PRICE:
        return compute_prices_due(terms, round_number, 0).training
    part = split_budget(terms).training
    share = compute_round_budget(part, terms.rounds, terms.spread, round_number)
    return min(share, training_fund)


def compute_payouts(
    terms: OpenCampaign, shapley_nano: Sequence[int], training_price: int
) -> tuple[int, ...]:
    """Compute what the clients of a settled round are paid.

    Args:
        terms: The campaign's terms.
        shapley_nano: The agreed values in nano-utility, one for each client.
        training_price: The task's training price in sap, the most that may be paid.

    Returns:
        The payouts in sap, in the order of `shapley_nano`; together at most `training_price`.

    Raises:
        RefusalError: BAD_SPLIT when the price is negative.
    """
    if terms.training_reward != task_pb2.TRAINING_REWARD_UNIT_PRICE:
        return split_training_price(shapley_nano, training_price)[0]
    due = [max(value, 0) * terms.unit_price // UNIT_NANO for value in shapley_nano]
    return tuple(due) if sum(due) <= training_price else split(training_price, due)


def is_gain(shapley_nano: Sequence[int]) -> bool:
    """Tell whether a round made the model better.

    Args:
        shapley_nano: The agreed values in nano-utility. They add up to what the aggregate gained
            over the base model.

    Returns:
        True when the aggregate's utility is above the base model's.
    """
    return sum(shapley_nano) > 0
