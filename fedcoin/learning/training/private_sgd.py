"""Differentially private SGD (DP-SGD) in NumPy, for models that are a sequence of dense layers.

Each step takes each example with the same probability, clips each example's gradient, adds Gaussian
noise to the sum, and moves the weights. What leaves the client then says little of any one example.
Source: Abadi and others, "Deep learning with differential privacy", CCS 2016, algorithm 1. The
clipped sums need no gradient of any single example: its norm follows from the norms of a layer's
inputs and of the gradient at its outputs (Goodfellow, "Efficient per-example gradient
computations", arXiv:1510.01799).

The noise is drawn by PCG64 seeded by the operating system, and added in float32. Neither is meant
to withstand an attacker who exploits the generator or the rounding of floating-point noise
(Mironov, "On significance of the least significant bits for differential privacy", CCS 2012).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.layers import Dense, Layer
from fedcoin.learning.training.dense_sgd import backpropagate, prepare_inputs, view_kernel
from fedcoin.learning.training.loss_gradients import Floats, LossGradient, cross_entropy
from fedcoin.learning.training.training_plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """How much of each example's gradient is used, and how much noise is added."""

    clip: float
    """The largest Euclidean norm of an example's gradient, above 0; longer ones are shortened."""
    noise_multiplier: float
    """The standard deviation of the noise in each number of a step's sum, divided by `clip`."""


@dataclass(frozen=True, slots=True)
class SampledSteps:
    """The steps of a round's training, as an accountant of privacy counts them."""

    rate: float
    """The probability with which a step takes an example, 0 to 1."""
    count: int
    """The number of steps."""


def plan_steps(plan: TrainingPlan, num_examples: int) -> SampledSteps:
    """Choose the steps of a round: how many, and with which probability each takes an example.

    Args:
        plan: How to train.
        num_examples: The client's examples, at least 1.

    Returns:
        As many steps as plain SGD has batches in the round. A step takes each example with the
        probability `batch_size` / `num_examples`, at most 1.
    """
    rate = min(1.0, plan.batch_size / num_examples)
    return SampledSteps(rate, plan.epochs * math.ceil(num_examples / plan.batch_size))


def fit_privately(
    layers: Sequence[Layer],
    base: Weights,
    x: npt.NDArray[np.generic],
    y: Targets,
    plan: TrainingPlan,
    privacy: PrivacySettings,
    frozen: Weights = NO_WEIGHTS,
    rng: np.random.Generator | None = None,
    loss: LossGradient = cross_entropy,
) -> dict[str, Floats]:
    """Train by DP-SGD.

    Args:
        layers: The layers up to the logits or numbers, from `read_dense_layers`.
        base: float32 weights by name to start from.
        x: Inputs (m, ...), float32 or int32, which are flattened.
        y: Targets (m, ...) that the loss takes, such as labels int64 (m,).
        plan: How to train; its seed is not used, since the server knows it.
        privacy: Clipping and noise.
        frozen: float32 weights by name that stay as they are.
        rng: Draws examples and noise, for tests; None for one that nobody else can repeat.
        loss: The gradient of the loss that is minimised.

    Returns:
        The trained weights by name, in the order of `base`; not finite when the training diverged.
    """
    weights = {name: np.array(array, np.float32) for name, array in {**frozen, **base}.items()}
    layers, inputs = prepare_inputs(layers, weights, x)
    # Seeded by the operating system: whoever knew the noise could subtract it.
    rng = rng if rng is not None else np.random.default_rng()
    steps = plan_steps(plan, len(y))
    # Divided by a number that does not depend on which examples were taken.
    rate = np.float32(plan.learning_rate / (steps.rate * len(y)))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps.count):
            rows = rng.random(len(y)) < steps.rate
            found = backpropagate(layers, weights, inputs[rows], y[rows], 1, loss)
            parts = _clip_examples(found, base, privacy.clip)
            for (layer, values, _), gradient in zip(found, parts, strict=True):
                if layer.kernel in base:
                    kernel = view_kernel(layer, weights)
                    kernel -= rate * _add_noise(values.T @ gradient, privacy, rng)
                if layer.bias in base:
                    weights[layer.bias] -= rate * _add_noise(gradient.sum(axis=0), privacy, rng)
    return {name: weights[name] for name in base}


def _clip_examples(
    found: Sequence[tuple[Dense, Floats, Floats]], trained: Collection[str], clip: float
) -> list[Floats]:
    """Scale each example's rows, so that its gradient for all trained weights is no longer."""
    squares = np.zeros(len(found[0][1]), np.float32)
    for layer, values, gradient in found:
        of_kernel = (values * values).sum(axis=1) * (layer.kernel in trained)
        squares += (of_kernel + (layer.bias in trained)) * (gradient * gradient).sum(axis=1)
    norms = np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
    factors = np.minimum(1, clip / norms).astype(np.float32)[:, np.newaxis]
    return [gradient * factors for _, _, gradient in found]


def _add_noise(sums: Floats, privacy: PrivacySettings, rng: np.random.Generator) -> Floats:
    deviation = privacy.noise_multiplier * privacy.clip
    noisy: Floats = sums + rng.normal(0, deviation, sums.shape).astype(np.float32)
    return noisy
