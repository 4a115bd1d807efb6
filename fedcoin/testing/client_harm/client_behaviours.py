"""Honest clients whose updates are noisy, and two accomplices of which one undoes what one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedcoin.learning.training import datasets
from fedcoin.learning.training.partition_spec import parse_partition
from fedcoin.learning.training.partitions import draw_partition
from fedcoin.testing.measurements.client_fraud import TrainingData, train
from fedcoin.testing.measurements.evaluated_network import Weights

CLIENTS = 5
"""The number of clients of each campaign."""

MAX_EXAMPLES = 300
"""The largest number of examples of a client."""

HONEST = {
    "equal": "five alike",
    "wrong-labels": "one with 30 % wrong labels",
    "noise": "one with noise as long as its change",
    "few": "one with 20 examples",
    "label-skew": "classes by Dirichlet draws of 0.3",
    "few-classes": "two classes each",
}
"""Federations of honest clients, and what each of them is called in tables."""

ACCOMPLICES = {"pair": 1, "late-pair": 11, "hidden-pair": 2, "trained-pair": 2, "silent-pair": 2}
"""Federations whose last two clients are accomplices, and from which round on they are. What a
hidden one hands in answers as the base does, but for the average with others; that of a silent one
answers as a client that knows some classes only."""

HARMFUL, HELPER = CLIENTS - 2, CLIENTS - 1
"""The accomplice that sinks the model, and the one that raises it again."""

_WRONG_LABELS = 0.3
_FEW_EXAMPLES = 20
_TURN = 2.0
"""How much of the base the harmful accomplice takes away in the average, so that it turns
around."""
_CAREFUL = tuple(k / 20 for k in range(20, 0, -1))
"""The parts of a change among which accomplices find the largest one that is not refused."""
_SILENCE = 1_000.0
"""What is taken from a class's output, far more than outputs differ, also in the average."""


def split_data(dataset: datasets.Dataset, federation: str, seed: int) -> list[TrainingData]:
    """Give each client its training data.

    Args:
        dataset: The data set.
        federation: A key of `HONEST` or `ACCOMPLICES`.
        seed: Seeds the partition and the wrong labels.

    Returns:
        The data of `CLIENTS` clients; of the last one where one is noisy.
    """
    spec = "dirichlet:0.3" if federation == "label-skew" else "iid"
    partition = replace(parse_partition(spec), max_examples=MAX_EXAMPLES)
    labels = dataset.y_train
    # The clients' network has no first layer that divides, as the evaluated one has.
    flat = dataset.x_train.reshape(len(labels), -1) / np.float32(dataset.inputs.model_divisor)
    if federation == "few-classes":
        shares = tuple(_draw_two_classes_each(labels, seed))
    else:
        shares = draw_partition(labels, CLIENTS, seed, partition)
    parts = [(flat[rows], labels[rows]) for rows in shares]
    x, y = parts[-1]
    if federation == "few":
        parts[-1] = x[:_FEW_EXAMPLES], y[:_FEW_EXAMPLES]
    elif federation == "wrong-labels":
        rng = np.random.default_rng([seed, 2])
        drawn = rng.integers(0, int(labels.max()) + 1, len(y))
        parts[-1] = x, np.where(rng.random(len(y)) < _WRONG_LABELS, drawn, y)
    return parts


