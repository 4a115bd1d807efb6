"""Games of federations and of retrained models, with the worth of every coalition in a table.

Four federations average a network with one hidden layer over ten rounds: hospitals, states, owners
of digits, and owners of digits whose data two clients hold. A coalition's worth in a round is the
accuracy or the mean log-likelihood of the average of its updates on the test set. In the games of
data valuation, a model is trained anew on the data of each coalition.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.natural_clients import (
    ClientShares,
    has_natural_data,
    load_digits,
    load_hospitals,
    load_loans,
)
from scripts.tools.make_mnist_games import Weights, train

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Tables = dict[str, Floats]
"""By a game's name, the worth of all its coalitions, by bit mask."""

HIDDEN, EPOCHS, KEPT_ROUNDS = 32, 3, (1, 3, 10)
NEIGHBOURS = 5
"""How many of the nearest examples vote on a label."""

MIN_CHANCE = 1e-6
"""The log-likelihood takes smaller probabilities for this one."""


def list_coalitions(n: int) -> Bools:
    """List all coalitions.

    Args:
        n: Number of players.

    Returns:
        Members, bool (2^n, n); player k is bit k of the row's number.
    """
    bits = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1
    return np.asarray(bits, np.bool_)


def _draw_weights(inputs: int, outputs: int, rng: np.random.Generator) -> Weights:
    def glorot(rows: int, columns: int) -> NDArray[np.float32]:
        limit = np.sqrt(6 / (rows + columns))
        return rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    zeros = np.zeros(HIDDEN, np.float32), np.zeros(outputs, np.float32)
    return glorot(inputs, HIDDEN), zeros[0], glorot(HIDDEN, outputs), zeros[1]


def _average(models: list[Weights], shares: NDArray[np.float32]) -> Weights:
    w1, b1, w2, b2 = (
        np.tensordot(shares, np.stack(layer), 1) for layer in zip(*models, strict=True)
    )
    return w1, b1, w2, b2


