"""Whole campaigns with noisy or harmful clients, under the product's rules of pay and exclusion.

A client is left out of all rounds after the one that takes its harm above the limit. Beside the
rule's balance each client's harm is added up without what makes up for it, to compare.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcoin.application.client.handing_in import PARTS
from fedcoin.application.coordinator.participation import (
    MIN_REFUSED_HARM,
    HarmBalance,
    check_lone_update,
)
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.incentive.training_reward import UNIT_NANO, compute_payouts, is_gain
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.training import datasets
from fedcoin.shapley import estimate
from fedcoin.testing.client_harm.client_behaviours import (
    ACCOMPLICES,
    HARMFUL,
    HELPER,
    go_on,
    list_attempts,
    make_updates,
    split_data,
)
from fedcoin.testing.measurements.evaluated_network import EvaluatedNetwork, Weights
from fedcoin.v1 import task_pb2

UPDATE_HARMS = 0.999
"""A limit for single updates (`coordinator.max_update_harm`) with which they are measured, and
hardly one is refused."""

MAX_HARM_NANO = UNIT_NANO // 10
"""The default of `coordinator.max_harm` at the default price of a unit, in nano-utility."""

FUND = 100 * SAP_PER_FDC
"""The budget for training in sap, and so the default price of a unit."""

MAX_EVALUATION_SIZE = 1_000
"""The largest evaluation set that is used as a whole in each round."""

PART_SIZE = 100
"""The size of each round's part, where each round has a part of its own."""


@dataclass(frozen=True)
class HarmOutcome:
    """What the clients of some campaigns did. A unit of harm is from no to all right answers."""

    # The data set's name, the federation's, and the size of a round's evaluation set.
    dataset: str
    federation: str
    evaluation_size: int
    # The number of rounds and of campaigns.
    rounds: int
    campaigns: int
    # Of all clients of all campaigns, the largest sum of harm, and the largest balance.
    largest_sum: float
    largest_balance: float
    # How many clients had a sum, and a balance, above the limit.
    over_by_sum: int
    left_out: int
    # The clients' pay in parts of the fund, and the last model's accuracy, as means.
    paid: float
    accuracy: float
    # Of accomplices, at most: what the helper was paid in parts of the fund since they act, and
    # what the harmful one had made up for before. 0 in honest federations.
    helper_paid: float
    earned_before: float
    # How many updates honest clients handed in, and the most harm that one of them does alone, in
    # parts of what its base is worth; updates that `MIN_REFUSED_HARM` lets pass do not count.
    updates: int
    worst_alone: float


@dataclass
class _Campaign:
    """The state of one campaign."""

    base: Weights
    balance: HarmBalance
    sums: dict[int, int]
    left: int = FUND
    accuracy: float = 0.0
    helper_paid: int = 0
    earned_before: int = 0
    updates: int = 0
    worst_alone: float = 0.0


def measure_harm(
    dataset: str,
    federation: str,
    rounds: int,
    campaigns: int,
    *,
    in_parts: bool,
    max_update_harm: float,
) -> HarmOutcome:
    """Run campaigns, and measure harm, pay and who is left out.

    Args:
        dataset: A data set that `datasets.load_dataset` takes.
        federation: A key of `client_behaviours.HONEST` or `ACCOMPLICES`.
        rounds: The number of rounds.
        campaigns: The number of campaigns, each with a seed of its own.
        in_parts: Whether each round has a part of the evaluation set of its own.
        max_update_harm: The coordinator's setting; with 1 no update is refused, or measured alone.

    Returns:
        What all campaigns together show.
    """
    with tempfile.TemporaryDirectory() as folder:
        study = _HarmStudy(Path(folder), dataset, rounds if in_parts else 1, max_update_harm)
        ended = [study.run(federation, seed, rounds) for seed in range(campaigns)]
    sums = [harm for one in ended for harm in one.sums.values()]
    balances = [harm for one in ended for harm in one.balance.nano.values()]
    return HarmOutcome(
        dataset,
        federation,
        study.evaluation_size,
        rounds,
        campaigns,
        largest_sum=max(sums, default=0) / UNIT_NANO,
        largest_balance=max(balances, default=0) / UNIT_NANO,
        over_by_sum=sum(harm > MAX_HARM_NANO for harm in sums),
        left_out=sum(harm > MAX_HARM_NANO for harm in balances),
        paid=float(np.mean([1 - one.left / FUND for one in ended])),
        accuracy=float(np.mean([one.accuracy for one in ended])),
        helper_paid=max(one.helper_paid for one in ended) / FUND,
        earned_before=max(one.earned_before for one in ended) / UNIT_NANO,
        updates=sum(one.updates for one in ended),
        worst_alone=max(one.worst_alone for one in ended),
    )


