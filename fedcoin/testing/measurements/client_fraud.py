"""Clients that do not play fair, on networks that are really trained, and what they are paid.

Five clients hold equal parts of a data set and train a network with one hidden layer by stochastic
gradient descent; FedAvg makes the next round's base. Each round is valued exactly, by the product's
evaluator, and pays 100 FDC to the clients. The last client plays a trick, or none, with the same
seed; so what it gains or loses is the trick's alone.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcoin.application.coordinator.initial_artifacts import build_initial_artifacts
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.incentive.payout import split_training_price
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.training import datasets
from fedcoin.learning.workers.jobs import load_evaluator
from fedcoin.shapley import estimate
from fedcoin.v1 import task_pb2

CLIENTS, LIAR, VICTIM = 5, 4, 0
ROUNDS = 3
EXAMPLES = 300
"""Of each client, at most."""
EVALUATED = 2_000
"""Examples for testing, at most."""
EPOCHS, BATCH, RATE = 3, 32, 0.1
CLONES, OVERSTATED = 5, 10
PRICE = 100 * 100_000_000

AVERAGINGS = {
    "renormalised": task_pb2.AVERAGING_RENORMALISED,
    "fixed": task_pb2.AVERAGING_FIXED_DENOMINATOR,
}
TRICKS = {
    "sybil-2": "splits its data over 2 addresses",
    "sybil-5": "splits its data over 5 addresses",
    "clones": f"sends its update from {CLONES} addresses, each for all of its examples",
    "free-rider": "sends the base back",
    "replicator": "trains on another client's data",
    "replayer": "signs its first update again, round after round",
    "overstater": f"claims {OVERSTATED} times its examples",
}

Weights = Mapping[str, NDArray[np.float32]]
TrainingData = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class FraudOutcome:
    """One trick against fair play. Shares are of all that is paid to clients."""

    dataset: str
    trick: str
    averaging: str
    fair: tuple[float, ...]
    """What the liar is paid without the trick, for each seed."""
    tricked: tuple[float, ...]
    """What all its addresses are paid with it."""
    victim: tuple[float, ...]
    """What the first client, whose data a replicator copies, is paid beyond what it got."""
    accuracy: tuple[float, ...]
    """Right answers of the last model with the trick, as a share, less those without it."""


@dataclass(frozen=True)
class Update:
    """What is handed in under one address."""

    weights: Weights
    samples: int
    owner: int


def play(dataset: str, seeds: int, tricks: Sequence[str] = tuple(TRICKS)) -> list[FraudOutcome]:
    """All tricks under both ways to average; ``dataset`` is for ``datasets.load_dataset``."""
    with tempfile.TemporaryDirectory() as made:
        court = ClientFraudStudy(Path(made), dataset)
        fair = [court.campaign("honest", seed) for seed in range(seeds)]
        found = []
        for trick in tricks:
            runs = [court.campaign(trick, seed) for seed in range(seeds)]
            found += [compared(dataset, trick, name, runs, fair) for name in AVERAGINGS]
    return found


@dataclass(frozen=True)
class Campaign:
    """What came of one: each owner's share of the payouts, by averaging; how good the model is."""

    paid: Mapping[str, Sequence[float]]
    accuracy: float


def compared(
    dataset: str, trick: str, averaging: str, runs: Sequence[Campaign], fair: Sequence[Campaign]
) -> FraudOutcome:
    """One trick against fair play with the same seeds."""
    both = list(zip(runs, fair, strict=True))
    pairs = [(run.paid[averaging], honest.paid[averaging]) for run, honest in both]
    return FraudOutcome(
        dataset,
        trick,
        averaging,
        fair=tuple(honest[LIAR] for _, honest in pairs),
        tricked=tuple(run[LIAR] for run, _ in pairs),
        victim=tuple(run[VICTIM] - honest[VICTIM] for run, honest in pairs),
        accuracy=tuple(run.accuracy - honest.accuracy for run, honest in both),
    )


