"""Measure what dishonest clients are paid, on networks that are really trained.

Five clients hold equal parts of a data set and train a network with one hidden layer by stochastic
gradient descent; FedAvg makes the next round's base. The product's evaluator values each round
exactly, and each round pays 100 FDC to the clients. The last client is dishonest in one way, or
honest, with the same seed; the difference is the gain of the fraud.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.incentive.payout import split_training_price
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.training import datasets
from fedcoin.shapley import estimate
from fedcoin.testing.measurements.evaluated_network import EvaluatedNetwork, Weights
from fedcoin.v1 import task_pb2

CLIENTS = 5
"""The number of clients of each campaign, the dishonest ones included."""

DISHONEST, VICTIM = 4, 0
"""The indices of the dishonest client, and of the client whose data a replicator uses."""

ROUNDS = 3
"""The number of rounds of each campaign."""

MAX_EXAMPLES = 300
"""The largest number of examples of a client."""

MAX_EVALUATION_SIZE = 2_000
"""The largest number of test examples that accuracies are measured on."""

EPOCHS, BATCH_SIZE, LEARNING_RATE = 3, 32, 0.1

NUM_CLONES = 5
"""From how many addresses a client with clones sends its update."""

OVERSTATEMENT = 10
"""The factor by which a client overstates its number of examples."""

TRAINING_PRICE = 100 * SAP_PER_FDC
"""What all clients of a round get together, in sap."""

AVERAGINGS = {
    "renormalised": task_pb2.AVERAGING_RENORMALISED,
    "fixed": task_pb2.AVERAGING_FIXED_DENOMINATOR,
    "equal": task_pb2.AVERAGING_EQUAL,
}
"""The rules for the weights of updates in averages, by name."""

_SAME_AGGREGATE = (("renormalised", "fixed"), ("equal",))
# Keys of `AVERAGINGS` in groups: within one, all clients together make the same model, so that the
# same updates follow in the next round.
FRAUDS = {
    "sybil-2": "splits its data over 2 addresses",
    "sybil-5": "splits its data over 5 addresses",
    "clones": f"sends its update from {NUM_CLONES} addresses, each for all of its examples",
    "free-rider": "sends the base back",
    "replicator": "trains on another client's data",
    "replayer": "sends its first update again in every round",
    "overstater": f"claims {OVERSTATEMENT} times its examples",
}
"""The frauds by name; each description is a verb phrase, such as "sends the base back"."""

TrainingData = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Inputs (m, pixels) and labels (m,)."""


@dataclass(frozen=True)
class FraudOutcome:
    """One fraud, compared with honest clients. Shares are of all that is paid to clients."""

    # The data set's name.
    dataset: str
    # A key of `FRAUDS`, and of `AVERAGINGS`.
    fraud: str
    averaging: str
    # For each seed: the share of the last client when it is honest, and that of all its addresses
    # when it is not.
    honest_share: tuple[float, ...]
    dishonest_share: tuple[float, ...]
    # For each seed: by how much the fraud changes the share of the first client, and the accuracy
    # of the last model.
    victim_change: tuple[float, ...]
    accuracy_change: tuple[float, ...]


@dataclass(frozen=True)
class SubmittedUpdate:
    """An update: the weights and the number of examples that one address submits."""

    # The trained weights.
    weights: Weights
    # The number of examples that is claimed.
    samples: int
    # The index of the client whose address it is.
    owner: int


@dataclass(frozen=True)
class _Campaign:
    """The result of a campaign."""

    # Each owner's share of the payouts, and the accuracy of the last model, by averaging.
    shares: Mapping[str, Sequence[float]]
    accuracy: Mapping[str, float]


def measure_client_fraud(
    dataset: str, seeds: int, frauds: Sequence[str] = tuple(FRAUDS)
) -> list[FraudOutcome]:
    """Compare frauds with honest clients, under each way to average.

    Args:
        dataset: A data set that `datasets.load_dataset` takes.
        seeds: How many campaigns to run with and without each fraud.
        frauds: Keys of `FRAUDS`.

    Returns:
        One outcome for each fraud and averaging.
    """
    with tempfile.TemporaryDirectory() as made:
        study = _TrainedCampaigns(Path(made), dataset)
        honest = [study.run("honest", seed) for seed in range(seeds)]
        outcomes = []
        for fraud in frauds:
            dishonest = [study.run(fraud, seed) for seed in range(seeds)]
            outcomes += [
                _compare(dataset, fraud, averaging, dishonest, honest) for averaging in AVERAGINGS
            ]
    return outcomes


def _compare(
    dataset: str,
    fraud: str,
    averaging: str,
    dishonest: Sequence[_Campaign],
    honest: Sequence[_Campaign],
) -> FraudOutcome:
    with_fraud = [campaign.shares[averaging] for campaign in dishonest]
    without = [campaign.shares[averaging] for campaign in honest]
    return FraudOutcome(
        dataset,
        fraud,
        averaging,
        honest_share=tuple(shares[DISHONEST] for shares in without),
        dishonest_share=tuple(shares[DISHONEST] for shares in with_fraud),
        victim_change=tuple(
            after[VICTIM] - before[VICTIM]
            for after, before in zip(with_fraud, without, strict=True)
        ),
        accuracy_change=tuple(
            after.accuracy[averaging] - before.accuracy[averaging]
            for after, before in zip(dishonest, honest, strict=True)
        ),
    )


