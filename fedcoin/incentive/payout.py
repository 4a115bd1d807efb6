"""Split prices and budgets to the last sap.

All amounts are whole numbers of sap. The paper's Algorithm 3 pays client i
TrainPrice * S_i / (sum of the positive S_j) when its Shapley value S_i is positive. Two things that
the paper leaves open are decided here: shares are rounded by largest remainder, and the training
price (TrainPrice) goes back to the requester when no value is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.rounding import round_to_sum
from fedcoin.v1 import task_pb2


@dataclass(frozen=True, slots=True)
class RoundPrices:
    """The three payments of one training round, in sap; fields as in the message `RoundPrices`."""

    training: int
    """For the clients, split by their Shapley values (the paper's TrainPrice)."""
    aggregation: int
    """For the coordinator (the paper's ComPrice)."""
    mining: int
    """For the miners (the paper's SapPrice)."""

    def total(self) -> int:
        """Add up the three prices.

        Returns:
            The whole price of the round, in sap.
        """
        return self.training + self.aggregation + self.mining


def split(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split an amount in proportion to weights, by largest remainder.

    Args:
        amount: What to split, in sap; at least 0.
        weights: One for each share, at least 0; not all 0 unless `amount` is 0.

    Returns:
        The shares in sap, in the order of `weights`. They add up to `amount`; a weight of 0 gets
        0, and a remainder that two shares have in common goes to the first of them.

    Raises:
        RefusalError: BAD_SPLIT when the amount or a weight is negative, or when all weights are 0
            and the amount is not.
    """
    if amount < 0 or any(weight < 0 for weight in weights):
        raise RefusalError(
            IncentiveCode.BAD_SPLIT,
            f"the amount is {amount} sap and the smallest weight {min(weights, default=0)}:"
            " neither may be negative",
            field="weights",
            limit="0",
        )
    whole = sum(weights)
    if whole == 0:
        if amount:
            raise RefusalError(
                IncentiveCode.BAD_SPLIT,
                f"{amount} sap cannot be split: all weights are zero, at least one must be above 0",
                field="weights",
                limit="at least one above 0",
            )
        return (0,) * len(weights)
    return round_to_sum([amount * weight for weight in weights], whole)


def compute_deposit(min_deposit: int, mining_price: int, *, winner_takes_all: bool) -> int:
    """Compute what a miner deposits with its commitment.

    A miner that does not open its salt changes the challenge, and with it the draw of the winner.
    With enough addresses, one of which withholds, an owner nearly always finds a draw that it wins.
    So where the winner takes all, nothing less than the whole price makes this worthless. Where the
    inliers share the price, a withheld message only lowers the owner's own share; the deposit then
    is a price for making others wait (docs/adr/0026).

    Args:
        min_deposit: The network parameter `commit_deposit`, in sap.
        mining_price: What the task pays its miners, in sap.
        winner_takes_all: Whether one miner receives the whole mining price.

    Returns:
        The deposit in sap: `mining_price` if the winner takes all, else a third of it, rounded up;
        but at least `min_deposit`.
    """
    part = mining_price if winner_takes_all else -(-mining_price // 3)
    return max(min_deposit, part)


def split_training_price(
    shapley_nano: Sequence[int], training_price: int
) -> tuple[tuple[int, ...], int]:
    """Split the training price among the clients whose agreed value is positive.

    Args:
        shapley_nano: Agreed Shapley values in nano-utility, one for each client.
        training_price: The amount to split, in sap; at least 0.

    Returns:
        The clients' payouts in the order of `shapley_nano`, and the refund to the requester, both
        in sap. Either the payouts add up to the price and the refund is 0, or no value is
        positive, all payouts are 0 and the refund is the price.

    Raises:
        RefusalError: BAD_SPLIT when the price is negative.
    """
    positive = [max(value, 0) for value in shapley_nano]
    if not any(positive):
        return split(0, positive), training_price
    return split(training_price, positive), 0


def compute_round_budget(budget: int, rounds: int, spread: int, round_number: int) -> int:
    """Compute the share of a campaign's budget that one round pays.

    Let W(r) be the weight of the first r rounds. EQUAL: W(r) = r. DECREASING, as in the paper:
    round i weighs rounds + 1 - i. Round r gets floor(budget W(r) / W(rounds)) minus
    floor(budget W(r - 1) / W(rounds)). That is within 1 sap of its proportion, and the shares of
    all rounds add up to the budget.

    Args:
        budget: The campaign's budget in sap; at least 0.
        rounds: How many rounds the campaign has; at least 1.
        spread: A `BudgetSpread` of the wire, BUDGET_SPREAD_EQUAL or BUDGET_SPREAD_DECREASING.
        round_number: From 1 to `rounds`.

    Returns:
        The round's share in sap.

    Raises:
        RefusalError: BAD_SPLIT when the spread is unknown, the campaign has no such round, or the
            budget is negative.
    """
    if not 1 <= round_number <= rounds or budget < 0:
        raise RefusalError(
            IncentiveCode.BAD_SPLIT,
            f"round {round_number} of a budget of {budget} sap does not exist: rounds go from 1 to"
            f" {rounds} and a budget is not negative",
            field="round",
            limit=str(rounds),
        )
    if spread == task_pb2.BUDGET_SPREAD_EQUAL:
        before, upto, whole = round_number - 1, round_number, rounds
    elif spread == task_pb2.BUDGET_SPREAD_DECREASING:
        whole = rounds * (rounds + 1) // 2
        before = whole - (rounds + 1 - round_number) * (rounds + 2 - round_number) // 2
        upto = whole - (rounds - round_number) * (rounds + 1 - round_number) // 2
    else:
        raise RefusalError(
            IncentiveCode.BAD_SPLIT,
            f"budget spread {spread} is unknown: use EQUAL or DECREASING",
            field="spread",
        )
    return budget * upto // whole - budget * before // whole


def compute_round_prices(
    budget: int, rounds: int, spread: int, round_number: int, price_split: task_pb2.PriceSplit
) -> RoundPrices:
    """Compute the three prices of one round: its share of the budget, split by largest remainder.

    Args:
        budget: The campaign's budget in sap; at least 0.
        rounds: How many rounds the campaign has; at least 1.
        spread: A `BudgetSpread` of the wire, as in `compute_round_budget`.
        round_number: From 1 to `rounds`.
        price_split: Weights of the training, aggregation and mining price; not all 0.

    Returns:
        The round's prices in sap.

    Raises:
        RefusalError: BAD_SPLIT when the spread is unknown, the campaign has no such round, the
            budget is negative, or all weights of `price_split` are 0.
    """
    share = compute_round_budget(budget, rounds, spread, round_number)
    weights = (price_split.training, price_split.aggregation, price_split.mining)
    return RoundPrices(*split(share, weights))
