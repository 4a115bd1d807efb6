"""A training plan is sent as a message, and checked by its receiver."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.training_plan import (
    TrainingPlan,
    decode_training_plan,
    encode_training_plan,
)
from fedcoin.v1 import federated_learning_service_pb2 as pb


def test_a_plan_travels() -> None:
    plan = TrainingPlan(epochs=7, batch_size=16, learning_rate=0.05, seed=9)
    assert decode_training_plan(encode_training_plan(plan)) == plan


@pytest.mark.parametrize(
    "change", [{}, {"epochs": 10_001}, {"batch_size": 0}, {"learning_rate_micro": 0}]
)
def test_a_plan_out_of_range_is_refused(change: dict[str, Any]) -> None:
    fields = {"epochs": 1, "batch_size": 1, "learning_rate_micro": 1000, **change} if change else {}
    with pytest.raises(RefusalError) as caught:
        decode_training_plan(pb.TrainingPlan(**fields))
    assert caught.value.code is LearningCode.BAD_PLAN
