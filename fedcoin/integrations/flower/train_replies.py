"""Read the replies of Flower clients: the arrays that they trained and their number of examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from flwr.app import ArrayRecord, Message, RecordDict
from numpy.typing import NDArray

from fedcoin.data.errors import RefusalError
from fedcoin.integrations.coalition_models import check_arrays
from fedcoin.learning.errors import LearningCode

MAX_EXAMPLES: Final = 1_000_000_000
"""The largest number of examples that a client may claim to have trained on."""

EXAMPLES_KEY: Final = "num-examples"
"""Flower's name of the metric that holds a client's number of examples."""


def split_replies(replies: Iterable[Message]) -> tuple[list[Message], list[Message]]:
    """Divide replies into those with content and those that report an error.

    Args:
        replies: The replies, in any order.

    Returns:
        Replies with content, and replies with an error.
    """
    listed = list(replies)
    return (
        [reply for reply in listed if not reply.has_error()],
        [reply for reply in listed if reply.has_error()],
    )


def read_arrays(content: RecordDict) -> ArrayRecord:
    """Return the one record of arrays in a reply.

    Args:
        content: The content of the reply.

    Returns:
        The arrays, by key.

    Raises:
        RefusalError: WRONG_NAMES when there is not exactly one record of arrays.
    """
    records = content.array_records
    if len(records) != 1:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the reply holds {len(records)} records of arrays; it must hold one, with all arrays"
            " of the model",
            field="arrays",
            limit="1",
        )
    return next(iter(records.values()))


def count_examples(content: RecordDict, key: str = EXAMPLES_KEY) -> int:
    """Read the number of examples that a client trained on. Flower takes any number, also -1.

    Args:
        content: The content of the reply.
        key: The metric's name.

    Returns:
        The number, from 1.

    Raises:
        RefusalError: BAD_SAMPLES when there is none, or it is no whole number from 1 to
            `MAX_EXAMPLES`.
    """
    found = [record[key] for record in content.metric_records.values() if key in record]
    number = found[0] if len(found) == 1 else None
    is_whole = isinstance(number, int | float) and number == np.trunc(number)
    if number is None or not is_whole or not 1 <= number <= MAX_EXAMPLES:
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"{key} is {number}; it must be a whole number from 1 to {MAX_EXAMPLES}: report the"
            f" number of examples that the client trained on, as the metric {key}",
            field=key,
            limit=str(MAX_EXAMPLES),
        )
    return int(number)


def check_same_arrays(arrays: ArrayRecord, base: ArrayRecord) -> Mapping[str, NDArray[Any]]:
    """Check that a client's arrays have the keys and shapes of the global model's.

    Args:
        arrays: The client's arrays.
        base: The global model's arrays.

    Returns:
        The client's arrays by key, in the global model's order.

    Raises:
        RefusalError: WRONG_NAMES when the keys differ; WRONG_SHAPE when a shape differs; NOT_FINITE
            when a number is NaN or infinite.
    """
    shapes = {key: tuple(array.shape) for key, array in base.items()}
    return check_arrays({key: array.numpy() for key, array in arrays.items()}, shapes)


def order_arrays(content: RecordDict, base: ArrayRecord) -> None:
    """Bring the arrays of a reply into the global model's order, in place.

    Some of Flower's strategies pair arrays by position, and some frameworks sort names.

    Args:
        content: The content of a reply with one record of arrays.
        base: The global model's arrays. Arrays that it does not have come last.
    """
    ((name, arrays),) = content.array_records.items()
    known = {key: arrays[key] for key in base if key in arrays}
    content[name] = ArrayRecord({**known, **arrays})
