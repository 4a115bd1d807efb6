"""How prices are split, to the last sap.

Paper, Algorithm 3: client i gets TrainPrice x S_i / (sum of the positive S_j), if S_i > 0. What the
paper leaves open is fixed here: shares are whole sap by largest remainder, and when no value is
positive the price goes back to the requester.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.v1 import task_pb2


@dataclass(frozen=True, slots=True)
class RoundPrices:
    """What one round pays, in sap; the fields of the wire's ``RoundPrices``."""

    training: int
    aggregation: int
    mining: int

    def total(self) -> int:
        """All of it."""
        return self.training + self.aggregation + self.mining


def split(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split ``amount`` sap in proportion to ``weights``, exactly.

    Largest remainder, ties to the lower index; the parts add up to ``amount``, and who weighs
    nothing gets nothing. Raises ``Refusal`` BAD_SPLIT for a negative amount or weight, or when all
    weights are zero while there is something to split.
    """
    if amount < 0 or any(weight < 0 for weight in weights):
        raise RefusalError(
            IncentiveCode.BAD_SPLIT,
            "amount and weights must not be negative",
            field="weights",
            limit="0",
        )
    whole = sum(weights)
    if whole == 0:
        if amount:
            raise RefusalError(
                IncentiveCode.BAD_SPLIT,
                f"{amount} sap cannot be split: all weights are zero",
                field="weights",
                limit="at least one above 0",
            )
        return (0,) * len(weights)
    parts = [amount * weight // whole for weight in weights]
    missing = amount - sum(parts)
    order = sorted(range(len(parts)), key=lambda k: (-(amount * weights[k] % whole), k))
    for k in order[:missing]:
        parts[k] += 1
    return tuple(parts)


def compute_deposit(least: int, mining_price: int) -> int:
    """What a miner puts down with a commitment, in sap.

    A third of the price of mining, rounded up, or ``least`` where that is more. Who keeps its salt
    back changes the challenge, and the lottery of an EXACT task with it. With less than a third of
    the power its accomplices win the new draw with a chance below a third: so the deposit is worth
    more than what it buys.
    """
    return max(least, -(-mining_price // 3))


def split_training_price(
    shapley_nano: Sequence[int], training_price: int
) -> tuple[tuple[int, ...], int]:
    """What each client gets of ``training_price`` for the agreed values, and what goes back.

    Returns ``(payouts, refund)`` in sap: either the payouts add up to the price and the refund is
    0, or no value is positive, nobody is paid and the refund is the price. Raises ``Refusal``
    BAD_SPLIT for a negative price.
    """
    positive = [max(value, 0) for value in shapley_nano]
    if not any(positive):
        return split(0, positive), training_price
    return split(training_price, positive), 0


def compute_round_budget(budget: int, rounds: int, spread: int, number: int) -> int:
    """The share of ``budget`` (sap) that round ``number`` (from 1) of ``rounds`` pays.

    With W(r) the weight of the first r rounds (EQUAL: r; DECREASING, as in the paper: round i
    weighs rounds + 1 - i), round r gets floor(budget x W(r) / W(rounds)) less the same for r - 1:
    within one sap of its proportion, and all rounds add up to the budget.

    ``spread`` is a ``BudgetSpread`` of the wire. Raises ``Refusal`` BAD_SPLIT when the spread is
    unknown, the round is not one of the campaign's, or the budget is negative.
    """
    if not 1 <= number <= rounds or budget < 0:
        raise RefusalError(
            IncentiveCode.BAD_SPLIT,
            f"round {number} of a budget of {budget} sap does not exist: rounds go from 1 to"
            f" {rounds} and a budget is not negative",
            field="round",
            limit=str(rounds),
        )
    if spread == task_pb2.BUDGET_SPREAD_EQUAL:
        before, upto, whole = number - 1, number, rounds
    elif spread == task_pb2.BUDGET_SPREAD_DECREASING:
        whole = rounds * (rounds + 1) // 2
        before = whole - (rounds + 1 - number) * (rounds + 2 - number) // 2
        upto = whole - (rounds - number) * (rounds + 1 - number) // 2
    else:
        raise RefusalError(
            IncentiveCode.BAD_SPLIT,
            f"budget spread {spread} is unknown: use EQUAL or DECREASING",
            field="spread",
        )
    return budget * upto // whole - budget * before // whole


def compute_round_prices(
    budget: int, rounds: int, spread: int, number: int, parts: task_pb2.PriceSplit
) -> RoundPrices:
    """What round ``number`` (from 1) pays: its share of the budget, split by ``parts``.

    The split is by largest remainder in the order train, com, sap. Raises ``Refusal`` BAD_SPLIT as
    ``round_share`` and ``split`` do.
    """
    share = compute_round_budget(budget, rounds, spread, number)
    return RoundPrices(*split(share, (parts.training, parts.aggregation, parts.mining)))