class _TrainedCampaigns:
    """A data set, and the network that is trained on it."""

    def __init__(self, folder: Path, dataset: str) -> None:
        self._data = datasets.load_dataset(dataset)
        size = min(MAX_EVALUATION_SIZE, len(self._data.y_test))
        self._network = EvaluatedNetwork(folder, dataset, size)

    def run(self, fraud: str, seed: int) -> _Campaign:
        """Run a campaign with one fraud, and value its rounds with each way to average."""
        parts = self._split_data(seed)
        size = self._network.evaluation_size
        shares = {name: np.zeros(CLIENTS) for name in AVERAGINGS}
        accuracy = dict.fromkeys(AVERAGINGS, 0.0)
        for names in _SAME_AGGREGATE:
            base = self._network.draw_weights(seed)
            first: Weights | None = None
            for round in range(ROUNDS):
                updates = submit_updates(fraud, parts, base, seed + 1_000 * round, first)
                first = first or updates[DISHONEST].weights
                sent = [update.weights for update in updates]
                samples = [update.samples for update in updates]
                for name in names:
                    counts = self._network.count_right_answers(
                        base, sent, samples, AVERAGINGS[name]
                    )
                    paid = compute_shares(counts / size)
                    for update, share in zip(updates, paid, strict=True):
                        shares[name][update.owner] += share / ROUNDS
                    accuracy[name] = float(counts[-1] / size)
                base = federated_average(sent, [1] * len(sent) if names == ("equal",) else samples)
        return _Campaign({name: sums.tolist() for name, sums in shares.items()}, accuracy)

    def _split_data(self, seed: int) -> list[TrainingData]:
        order = np.random.default_rng(seed).permutation(len(self._data.y_train))
        # The clients' network has no first layer that divides, as the evaluated one has.
        scaled = self._data.x_train / np.float32(self._data.inputs.model_divisor)
        flat = scaled.reshape(len(self._data.y_train), -1).astype(np.float32, copy=False)
        size = min(MAX_EXAMPLES, len(order) // CLIENTS)
        chosen = [order[i * size : (i + 1) * size] for i in range(CLIENTS)]
        return [(flat[rows], self._data.y_train[rows]) for rows in chosen]


def submit_updates(
    fraud: str, parts: Sequence[TrainingData], base: Weights, seed: int, first: Weights | None
) -> list[SubmittedUpdate]:
    """Train all clients for one round, and let the last one commit its fraud.

    Args:
        fraud: A key of `FRAUDS`, or "honest".
        parts: Each client's data.
        base: The round's base weights.
        seed: Seeds the order of examples.
        first: The dishonest client's update of the first round; None in that round.

    Returns:
        One update of each honest client, then those of the dishonest one.
    """
    updates = [
        SubmittedUpdate(train(base, part, seed + i), len(part[1]), i)
        for i, part in enumerate(parts)
    ]
    own = updates.pop(DISHONEST)
    if fraud.startswith("sybil"):
        pieces = np.array_split(np.arange(own.samples), int(fraud.removeprefix("sybil-")))
        data, labels = parts[DISHONEST]
        return updates + [
            SubmittedUpdate(
                train(base, (data[rows], labels[rows]), seed + DISHONEST + i), len(rows), DISHONEST
            )
            for i, rows in enumerate(pieces)
        ]
    if fraud == "clones":
        return [*updates, *[own] * NUM_CLONES]
    if fraud == "free-rider":
        own = SubmittedUpdate(base, own.samples, DISHONEST)
    elif fraud == "replicator":
        weights = train(base, parts[VICTIM], seed + DISHONEST)
        own = SubmittedUpdate(weights, own.samples, DISHONEST)
    elif fraud == "replayer" and first is not None:
        own = SubmittedUpdate(first, own.samples, DISHONEST)
    elif fraud == "overstater":
        own = SubmittedUpdate(own.weights, OVERSTATEMENT * own.samples, DISHONEST)
    return [*updates, own]


def train(base: Weights, part: TrainingData, seed: int) -> Weights:
    """Train a network with one ReLU layer by stochastic gradient descent on the cross-entropy.

    Args:
        base: The weights to start from.
        part: The training data.
        seed: Seeds the order of examples.

    Returns:
        The trained weights, with the names of `base`.
    """
    (x, y), rng = part, np.random.default_rng(seed)
    first, second = (w.astype(np.float32) for w in base.values() if w.ndim == 2)
    biases = [w.astype(np.float32) for w in base.values() if w.ndim == 1]
    for _ in range(EPOCHS):
        for rows in np.array_split(rng.permutation(len(y)), max(1, round(len(y) / BATCH_SIZE))):
            hidden = np.maximum(x[rows] @ first + biases[0], 0)
            logits = hidden @ second + biases[1]
            # The gradient of the cross-entropy by the logits: softmax minus one-hot labels.
            gradient = np.exp(logits - logits.max(axis=1, keepdims=True))
            gradient /= gradient.sum(axis=1, keepdims=True)
            gradient[np.arange(len(rows)), y[rows]] -= 1
            step = np.float32(LEARNING_RATE / len(rows))
            hidden_gradient = (gradient @ second.T) * (hidden > 0)
            second = second - step * (hidden.T @ gradient)
            first = first - step * (x[rows].T @ hidden_gradient)
            biases = [
                biases[0] - step * hidden_gradient.sum(axis=0),
                biases[1] - step * gradient.sum(axis=0),
            ]
    return dict(zip(base, [first, biases[0], second, biases[1]], strict=True))


def compute_shares(table: NDArray[np.float64]) -> list[float]:
    """Compute each address' share of a round's payment to clients.

    Args:
        table: The utility of each coalition, float64 (2^n,), by bit mask.

    Returns:
        n shares, from 0 to 1.
    """
    clients = int(np.log2(len(table)))
    masks = 1 << np.arange(clients)
    values = estimate(lambda coalitions: table[coalitions @ masks], clients, method="exact").values
    values_nano = [round(value * 1_000_000_000) for value in values]
    payouts, _ = split_training_price(values_nano, TRAINING_PRICE)
    return [amount / TRAINING_PRICE for amount in payouts]
