"""Train a federation from arrays, and value its clients: no chain, no files, no TensorFlow.

    python examples/federation_values.py

Six clients share the digits that are part of the package. The last two have wrong labels.
"""

from __future__ import annotations

import numpy as np

from fedcoin import shapley
from fedcoin.application.offline.federation import value_federation
from fedcoin.learning.training.datasets import load_dataset

CLIENTS, MISLABELLED, ROUNDS = 6, 2, 2


def main() -> None:
    """Print each client's Shapley value over two rounds, and its Banzhaf value in the first."""
    digits = load_dataset("digits", scale=16)  # pixels from 0 to 1
    rng = np.random.default_rng(0)
    shares = np.array_split(rng.permutation(len(digits.y_train)), CLIENTS)
    labels = [digits.y_train[share] for share in shares]
    for client in range(CLIENTS - MISLABELLED, CLIENTS):
        labels[client] = rng.integers(0, 10, len(labels[client]))
    valuation = value_federation(
        [digits.x_train[share] for share in shares],
        labels,
        digits.x_test,
        digits.y_test,
        rounds=ROUNDS,
        seed=1,
    )
    banzhaf = shapley.estimate_banzhaf(valuation.utilities[0])
    for client, value in enumerate(valuation.total.values.tolist()):
        print(f"client {client}: Shapley {value:+.3f}, Banzhaf {banzhaf.values[client]:+.3f}")
    print("accuracy", " -> ".join(f"{accuracy:.3f}" for accuracy in valuation.accuracies))


if __name__ == "__main__":
    main()
