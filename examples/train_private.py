"""Train in a round with differential privacy by a program of your own, here with NumPy alone.

    fedcoin-node train client --claim-privacy --command 'python train_private.py mine.npz'

As `train_numpy.py`, by DP-SGD: each step takes each example with the same probability, shortens its
gradient to a norm, and adds noise to their sum. It says so in the file that the client's signed
claim rests on (docs/PRIVACY.md). `mine.npz` has the arrays x_train and y_train.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CLIP, NOISE_MULTIPLIER = 1.0, 1.1

Floats = npt.NDArray[np.float64]


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
    return x.reshape(len(x), -1) * scale, y.astype(np.int64)


def clipped_sum(weights: list[Floats], x: Floats, y: npt.NDArray[np.int64]) -> list[Floats]:
    """Sum the examples' gradients of the cross-entropy, each shortened to a norm of `CLIP`.

    Args:
        weights: Kernel and bias of the hidden layer and of the output layer.
        x: Inputs (batch, features); the batch may be empty.
        y: Labels (batch,).

    Returns:
        A sum for each weight, of its shape.
    """
    kernel, bias, top, top_bias = weights
    hidden = np.maximum(x @ kernel + bias, 0)
    logits = hidden @ top + top_bias
    errors = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors /= errors.sum(axis=1, keepdims=True)
    errors[np.arange(len(y)), y] -= 1
    behind = (errors @ top.T) * (hidden > 0)
    # A kernel's gradient is the product of two vectors, and its norm the product of theirs.
    squares = (behind**2).sum(1) * ((x**2).sum(1) + 1)
    squares += (errors**2).sum(1) * ((hidden**2).sum(1) + 1)
    factors = np.minimum(1, CLIP / np.maximum(np.sqrt(squares), 1e-12))[:, None]
    behind, errors = behind * factors, errors * factors
    return [x.T @ behind, behind.sum(0), hidden.T @ errors, errors.sum(0)]


def main() -> None:
    """Train from the round's base weights, and write the update and how private it is."""
    settings: dict[str, Any] = json.loads(Path(os.environ["FEDCOIN_ROUND_SETTINGS"]).read_text())
    with np.load(os.environ["FEDCOIN_ROUND_BASE"]) as base:
        names = [weight["name"] for weight in settings["weights"]]
        weights = [base[name].astype(np.float64) for name in names]
    x, y = load(sys.argv[1])
    # Not seeded by the coordinator's settings: who knows the seed can take the noise away.
    noise = np.random.default_rng()
    size = min(settings["batch_size"], len(y))
    rate, steps = size / len(y), settings["epochs"] * -(-len(y) // size)
    for step in range(1, steps + 1):
        taken = noise.random(len(y)) < rate
        for weight, gradient in zip(weights, clipped_sum(weights, x[taken], y[taken]), strict=True):
            noisy = gradient + noise.normal(0, CLIP * NOISE_MULTIPLIER, weight.shape)
            np.subtract(weight, settings["learning_rate"] * noisy / size, out=weight)
        if step % 50 == 0:
            print(f"step {step} of {steps}", flush=True)
    arrays = {name: w.astype(np.float32) for name, w in zip(names, weights, strict=True)}
    np.savez(os.environ["FEDCOIN_ROUND_UPDATE"], num_samples=len(y), **arrays)
    claim = {
        "clip": CLIP,
        "noise_multiplier": NOISE_MULTIPLIER,
        "sampling_rate": rate,
        "steps": steps,
    }
    Path(os.environ["FEDCOIN_ROUND_PRIVACY"]).write_text(json.dumps(claim))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
