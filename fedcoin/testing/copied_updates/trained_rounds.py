"""Rounds of federated learning that are really trained, to measure rules of payment on.

Clients hold parts of a data set and train a network with one hidden layer; the equal average of
their updates is the next round's base. The product's evaluator counts right answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.training import datasets
from fedcoin.learning.training.partition_spec import parse_partition
from fedcoin.learning.training.partitions import draw_partition
from fedcoin.testing.measurements.client_fraud import TrainingData, train
from fedcoin.testing.measurements.evaluated_network import EvaluatedNetwork, Weights
from fedcoin.v1 import task_pb2

MAX_EXAMPLES = 300
"""The largest number of examples of a client."""

MAX_EVALUATION_SIZE = 1_000
"""The largest number of test examples that accuracies are measured on."""

PARTITIONS = {"iid": "iid", "label-skew": "dirichlet:0.3", "twins": "iid+copies:2"}
"""Specifications of `partition_spec` by name; of twins, each pair trains on the same data, in two
orders."""


@dataclass(frozen=True, slots=True)
class TrainedRound:
    """One round: its base and what each client sent."""

    # The weights that the clients started from, and those that each of them sent.
    base: Weights
    updates: tuple[Weights, ...]


class TrainedFederation:
    """A data set, and the network that is trained on it.

    Args:
        folder: An empty folder for the files.
        dataset: A data set that `datasets.load_dataset` takes.
    """

    def __init__(self, folder: Path, dataset: str) -> None:
        self._data = datasets.load_dataset(dataset)
        size = min(MAX_EVALUATION_SIZE, len(self._data.y_test))
        self._network = EvaluatedNetwork(folder, dataset, size)

    def train_rounds(
        self, partition: str, clients: int, rounds: int, seed: int
    ) -> list[TrainedRound]:
        """Train some rounds with honest clients.

        Args:
            partition: A key of `PARTITIONS`.
            clients: The number of clients.
            rounds: The number of rounds.
            seed: Seeds the partition, the first weights and the orders of examples.

        Returns:
            The rounds, each from the equal average of the one before.
        """
        parts = self._split_data(partition, clients, seed)
        base = self._network.draw_weights(seed)
        trained = []
        for number in range(rounds):
            first = seed + 1_000 * number
            updates = tuple(train(base, part, first + k) for k, part in enumerate(parts))
            trained.append(TrainedRound(base, updates))
            base = federated_average(updates, [1] * clients)
        return trained

    def evaluate(
        self, base: Weights, updates: Sequence[Weights], weights: Sequence[int]
    ) -> NDArray[np.float64]:
        """Compute the accuracy of all coalitions with a fixed denominator.

        Args:
            base: The weights from which the round starts.
            updates: The update of each player.
            weights: How much each counts in the average; an integer each.

        Returns:
            The accuracy of each coalition of the n players, 0 to 1, float64 (2^n,), by bit mask.
        """
        counts = self._network.count_right_answers(
            base, updates, weights, task_pb2.AVERAGING_FIXED_DENOMINATOR
        )
        return counts / self._network.evaluation_size

    def _split_data(self, name: str, clients: int, seed: int) -> list[TrainingData]:
        partition = replace(parse_partition(PARTITIONS[name]), max_examples=MAX_EXAMPLES)
        labels = self._data.y_train
        # The clients' network has no first layer that divides, as the evaluated one has.
        scaled = self._data.x_train / np.float32(self._data.inputs.model_divisor)
        flat = scaled.reshape(len(labels), -1).astype(np.float32, copy=False)
        shares = draw_partition(labels, clients, seed, partition)
        return [(flat[rows], labels[rows]) for rows in shares]