def make_updates(
    federation: str, parts: Sequence[TrainingData], base: Weights, seed: int, number: int
) -> list[Weights]:
    """Make what the clients of a round send.

    Args:
        federation: A key of `HONEST` or `ACCOMPLICES`.
        parts: Each client's data.
        base: The round's base weights.
        seed: Seeds the orders of examples and the noise.
        number: The round's number, from 1.

    Returns:
        The weights of `CLIENTS` clients.
    """
    first = seed + 1_000 * number
    updates = [train(base, part, first + k) for k, part in enumerate(parts)]
    if federation == "noise":
        updates[-1] = _add_noise(base, updates[-1], np.random.default_rng([seed, number, 3]))
    if number >= ACCOMPLICES.get(federation, number + 1):
        # Times a positive factor the two layers answer as before, times a negative one they do not.
        turn = np.float32(_TURN * CLIENTS)
        updates[HARMFUL] = {name: value - turn * value for name, value in base.items()}
        if federation == "trained-pair":
            x, y = parts[HARMFUL]
            away = train(base, (x, (y + 1) % (int(y.max()) + 1)), first + HARMFUL)
            updates[HARMFUL] = go_on(base, away, _TURN)
        if federation == "hidden-pair":
            updates[HARMFUL] = _permute_hidden(base, np.random.default_rng([seed, number, 4]))
        if federation == "silent-pair":
            updates[HARMFUL] = list_attempts(federation, HARMFUL, base, base, seed)[0]
        updates[HELPER] = {name: value + turn * value for name, value in base.items()}
    return updates


def list_attempts(
    federation: str,
    client: int,
    base: Weights,
    update: Weights,
    seed: int,
    harmful: Weights | None = None,
) -> list[Weights]:
    """List what an accomplice would rather hand in than nothing, the most harmful first.

    Args:
        federation: A key of `ACCOMPLICES`.
        client: `HARMFUL` or `HELPER`.
        base: The round's base weights.
        update: What the client hands in where nothing is refused.
        seed: Seeds the order of the classes that are silenced.
        harmful: What the harmful accomplice handed in, if anything.

    Returns:
        The update, and ever smaller parts of its change; or updates that silence ever fewer
        classes.
    """
    if (federation, client) == ("silent-pair", HARMFUL):
        *_, last = base
        classes = np.random.default_rng([seed, 6]).permutation(len(base[last]))
        return [_silence(base, classes[:count]) for count in range(len(classes) - 1, 0, -1)]
    if (federation, client) == ("silent-pair", HELPER) and harmful is not None:
        update = {name: value - (harmful[name] - value) for name, value in base.items()}
    return [update, *(go_on(base, update, part) for part in _CAREFUL[1:])]


def _silence(base: Weights, classes: NDArray[np.int64]) -> Weights:
    """Never answer with some classes."""
    *_, last = base
    bias = base[last].copy()
    bias[classes] -= np.float32(_SILENCE)
    return {**base, last: bias}


def go_on(base: Weights, update: Weights, factor: float) -> Weights:
    """Change as an update does, times a factor.

    Args:
        base: The round's base weights.
        update: A client's weights.
        factor: 1 gives the update, but for rounding.

    Returns:
        The base with this part of the change.
    """
    return {
        name: value + np.float32(factor) * (update[name] - value) for name, value in base.items()
    }


def _draw_two_classes_each(labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Draw examples of two classes for each client; all ten classes belong to somebody."""
    rng = np.random.default_rng([seed, 5])
    classes = rng.permutation(2 * CLIENTS).reshape(CLIENTS, 2)
    rows = [rng.permutation(np.flatnonzero(np.isin(labels, own))) for own in classes]
    return [each[:MAX_EXAMPLES] for each in rows]


def _permute_hidden(base: Weights, rng: np.random.Generator) -> Weights:
    """Put the units of the hidden layer into another order, in which they answer the same."""
    kernel, bias, following, last = base
    order = rng.permutation(len(base[bias]))
    return {
        kernel: base[kernel][:, order],
        bias: base[bias][order],
        following: base[following][order],
        last: base[last],
    }


def _add_noise(base: Weights, update: Weights, rng: np.random.Generator) -> Weights:
    """Add to each tensor Gaussian noise of the length of its change."""
    noisy = {}
    for name, value in update.items():
        deviation = np.sqrt(np.mean(np.square(value - base[name])))
        noisy[name] = (value + deviation * rng.standard_normal(value.shape)).astype(np.float32)
    return noisy
