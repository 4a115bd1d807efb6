"""Train in a round with a program of your own, here with NumPy alone.

    fedcoin-node train client --server 127.0.0.1:7052 --command 'python train_numpy.py mine.npz'

The client runs this program in each round. It finds its files by environment variables (see "Your
own training program" in docs/OPERATIONS.md), trains the built-in model `mlp`, and writes weights.
`mine.npz` has the arrays x_train and y_train.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def load(path: str) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Read the client's own examples, and scale them as the model's first layer does.

    Args:
        path: An `.npz` file with x_train (m, ...) and y_train (m,).

    Returns:
        Inputs (m, features) and labels (m,).
    """
    model = json.loads(Path(os.environ["FEDCOIN_ROUND_MODEL"]).read_text())
    layers = {layer["class_name"]: layer["config"] for layer in model["config"]["layers"]}
    scale = layers.get("Rescaling", {}).get("scale", 1.0)
    with np.load(path) as data:
        x, y = data["x_train"], data["y_train"]
    return (x.reshape(len(x), -1) * scale).astype(np.float32), y.astype(np.int64)


def step(weights: list[Floats], x: Floats, y: npt.NDArray[np.int64], rate: float) -> float:
    """Take a step of gradient descent on the cross-entropy.

    Args:
        weights: Kernel and bias of the hidden layer and of the output layer; changed in place.
        x: Inputs (batch, features).
        y: Labels (batch,).
        rate: The step size.

    Returns:
        The loss before the step.
    """
    kernel, bias, top, top_bias = weights
    hidden = np.maximum(x @ kernel + bias, 0)
    logits = hidden @ top + top_bias
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = -float(np.log(chances[rows, y] + 1e-9).mean())
    chances[rows, y] -= 1
    errors = chances / len(y)
    behind = (errors @ top.T) * (hidden > 0)
    gradients = (x.T @ behind, behind.sum(0), hidden.T @ errors, errors.sum(0))
    for weight, gradient in zip(weights, gradients, strict=True):
        np.subtract(weight, rate * gradient, out=weight)
    return loss


def main() -> None:
    """Train from the round's base weights, and write the update."""
    settings: dict[str, Any] = json.loads(Path(os.environ["FEDCOIN_ROUND_SETTINGS"]).read_text())
    with np.load(os.environ["FEDCOIN_ROUND_BASE"]) as base:
        names = [weight["name"] for weight in settings["weights"]]
        weights = [base[name].copy() for name in names]
    x, y = load(sys.argv[1])
    order = np.random.default_rng(settings["seed"])
    size = settings["batch_size"]
    for epoch in range(1, settings["epochs"] + 1):
        examples = order.permutation(len(y))
        losses = [
            step(weights, x[batch], y[batch], settings["learning_rate"])
            for batch in (examples[i : i + size] for i in range(0, len(y), size))
        ]
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}", flush=True)
    arrays = dict(zip(names, weights, strict=True))
    np.savez(os.environ["FEDCOIN_ROUND_UPDATE"], num_samples=len(y), **arrays)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
