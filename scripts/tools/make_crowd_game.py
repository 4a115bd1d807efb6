"""Make a game of 100 really trained clients of unequal quality, and what its Shapley values are.

Each client trains a 784-128-10 network for one pass on images of MNIST of its own: client k has a
share of the 60,000 in proportion to 20 + k', k' a permutation of 0 to 99, and 0 to 40 % of its
labels are wrong. A coalition is worth the part of 2,000 test images that its FedAvg average has
right, the empty one what the base has.

Nobody can look at 2^100 coalitions, so that the values are those of a long run: for each size,
least squares of the worth of coalitions on who belongs, which is all that Shapley values depend
on and assumes nothing of the game. Small sizes count most and get most of 60,000 evaluations; of
those above 24 members every fifth is sampled. Standard errors are a jackknife's over 20 parts.
Takes a minute or two:

    FEDCOIN_MNIST=mnist.npz python scripts/tools/make_crowd_game.py build/estimators/crowd.npz
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

CLIENTS, IMAGES, MOST_NOISE = 100, 2_000, 0.4
PARTS, LISTED, ROWS = 20, 5_000, 64
SIZES = (*range(1, 25), *range(27, 98, 5), 99)
"""Those that are sampled; what members add changes little between them."""


class _Crowd:
    """Worth of coalitions of the clients in a file that ``make`` wrote."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            w1, b1, w2, b2, sizes, x, y = (file[name] for name in file.files[:7])
            self.values, self.std_errors = (
                file[name] if name in file else np.zeros(0) for name in ("values", "std_errors")
            )
        first = np.stack([x @ w + b for w, b in zip(w1, b1, strict=True)])
        self._clients = Clients(first, w2, b2, sizes, y)

    def __call__(self, coalitions: Bools) -> Floats:
        """Of coalitions (m, n): float64 (m,)."""
        starts = range(0, len(coalitions), ROWS)
        counts = [self._clients(coalitions[start : start + ROWS]) for start in starts]
        return np.concatenate(counts) / IMAGES


@functools.cache
def crowd(path: Path) -> _Crowd:
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
    levels = rng.permutation(np.linspace(0, MOST_NOISE, CLIENTS))
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
    """(1 + PARTS, n): what a member adds to coalitions of one size; the same without each part."""
    worth, rng, n = crowd(path), np.random.default_rng([11, size]), CLIENTS
    if math.comb(n, size) <= LISTED:
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
    """Values and their standard errors."""
    everyone = np.ones((1, CLIENTS), np.bool_)
    worth = crowd(path)
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
    """Write the clients, then the same with the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = dict(_trained())
    np.savez(path, **arrays)
    values, errors = _reference(path)
    np.savez(path, **arrays, values=values, std_errors=errors)


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
