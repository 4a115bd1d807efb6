"""Make a game of 100 really trained clients of unequal quality, with estimated Shapley values.

Each client trains a 784-128-10 network for one epoch on its own images of MNIST. The clients'
numbers of images are in the proportions 20 : 21 : ... : 119, in random order, and 0 to 40 % of
their labels are wrong. A coalition is worth the accuracy of its FedAvg average on 2,000 test
images, and the empty coalition that of the base.

2^100 coalitions are too many to evaluate. For each coalition size, the worth of random coalitions
is fitted by least squares to a constant and an addition for each member; the mean addition over all
sizes is the Shapley value, whatever the game. Small sizes vary most and get most of the 60,000
evaluations; above 24 members every fifth size is sampled, and the others are interpolated. Standard
errors come from a jackknife over 20 parts. It takes a minute or two:

    FEDCOIN_MNIST=mnist.npz python -m scripts.tools.make_crowd_game build/estimators/crowd.npz
"""

from __future__ import annotations

import functools
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.tools.make_mnist_games import HIDDEN, Clients, initial, read_mnist, train

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CLIENTS, IMAGES, MAX_NOISE = 100, 2_000, 0.4

PARTS = 20
"""The number of parts of the jackknife."""

MAX_LISTED = 5_000
"""Sizes with at most this many coalitions are evaluated completely."""

ROWS = 64
"""The number of coalitions that are evaluated at once."""

SIZES = (*range(1, 25), *range(27, 98, 5), 99)
"""The coalition sizes that are sampled."""


class _Crowd:
    """Evaluates coalitions of the clients in a file that this program wrote."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            w1, b1, w2, b2, sizes, x, y = (file[name] for name in file.files[:7])
            self.values, self.std_errors = (
                file[name] if name in file else np.zeros(0) for name in ("values", "std_errors")
            )
        first = np.stack([x @ w + b for w, b in zip(w1, b1, strict=True)])
        self._clients = Clients(first, w2, b2, sizes, y)

    def __call__(self, coalitions: Bools) -> Floats:
        """Return the accuracies, float64 (m,), of coalitions, bool (m, n)."""
        starts = range(0, len(coalitions), ROWS)
        counts = [self._clients(coalitions[start : start + ROWS]) for start in starts]
        return np.concatenate(counts) / IMAGES


@functools.cache
def load_crowd(path: Path) -> _Crowd:
    """Load the game of a file, once in a process, since it takes a second.

    Args:
        path: A file that this program wrote.

    Returns:
        A function from coalitions, bool (m, n), to accuracies, float64 (m,).
    """
    return _Crowd(path)


def _trained() -> dict[str, NDArray[np.generic]]:
    """The layers of the clients and, last, of the base; the clients' sizes; the test set."""
    rng = np.random.default_rng(7)
    x, y, x_test, y_test = read_mnist()
    base = initial(HIDDEN, rng)
    ends = np.cumsum(20 + rng.permutation(CLIENTS))
    parts = np.split(rng.permutation(len(y)), ends[:-1] * len(y) // ends[-1])
    levels = rng.permutation(np.linspace(0, MAX_NOISE, CLIENTS))
    models = []
    for part, level in zip(parts, levels, strict=True):
        labels = y[part].copy()
        wrong = rng.random(len(labels)) < level
        labels[wrong] = (labels[wrong] + rng.integers(1, 10, wrong.sum())) % 10
        models.append(train(base, (x[part], labels), rng))
    layers = [np.stack(layer) for layer in zip(*models, base, strict=True)]
    named = dict(zip(("w1", "b1", "w2", "b2"), layers, strict=True))
    sizes = np.array([len(part) for part in parts], np.float32)
    return {**named, "sizes": sizes, "x": x_test[:IMAGES], "y": y_test[:IMAGES]}


def _slopes(path: Path, size: int) -> Floats:
    """Fit what a member adds to coalitions of one size: with all samples, then without each part.

    The result is float64 (1 + PARTS, n).
    """
    worth, rng, n = load_crowd(path), np.random.default_rng([11, size]), CLIENTS
    if math.comb(n, size) <= MAX_LISTED:
        rows: NDArray[np.bool_] = np.zeros((math.comb(n, size), n), np.bool_)
        for row, members in zip(rows, combinations(range(n), size), strict=True):
            row[list(members)] = True
    else:
        count = (14_000 // size if size < 25 else 900) // PARTS * PARTS
        rows = rng.permuted(np.tile(np.arange(n) < size, (count, 1)), axis=1)
    centred, found = rows - size / n, worth(rows)
    found = found - found.mean()
    parts = [slice(part, None, PARTS) for part in range(PARTS)]
    squares = np.array([centred[part].T @ centred[part] for part in parts])
    products = np.array([centred[part].T @ found[part] for part in parts])
    listed = len(rows) == math.comb(n, size)
    answers = []
    for without in (None, *range(PARTS)):
        kept = np.arange(PARTS) != (None if listed else without)
        inverse = np.linalg.pinv(squares[kept].sum(axis=0), rcond=1e-9, hermitian=True)
        answers.append(inverse @ products[kept].sum(axis=0))
    return np.array(answers)


def _reference(path: Path) -> tuple[Floats, Floats]:
    """Estimate the Shapley values and their standard errors, float64 (n,) each."""
    everyone = np.ones((1, CLIENTS), np.bool_)
    worth = load_crowd(path)
    equal = (worth(everyone)[0] - worth(~everyone)[0]) / CLIENTS
    with ProcessPoolExecutor() as workers:
        found = np.array(list(workers.map(_slopes, [path] * len(SIZES), SIZES)))
    # (n - 1, 1 + PARTS, n): lines between the sizes that were sampled.
    every = np.arange(1, CLIENTS)
    after = np.clip(np.searchsorted(SIZES, every), 1, len(SIZES) - 1)
    first, last = np.array(SIZES)[after - 1], np.array(SIZES)[after]
    part = ((every - first) / (last - first))[:, None, None]
    added = (found[after - 1] * (1 - part) + found[after] * part).sum(axis=0)
    whole, *left_out = equal + added / (CLIENTS - 1)
    return whole, np.sqrt((PARTS - 1) * np.var(left_out, axis=0))


def _make(path: Path) -> None:
    """Write the clients, then the clients and the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = dict(_trained())
    np.savez(path, **arrays)
    values, errors = _reference(path)
    np.savez(path, **arrays, values=values, std_errors=errors)


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
