"""Make the games from real training that tests and benchmarks of Shapley estimators use.

Ten clients train a 784-128-10 network on MNIST, and average by FedAvg for three rounds. There are
six campaigns, which split the data in six ways. A round is a game: a coalition is worth the right
answers of its averaged model on the 10,000 test images, and the empty coalition those of the
round's base. The games of rounds 1 and 3 are written, with all 1,024 counts each. NumPy is enough
to run it:

    FEDCOIN_MNIST=mnist.npz python -m scripts.tools.make_mnist_games tests/shapley/mnist.npz
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Share = tuple[Floats, Ints]
"""One client's images and labels."""

Weights = tuple[Floats, Floats, Floats, Floats]

SPLITS = ("iid", "label-skew", "unequal-sizes", "label-noise", "feature-noise", "few-labels")
"""The ways to divide the training images among clients."""

CLIENTS, HIDDEN, ROUNDS, KEPT = 10, 128, 3, (1, 3)
BATCH, RATE = 32, np.float32(0.1)


def read_mnist() -> tuple[Floats, Ints, Floats, Ints]:
    """Read the file that FEDCOIN_MNIST names.

    Returns:
        Training images, float32 (N, 784) from 0 to 1, their labels, int64 (N,), and the same of the
        test set.
    """
    with np.load(os.environ["FEDCOIN_MNIST"]) as file:
        parts = [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    x, y, x_test, y_test = parts
    flat = [images.reshape(len(images), -1).astype(np.float32) / 255 for images in (x, x_test)]
    return flat[0], y.astype(np.int64), flat[1], y_test.astype(np.int64)


def _split(x: Floats, y: Ints, how: str, clients: int, rng: np.random.Generator) -> list[Share]:
    """Divide the training set among the clients in one of the ways."""
    order = rng.permutation(len(y))
    if how == "label-skew":
        # Four fifths of each digit's images belong to one client, or to one in ten of them.
        pieces_of: list[list[Ints]] = [[] for _ in range(clients)]
        rest = []
        for digit in range(10):
            images = order[y[order] == digit]
            own, others = np.split(images, [len(images) * 4 // 5])
            owners = range(digit, clients, 10)
            for owner, part in zip(owners, np.array_split(own, len(owners)), strict=True):
                pieces_of[owner].append(part)
            rest.append(others)
        for owner, part in enumerate(
            np.array_split(rng.permutation(np.concatenate(rest)), clients)
        ):
            pieces_of[owner].append(part)
        parts = [np.concatenate(pieces) for pieces in pieces_of]
    elif how == "few-labels":
        # Each client gets three pieces of the images sorted by label: about three digits.
        pieces = np.array_split(order[np.argsort(y[order], kind="stable")], 3 * clients)
        dealt = rng.permutation(3 * clients).reshape(clients, 3)
        parts = [np.concatenate([pieces[piece] for piece in hand]) for hand in dealt]
    elif how == "unequal-sizes":
        # The sizes are in the proportions 1 : 2 : ... : clients.
        ends = np.cumsum(np.arange(1, clients + 1)) * len(y) // (clients * (clients + 1) // 2)
        parts = np.split(order, ends[:-1])
    else:
        parts = np.array_split(order, clients)
    levels = np.linspace(0, 0.2, clients)
    shares = []
    for part, level in zip(parts, levels, strict=True):
        images, labels = x[part], y[part].copy()
        if how == "label-noise":
            wrong = rng.random(len(labels)) < level
            labels[wrong] = (labels[wrong] + rng.integers(1, 10, wrong.sum())) % 10
        if how == "feature-noise":
            images = images + rng.normal(0, 5 * level + 1e-9, images.shape).astype(np.float32)
        shares.append((images, labels))
    return shares


def initial(hidden: int, rng: np.random.Generator) -> Weights:
    """Draw initial weights as Keras does: Glorot-uniform, zero biases.

    Args:
        hidden: The number of hidden units.
        rng: The source of randomness.

    Returns:
        Weights and biases of both layers, float32.
    """

    def glorot(rows: int, columns: int) -> Floats:
        limit = np.sqrt(6 / (rows + columns))
        return rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    zeros = np.zeros(hidden, np.float32), np.zeros(10, np.float32)
    return glorot(784, hidden), zeros[0], glorot(hidden, 10), zeros[1]


def train(weights: Weights, share: Share, rng: np.random.Generator) -> Weights:
    """Train for one epoch of stochastic gradient descent on the cross-entropy.

    Args:
        weights: Weights and biases of both layers.
        share: Images and labels.
        rng: The source of randomness, for the order of examples.

    Returns:
        The new weights and biases.
    """
    w1, b1, w2, b2 = (array.copy() for array in weights)
    x, y = share
    order = rng.permutation(len(y))
    for start in range(0, len(y), BATCH):
        rows = order[start : start + BATCH]
        inputs = x[rows]
        hidden = np.maximum(inputs @ w1 + b1, 0)
        outputs = hidden @ w2 + b2
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        slope = outputs / outputs.sum(axis=1, keepdims=True)
        slope[np.arange(len(rows)), y[rows]] -= 1
        slope *= RATE / np.float32(len(rows))
        back = (slope @ w2.T) * (hidden > 0)
        w2 -= hidden.T @ slope
        b2 -= slope.sum(axis=0)
        w1 -= inputs.T @ back
        b1 -= back.sum(axis=0)
    return w1, b1, w2, b2


@dataclass(frozen=True)
class Clients:
    """The updates of a round, and last the base: counts the right answers of coalitions."""

    # The first layer's outputs for the test images, float32 (n + 1, images, hidden).
    first: Floats
    # The second layer's weights, float32 (n + 1, hidden, 10), and biases, float32 (n + 1, 10).
    w2: Floats
    b2: Floats
    # The number of examples of each client, float32 (n,).
    sizes: Floats
    # Of the test images, int64 (images,).
    labels: Ints

    def __call__(self, coalitions: NDArray[np.bool_]) -> Ints:
        """Count the right answers of coalitions, bool (m, n): int64 (m,)."""
        rows = np.column_stack([coalitions * self.sizes, ~coalitions.any(axis=1)])
        rows = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
        w2 = np.tensordot(rows, self.w2, 1)
        b2 = rows @ self.b2
        right = np.zeros(len(rows), np.int64)
        for start in range(0, len(self.labels), 250):
            block = self.first[:, start : start + 250]
            hidden = (rows @ block.reshape(len(block), -1)).reshape(len(rows), *block.shape[1:])
            outputs = np.maximum(hidden, 0, out=hidden) @ w2 + b2[:, None]
            right += (outputs.argmax(axis=2) == self.labels[start : start + 250]).sum(axis=1)
        return right


def _federate(
    how: str, clients: int, hidden: int, rounds: int, seed: int, images: int = 10_000
) -> list[Clients]:
    """Run rounds of FedAvg, and return the game of each."""
    rng = np.random.default_rng(seed)
    x, y, x_test, y_test = read_mnist()
    x_test, y_test = x_test[:images], y_test[:images]
    shares = _split(x, y, how, clients, rng)
    sizes = np.array([len(labels) for _, labels in shares], np.float32)
    base = initial(hidden, rng)
    games = []
    for _ in range(rounds):
        updates = [train(base, share, rng) for share in shares]
        models = [*updates, base]
        first = np.stack([x_test @ w1 + b1 for w1, b1, _, _ in models])
        stacks = [np.stack([model[layer] for model in models]) for layer in (2, 3)]
        games.append(Clients(first, stacks[0], stacks[1], sizes, y_test))
        shares_of_all = sizes / sizes.sum()
        mixed = [
            np.tensordot(shares_of_all, np.stack(layer), 1) for layer in zip(*updates, strict=True)
        ]
        base = (mixed[0], mixed[1], mixed[2], mixed[3])
    return games


def _table(game: Clients) -> NDArray[np.uint16]:
    """Count the right answers of all coalitions; client k is bit k."""
    n = len(game.sizes)
    coalitions = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 == 1
    counts = [game(coalitions[start : start + 64]) for start in range(0, 1 << n, 64)]
    return np.concatenate(counts).astype(np.uint16)


def main() -> None:
    """Write the games to the file that the command line names."""
    tables: dict[str, Any] = {}
    for seed, how in enumerate(SPLITS):
        games = _federate(how, CLIENTS, HIDDEN, ROUNDS, seed)
        for number in KEPT:
            counts = _table(games[number - 1])
            tables[f"{how}-{number}"] = counts
            print(f"{how}, round {number}: {counts[0]} right by the base, {counts[-1]} by all")
    np.savez_compressed(Path(sys.argv[1]), **tables)


if __name__ == "__main__":
    main()
