"""The training plan of a round, and its encoding for clients."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.v1 import federated_learning_service_pb2 as pb

MAX_EPOCHS = 10_000
"""The largest number of passes over the data in a round."""

MAX_BATCH_SIZE = 1 << 20
"""The largest number of examples in a step."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings with which every client of a round trains.

    Raises:
        RefusalError: BAD_PLAN when a number is out of range.
    """

    epochs: int = 5
    """Passes over the data, 1 to `MAX_EPOCHS`."""
    batch_size: int = 32
    """Examples in a step, 1 to `MAX_BATCH_SIZE`."""
    learning_rate: float = 0.1
    """Step size of SGD, 1e-6 to 1000."""
    seed: int = 0
    """Added to each client's own seed."""

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= MAX_EPOCHS:
            raise _bad_plan("epochs", self.epochs, f"1 to {MAX_EPOCHS}")
        if not 1 <= self.batch_size <= MAX_BATCH_SIZE:
            raise _bad_plan("batch_size", self.batch_size, f"1 to {MAX_BATCH_SIZE}")
        if not 1e-6 <= self.learning_rate <= 1000:
            raise _bad_plan("learning_rate", self.learning_rate, "0.000001 to 1000")


_MICRO = 1_000_000
"""The learning rate travels as an integer number of millionths."""


def encode_training_plan(plan: TrainingPlan) -> pb.TrainingPlan:
    """Encode a plan as the message that clients get.

    Args:
        plan: The plan; its learning rate is rounded to millionths.

    Returns:
        The message.
    """
    return pb.TrainingPlan(
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        learning_rate_micro=round(plan.learning_rate * _MICRO),
        seed=plan.seed,
    )


def decode_training_plan(message: pb.TrainingPlan) -> TrainingPlan:
    """Decode the message that a coordinator sent.

    Args:
        message: The message, whose fields may have any values.

    Returns:
        The plan, whose numbers are in range.

    Raises:
        RefusalError: BAD_PLAN when a number is out of range.
    """
    return TrainingPlan(
        epochs=message.epochs,
        batch_size=message.batch_size,
        learning_rate=message.learning_rate_micro / _MICRO,
        seed=message.seed,
    )


def _bad_plan(field: str, value: object, limit: str) -> RefusalError:
    return RefusalError(
        LearningCode.BAD_PLAN, f"{field} is {value}; it must be {limit}", field=field, limit=limit
    )
