"""Averages of weights: FedAvg over all clients, and the same over any coalition.

FedAvg is McMahan et al., *Communication-Efficient Learning of Deep Networks from Decentralized
Data* (arXiv:1602.05629), Algorithm 1: each client weighs as many examples as it trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode

Weights = Mapping[str, npt.NDArray[np.generic]]

MAX_NUM_SAMPLES = 1_000_000_000


def federated_average(
    weights: Sequence[Weights], num_samples: Sequence[int]
) -> dict[str, npt.NDArray[np.float32]]:
    """The average of the clients' float32 weights, each weighed by its number of examples.

    Sums in float64, client after client, and rounds once. Raises Refusal NO_CLIENTS,
    BAD_SAMPLES, or WRONG_NAMES and WRONG_SHAPE when two clients' weights do not match.
    """
    shares = sample_shares(num_samples)
    if len(weights) != len(num_samples):
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"num_samples has {len(num_samples)} numbers for {len(weights)} clients; "
            "give one for each client",
            field="num_samples",
        )
    sums = {name: np.zeros(array.shape, np.float64) for name, array in weights[0].items()}
    for client, (given, share) in enumerate(zip(weights, shares, strict=True)):
        _check_same(sums, given, client)
        for name in sums:
            sums[name] += share * given[name].astype(np.float64)
    return {name: total.astype(np.float32) for name, total in sums.items()}


def average_files(paths: Sequence[Path], num_samples: Sequence[int]) -> bytes:
    """``federated_average`` from files of tensors to encoded tensors, for a worker process."""
    weights = [decode_tensors(path.read_bytes()) for path in paths]
    return encode_tensors(federated_average(weights, num_samples))


def sample_shares(num_samples: Sequence[int]) -> list[float]:
    """Divide each client's number of training examples by the total over all clients.

    Args:
        num_samples: Training examples of each client, each from 1 to `MAX_NUM_SAMPLES`.

    Returns:
        The shares in the clients' order, each above 0; they sum to 1 up to rounding.

    Raises:
        RefusalError: NO_CLIENTS when the list is empty; BAD_SAMPLES when a number is out of range.
    """
    if not num_samples:
        raise RefusalError(
            LearningCode.NO_CLIENTS, "there are no clients to average", field="num_samples"
        )
    for client, samples in enumerate(num_samples):
        if not 1 <= samples <= MAX_NUM_SAMPLES:
            raise RefusalError(
                LearningCode.BAD_SAMPLES,
                f"num_samples of client {client} is {samples}; it must be 1 to {MAX_NUM_SAMPLES}",
                field="num_samples",
                limit=str(MAX_NUM_SAMPLES),
            )
    total = sum(num_samples)
    return [samples / total for samples in num_samples]


def _check_same(first: Weights, given: Weights, client: int) -> None:
    if list(first) != list(given):
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the weights of client {client} are named {list(given)[:8]}, "
            f"those of the first client {list(first)[:8]}; they must be the same model's",
            field="weights",
        )
    for name, array in given.items():
        if array.shape != first[name].shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{name} of client {client} has shape {array.shape}; "
                f"the first client's has {first[name].shape}",
                field=name,
                limit=str(first[name].shape),
            )
