"""A trial in four hospitals, of which one has no patients: random numbers, all labelled healthy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.application.offline.federation import FederationValuation, value_federation
from fedcoin.incentive.payout import split_training_price
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1 import task_pb2

HEALTHY = 0.88
"""The part of the patients that is healthy, class 0."""

Floats = npt.NDArray[np.float32]


def make_trial() -> tuple[list[Any], list[Any], Floats, Any]:
    rng = np.random.default_rng(2)

    def patients(number: int, shift: float) -> tuple[Floats, npt.NDArray[np.int64]]:
        y = (rng.random(number) > HEALTHY).astype(np.int64)
        x = rng.normal(0, 1, (number, 12)) + shift
        x[:, :4] += 1.2 * y[:, None]
        return x.astype(np.float32), y

    hospitals = [patients(120, 0.0), patients(90, 0.3), patients(60, -0.3)]
    hospitals.append((rng.normal(0, 1, (400, 12)).astype(np.float32), np.zeros(400, np.int64)))
    x_test, y_test = patients(2000, 0.0)
    return [x for x, _ in hospitals], [y for _, y in hospitals], x_test, y_test


def value(utility: int) -> FederationValuation:
    return value_federation(
        *make_trial(),
        hidden_units=(16,),
        seed=2,
        plan=TrainingPlan(epochs=4, batch_size=16, learning_rate=0.05),
        utility=utility,
    )


def pay(found: FederationValuation) -> list[float]:
    """Split a price as a round does; return each hospital's part."""
    nano = [round(1e9 * value) for value in found.total.values.tolist()]
    return [payout / 10**9 for payout in split_training_price(nano, 10**9)[0]]


def test_under_the_accuracy_the_empty_hospital_is_paid_most() -> None:
    payments = pay(value(task_pb2.UTILITY_ACCURACY))
    assert payments[3] == max(payments)
    assert payments[3] > 0.25


def test_under_other_measures_it_is_paid_nothing() -> None:
    for utility in (task_pb2.UTILITY_BALANCED_ACCURACY, task_pb2.UTILITY_AUC):
        payments = pay(value(utility))
        assert payments[3] == 0
        assert sum(payments) > 0.999