class _HarmStudy:
    """A data set, and the network that is trained and valued on it."""

    def __init__(self, folder: Path, dataset: str, num_parts: int, max_update_harm: float) -> None:
        self._max_update_harm = max_update_harm
        self._data = datasets.load_dataset(dataset)
        most = len(self._data.y_test)
        size = min(MAX_EVALUATION_SIZE if num_parts == 1 else num_parts * PART_SIZE, most)
        self._network = EvaluatedNetwork(folder, dataset, size, num_parts)
        self.evaluation_size = self._network.evaluation_size
        self._num_parts = num_parts

    def run(self, federation: str, seed: int, rounds: int) -> _Campaign:
        """Run one campaign."""
        parts = split_data(self._data, federation, seed)
        one = _Campaign(self._network.draw_weights(seed), HarmBalance(), {})
        for number in range(1, rounds + 1):
            updates = make_updates(federation, parts, one.base, seed, number)
            handed_in: dict[int, Weights] = {}
            for client, update in enumerate(updates):
                is_honest = client < HARMFUL or number < ACCOMPLICES.get(federation, rounds + 1)
                if _is_left_out(one.balance, client):
                    continue
                attempts = [update]
                if self._max_update_harm < 1 and is_honest:
                    attempts = [go_on(one.base, update, part) for part in PARTS]
                elif not is_honest:
                    harmful = handed_in.get(HARMFUL)
                    attempts = list_attempts(federation, client, one.base, update, seed, harmful)
                taken = self._hand_in(one, number, attempts, is_honest=is_honest)
                handed_in |= {client: taken} if taken is not None else {}
            if handed_in:
                self._settle(one, number, list(handed_in), list(handed_in.values()))
            if number + 1 == ACCOMPLICES.get(federation):
                one.earned_before = -min([0, *one.balance.nano.values()])
            if number < ACCOMPLICES.get(federation, rounds + 1):
                one.helper_paid = 0
        return one

    def _hand_in(
        self, one: _Campaign, number: int, attempts: Sequence[Weights], *, is_honest: bool
    ) -> Weights | None:
        """Hand in the first attempt that is not refused; the update where nothing is."""
        if self._max_update_harm >= 1:
            return attempts[0]
        one.updates += is_honest
        shard = (number - 1) % self._num_parts
        for sent in attempts:
            found = self._network.measure_alone(one.base, sent, shard)
            harm = found.base - found.alone
            is_much = harm > MIN_REFUSED_HARM * self.evaluation_size
            if is_honest and sent is attempts[0] and is_much:
                one.worst_alone = max(one.worst_alone, harm / found.base)
            try:
                check_lone_update(found, self.evaluation_size, self._max_update_harm)
            except RefusalError:
                continue
            return sent
        return None

    def _settle(
        self, one: _Campaign, number: int, clients: Sequence[int], updates: Sequence[Weights]
    ) -> None:
        """Value and pay a round, and go on from its model if it gained."""
        part = (number - 1) % self._num_parts
        counts = self._network.count_right_answers(
            one.base, updates, [1] * len(updates), task_pb2.AVERAGING_EQUAL, part
        )
        masks = 1 << np.arange(len(updates))
        table = counts / self.evaluation_size
        values = estimate(lambda rows: table[rows @ masks], len(updates), method="exact").values
        nano = [round(value * UNIT_NANO) for value in values]
        terms = task_pb2.OpenCampaign(
            training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE, unit_price=FUND
        )
        paid = compute_payouts(terms, nano, one.left)
        one.left -= sum(paid)
        if HELPER in clients:
            one.helper_paid += paid[clients.index(HELPER)]
        if is_gain(nano):
            one.base = federated_average(updates, [1] * len(updates))
        one.accuracy = float(table[-1] if is_gain(nano) else table[0])
        outcomes = [
            ClientOutcome(_address(k), 1, value, amount)
            for k, value, amount in zip(clients, nano, paid, strict=True)
        ]
        record = RoundRecord(
            number, bytes(32), True, is_gain(nano), int(counts[-1]), self.evaluation_size,
            tuple(outcomes),
        )  # fmt: skip
        gained = sum(max(0, value) for value in nano)
        for client, value in zip(clients, nano, strict=True):
            harm = -value if record.adopted else min(-value, gained)
            one.sums[client] = one.sums.get(client, 0) + max(0, harm)
        one.balance.add(record)


def _is_left_out(balance: HarmBalance, client: int) -> bool:
    return balance.nano.get(_address(client), 0) > MAX_HARM_NANO


def _address(client: int) -> bytes:
    return client.to_bytes(20, "big")