class ClientFraudStudy:
    """A data set, a model and an evaluation set, in files as the product takes them."""

    def __init__(self, folder: Path, dataset: str) -> None:
        self._folder = folder
        self._data = datasets.load_dataset(dataset)
        size = min(EVALUATED, len(self._data.y_test))
        materials = asyncio.run(build_initial_artifacts(dataset, "mlp", 0, evaluation_size=size))
        (folder / "model").write_bytes(materials.model)
        (folder / "evaluation").write_bytes(materials.evaluation.shards[0])
        self._size = materials.evaluation.sizes[0]
        self._shapes = {n: w.shape for n, w in decode_tensors(materials.weights).items()}

    def campaign(self, trick: str, seed: int) -> Campaign:
        """Some rounds with one trick, valued in both ways."""
        parts, base = self._parts(seed), self._base(seed)
        paid = {name: np.zeros(CLIENTS) for name in AVERAGINGS}
        first: Weights | None = None
        accuracy = 0.0
        for round in range(ROUNDS):
            updates = handed_in(trick, parts, base, seed + 1_000 * round, first)
            first = first or updates[LIAR].weights
            for name, averaging in AVERAGINGS.items():
                counts = self._table(base, updates, averaging)
                for update, share in zip(updates, shares(counts / self._size), strict=True):
                    paid[name][update.owner] += share / ROUNDS
                accuracy = float(counts[-1] / self._size)
            base = federated_average([u.weights for u in updates], [u.samples for u in updates])
        return Campaign({name: sums.tolist() for name, sums in paid.items()}, accuracy)

    def _parts(self, seed: int) -> list[TrainingData]:
        order = np.random.default_rng(seed).permutation(len(self._data.y_train))
        flat = self._data.x_train.reshape(len(self._data.y_train), -1)
        size = min(EXAMPLES, len(order) // CLIENTS)
        chosen = [order[i * size : (i + 1) * size] for i in range(CLIENTS)]
        return [(flat[rows], self._data.y_train[rows]) for rows in chosen]

    def _base(self, seed: int) -> Weights:
        """Fresh weights (Glorot and Bengio 2010, uniform; biases zero)."""
        rng = np.random.default_rng([seed, 1])
        return {
            name: rng.uniform(-1, 1, shape).astype(np.float32) * np.float32((6 / sum(shape)) ** 0.5)
            if len(shape) == 2
            else np.zeros(shape, np.float32)
            for name, shape in self._shapes.items()
        }

    def _table(self, base: Weights, updates: Sequence[Update], averaging: int) -> NDArray[np.int64]:
        """Right answers of all coalitions, by mask."""
        files = {"base": base, **{f"update-{i}": u.weights for i, u in enumerate(updates)}}
        for name, weights in files.items():
            (self._folder / name).write_bytes(encode_tensors(weights))
        job = UtilityJob(
            job_id=b"participants",
            model=self._folder / "model",
            base=self._folder / "base",
            updates=tuple(self._folder / f"update-{i}" for i in range(len(updates))),
            num_samples=tuple(update.samples for update in updates),
            evaluation=self._folder / "evaluation",
            averaging=averaging,
            empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        )
        masks = np.arange(1 << len(updates))
        return load_evaluator(job).evaluate((masks[:, None] >> np.arange(len(updates))) & 1 == 1)


def handed_in(
    trick: str, parts: Sequence[TrainingData], base: Weights, seed: int, first: Weights | None
) -> list[Update]:
    """What all clients hand in for a round; ``first`` is what the liar handed in at first."""
    updates = [
        Update(trained(base, part, seed + i), len(part[1]), i) for i, part in enumerate(parts)
    ]
    own = updates.pop(LIAR)
    if trick.startswith("sybil"):
        pieces = np.array_split(np.arange(own.samples), int(trick.removeprefix("sybil-")))
        data, labels = parts[LIAR]
        return updates + [
            Update(trained(base, (data[p], labels[p]), seed + LIAR + i), len(p), LIAR)
            for i, p in enumerate(pieces)
        ]
    if trick == "clones":
        return [*updates, *[own] * CLONES]
    if trick == "free-rider":
        own = Update(base, own.samples, LIAR)
    elif trick == "replicator":
        own = Update(trained(base, parts[VICTIM], seed + LIAR), own.samples, LIAR)
    elif trick == "replayer" and first is not None:
        own = Update(first, own.samples, LIAR)
    elif trick == "overstater":
        own = Update(own.weights, OVERSTATED * own.samples, LIAR)
    return [*updates, own]


def trained(base: Weights, part: TrainingData, seed: int) -> Weights:
    """Stochastic gradient descent on the cross-entropy of a network with one ReLU layer."""
    (x, y), rng = part, np.random.default_rng(seed)
    first, second = (weights.astype(np.float32) for weights in _kernels(base))
    biases = [bias.astype(np.float32) for bias in _biases(base)]
    for _ in range(EPOCHS):
        for rows in np.array_split(rng.permutation(len(y)), max(1, round(len(y) / BATCH))):
            hidden = np.maximum(x[rows] @ first + biases[0], 0)
            logits = hidden @ second + biases[1]
            wrong = np.exp(logits - logits.max(axis=1, keepdims=True))
            wrong /= wrong.sum(axis=1, keepdims=True)
            wrong[np.arange(len(rows)), y[rows]] -= 1
            step = np.float32(RATE / len(rows))
            back = (wrong @ second.T) * (hidden > 0)
            second = second - step * (hidden.T @ wrong)
            first = first - step * (x[rows].T @ back)
            biases = [biases[0] - step * back.sum(axis=0), biases[1] - step * wrong.sum(axis=0)]
    names = list(base)
    return dict(zip(names, [first, biases[0], second, biases[1]], strict=True))


def shares(table: NDArray[np.float64]) -> list[float]:
    """Of a round's payment to clients, what each gets for the worth (2^n,) of all coalitions."""
    clients = int(np.log2(len(table)))
    masks = 1 << np.arange(clients)
    values = estimate(lambda coalitions: table[coalitions @ masks], clients, method="exact").values
    payouts, _ = split_training_price([round(value * 1_000_000_000) for value in values], PRICE)
    return [amount / PRICE for amount in payouts]


def _kernels(weights: Weights) -> list[NDArray[np.float32]]:
    return [array for array in weights.values() if array.ndim == 2]


def _biases(weights: Weights) -> list[NDArray[np.float32]]:
    return [array for array in weights.values() if array.ndim == 1]
