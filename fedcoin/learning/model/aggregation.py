"""Federated averaging (FedAvg): the mean of the clients' weights, weighted by numbers of examples.

Under AVERAGING_EQUAL all clients have the same weight instead (`client_weights`).

Source: McMahan, Moore, Ramage, Hampson, Agüera y Arcas, *Communication-Efficient Learning of Deep
Networks from Decentralized Data* (arXiv:1602.05629), Algorithm 1. With the weights `w_k` and the
number of training examples `s_k` of client k, the aggregate is sum_k (s_k / sum_j s_j) w_k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import overload

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.v1 import task_pb2

Weights = Mapping[str, npt.NDArray[np.generic]]
"""A model's weights by name, in the model's order."""

NO_WEIGHTS: Weights = MappingProxyType({})
"""The frozen weights of a model of which all weights are trained."""

MAX_NUM_SAMPLES = 1_000_000_000
"""The largest number of training examples that one client may claim."""


def federated_average(
    weights: Sequence[Weights], num_samples: Sequence[int]
) -> dict[str, npt.NDArray[np.float32]]:
    """Average the clients' weights. Sums in float64, client after client, and rounds once.

    Args:
        weights: float32 weights of each client, all with the same names and shapes.
        num_samples: Training examples of each client, each from 1 to `MAX_NUM_SAMPLES`.

    Returns:
        The average, float32 by name.

    Raises:
        RefusalError: NO_CLIENTS when there are none; BAD_SAMPLES when a number is out of range or
            the two lists differ in length; WRONG_NAMES or WRONG_SHAPE when a client's weights
            differ from the first client's in names or shapes.
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
    for client, (arrays, share) in enumerate(zip(weights, shares, strict=True)):
        _check_same_model(sums, arrays, client)
        for name in sums:
            sums[name] += share * arrays[name].astype(np.float64)
    return {name: total.astype(np.float32) for name, total in sums.items()}


class WeightFiles(Sequence[Weights]):
    """Weights in files, of which each is read when it is asked for, and none is kept.

    Iterating over many clients' weights needs the memory of one client's weights.

    Args:
        paths: The file of each client's encoded tensors.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Weights: ...

    @overload
    def __getitem__(self, index: slice) -> WeightFiles: ...

    def __getitem__(self, index: int | slice) -> Weights | WeightFiles:
        if isinstance(index, slice):
            return WeightFiles(self._paths[index])
        return decode_tensors(self._paths[index].read_bytes())


def average_files(paths: Sequence[Path], num_samples: Sequence[int]) -> bytes:
    """Average weights that lie in files; for a worker process.

    Args:
        paths: The file of each client's encoded tensors.
        num_samples: Training examples of each client.

    Returns:
        The average as encoded tensors.

    Raises:
        RefusalError: NO_CLIENTS when there are none; BAD_SAMPLES when a number is out of range or
            the two lists differ in length; WRONG_NAMES or WRONG_SHAPE when a client's weights
            differ from the first client's in names or shapes; BAD_TENSOR when a file does not hold
            encoded tensors.
        OSError: A file cannot be read.
    """
    return encode_tensors(federated_average(WeightFiles(paths), num_samples))


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


def client_weights(num_samples: Sequence[int], averaging: int) -> tuple[int, ...]:
    """Tell how much each client counts in an average.

    Args:
        num_samples: Training examples of each client, as it claims.
        averaging: A value of the enum `Averaging` in task.proto.

    Returns:
        One integer for each client, to be divided by their sum: 1 under AVERAGING_EQUAL, else
        `num_samples`.
    """
    if averaging == task_pb2.AVERAGING_EQUAL:
        return (1,) * len(num_samples)
    return tuple(num_samples)


def _check_same_model(first: Weights, weights: Weights, client: int) -> None:
    if list(first) != list(weights):
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the weights of client {client} are named {list(weights)[:8]}, "
            f"those of the first client {list(first)[:8]}; all clients must train the same model",
            field="weights",
        )
    for name, array in weights.items():
        if array.shape != first[name].shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{name} of client {client} has shape {array.shape}; "
                f"the first client's has {first[name].shape}",
                field=name,
                limit=str(first[name].shape),
            )