def _score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return accuracies and mean log-likelihoods, (m,) each, of logits (m, examples, classes)."""
    right = (logits.argmax(axis=2) == labels).mean(axis=1)
    shifted = logits - logits.max(axis=2, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[None, :, None], axis=2)[..., 0]
    log_chances = chosen - np.log(np.exp(shifted).sum(axis=2))
    return right, np.maximum(log_chances, np.log(MIN_CHANCE)).mean(axis=1).astype(float)


def _tabulate(updates: list[Weights], base: Weights, data: ClientShares) -> tuple[Floats, Floats]:
    """Score the average of every coalition's updates; the empty coalition scores the base."""
    sizes = np.array([len(labels) for _, labels in data.shares], np.float32)
    rows = list_coalitions(len(updates))
    shares = np.column_stack([rows * sizes, ~rows.any(axis=1)]).astype(np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    models = [*updates, base]
    # The first layer is linear in the shares, so that each client's is computed once.
    first = np.stack([data.x_test @ w1 + b1 for w1, b1, _, _ in models])
    w2, b2 = (np.stack([model[layer] for model in models]) for layer in (2, 3))
    scores = []
    for start in range(0, len(rows), 64):
        some = shares[start : start + 64]
        hidden = np.maximum(np.tensordot(some, first, 1), 0)
        logits = hidden @ np.tensordot(some, w2, 1) + (some @ b2)[:, None]
        scores.append(_score(logits, data.y_test))
    accuracies, likelihoods = (np.concatenate(part) for part in zip(*scores, strict=True))
    return accuracies, likelihoods


def federate(data: ClientShares, seed: int) -> Tables:
    """Run ten rounds of FedAvg, and tabulate the games of rounds 1, 3 and 10.

    Args:
        data: The clients' data.
        seed: Seed of the first weights and of the order of examples.

    Returns:
        By name, `acc-1` to `acc-10` and `loss-1` to `loss-10`, the worth of all coalitions,
        float64 (2^n,).
    """
    rng = np.random.default_rng(seed)
    base = _draw_weights(data.x_test.shape[1], data.num_classes, rng)
    sizes = np.array([len(labels) for _, labels in data.shares], np.float32)
    tables = {}
    for number in range(1, max(KEPT_ROUNDS) + 1):
        updates = []
        for share in data.shares:
            model = base
            for _ in range(EPOCHS):
                model = train(model, share, rng)
            updates.append(model)
        if number in KEPT_ROUNDS:
            tables[f"acc-{number}"], tables[f"loss-{number}"] = _tabulate(updates, base, data)
        base = _average(updates, sizes / sizes.sum())
    return tables


def retrain_ridge(data: ClientShares) -> Floats:
    """Score ridge classifiers trained on each coalition's data.

    Args:
        data: The clients' data.

    Returns:
        The accuracy of each coalition's classifier, 0 to 1, float64 (2^n,), by bit mask.
    """
    targets = np.eye(data.num_classes)
    inputs = [np.column_stack([x, np.ones(len(x))]).astype(float) for x, _ in data.shares]
    grams = np.stack([x.T @ x for x in inputs])
    products = np.stack([x.T @ targets[y] for x, (_, y) in zip(inputs, data.shares, strict=True)])
    x_test = np.column_stack([data.x_test, np.ones(len(data.x_test))])
    penalty = np.eye(grams.shape[1])
    return np.array(
        [
            np.mean(
                (x_test @ np.linalg.solve(grams[row].sum(0) + penalty, products[row].sum(0)))
                .argmax(axis=1)
                == data.y_test
            )
            for row in list_coalitions(len(inputs))
        ]
    )  # fmt: skip


def retrain_logistic(data: ClientShares, num_clients: int = 10, steps: int = 6) -> Floats:
    """Score logistic regressions trained on each coalition's data by Newton's method.

    Args:
        data: Clients with two labels.
        num_clients: How many of the clients, the first, take part.
        steps: Newton steps of each training, from zero.

    Returns:
        The mean log-likelihood of the test set by each coalition's model, in nats, float64
        (2^num_clients,), by bit mask.
    """
    parts = [
        (np.column_stack([x, np.ones(len(x))]).astype(float), y)
        for x, y in data.shares[:num_clients]
    ]
    x_test = np.column_stack([data.x_test, np.ones(len(data.x_test))]).astype(float)
    worth = []
    for row in list_coalitions(num_clients):
        slopes = np.zeros(x_test.shape[1])
        members = np.flatnonzero(row)
        if len(members):
            x, y = (np.concatenate([parts[k][which] for k in members]) for which in (0, 1))
            for _ in range(steps):
                chances = 1 / (1 + np.exp(-np.clip(x @ slopes, -30, 30)))
                bend = (x * (chances * (1 - chances))[:, None]).T @ x + np.eye(len(slopes))
                slopes += np.linalg.solve(bend, x.T @ (y - chances) - slopes)
        margins = (x_test @ slopes) * (2 * data.y_test - 1)
        worth.append(-np.logaddexp(0, -margins).mean())
    return np.array(worth)


def vote_of_neighbours(data: ClientShares) -> Floats:
    """Score the vote of the five nearest examples among each coalition's data.

    Args:
        data: The clients' data.

    Returns:
        The accuracy of each coalition's vote, 0 to 1, float64 (2^n,), by bit mask.
    """
    x = np.concatenate([inputs for inputs, _ in data.shares])
    labels = np.concatenate([y for _, y in data.shares])
    owners = np.repeat(np.arange(len(data.shares)), [len(y) for _, y in data.shares])
    distances = (x**2).sum(axis=1)[None] - 2 * data.x_test @ x.T
    order = np.argsort(distances, axis=1, kind="stable")
    owner_of, label_of = owners[order], labels[order]
    classes = np.arange(data.num_classes)
    worth = []
    for row in list_coalitions(len(data.shares)):
        held = row[owner_of]
        votes = held & (np.cumsum(held, axis=1) <= NEIGHBOURS)
        counts = np.stack([(votes & (label_of == label)).sum(axis=1) for label in classes], axis=1)
        worth.append(np.mean(counts.argmax(axis=1) == data.y_test))
    return np.array(worth)


def _make_retraining() -> Tables:
    digits = load_digits(10, 0.5, 1, 23)
    tables = {"ridge": retrain_ridge(digits), "neighbours": vote_of_neighbours(digits)}
    if has_natural_data():
        tables["logistic"] = retrain_logistic(load_loans())
    return tables


def _list_names(maker: str) -> list[str]:
    if maker == "retrain":
        return ["retrain-ridge", "retrain-neighbours", "retrain-logistic"]
    return [f"{maker}-{kind}-{number}" for number in KEPT_ROUNDS for kind in ("acc", "loss")]


def make_trained_games(folder: Path, pattern: str = "*") -> Tables:
    """Make the tables of federations and retrainings, or read those in the folder.

    Args:
        folder: Holds one .npz file for each federation; files that are missing are made.
        pattern: The names of the games that are wanted, as for `fnmatch`.

    Returns:
        By name, the worth of all coalitions, float64 (2^n,), with n of 10 or 12. Games whose data
        are not installed are left out.
    """
    makers: dict[str, Callable[[], Tables]] = {
        "digits": lambda: federate(load_digits(10, 0.3, 1, 21), 21),
        "copies": lambda: federate(load_digits(5, 1.0, 2, 22), 22),
        "retrain": _make_retraining,
    }
    if has_natural_data():
        makers["hospitals"] = lambda: federate(load_hospitals(), 24)
        makers["loans"] = lambda: federate(load_loans(), 25)
    found: Tables = {}
    folder.mkdir(parents=True, exist_ok=True)
    for maker, make in makers.items():
        if not fnmatch.filter(_list_names(maker), pattern):
            continue
        path = folder / f"{maker}.npz"
        if not path.exists():
            tables: dict[str, Any] = dict(make())
            np.savez_compressed(path, **tables)
        with np.load(path) as file:
            named = {f"{maker}-{key}": file[key] for key in file.files}
        found |= {name: named[name] for name in fnmatch.filter(named, pattern)}
    return found
