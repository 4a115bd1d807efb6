"""The gradients of the two losses that clients train by, at a model's outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.target_kind import TargetKind

Floats = npt.NDArray[np.float32]

LossGradient: TypeAlias = Callable[[Floats, Targets], Floats]
"""Takes outputs float32 (m, outputs) and targets (m, ...); returns the gradient of the loss, summed
over the examples, at the outputs, float32 (m, outputs)."""


def choose_loss(kind: TargetKind) -> LossGradient:
    """Choose the loss for targets.

    Args:
        kind: What the targets are.

    Returns:
        The gradient of the squared error for numbers, else that of the cross-entropy.
    """
    return squared_error if kind is TargetKind.NUMBERS else cross_entropy


def cross_entropy(logits: Floats, labels: Targets) -> Floats:
    """Compute the gradient of the cross-entropy of a softmax.

    Args:
        logits: float32 (m, classes).
        labels: Classes from 0, int64 (m,).

    Returns:
        The softmax, minus 1 at each example's class; float32 (m, classes).
    """
    gradient: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient /= gradient.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels.astype(np.int64)] -= 1
    return gradient


def squared_error(outputs: Floats, targets: Targets) -> Floats:
    """Compute the gradient of the squared error, which is the mean over an example's outputs.

    Args:
        outputs: float32 (m, outputs).
        targets: float32 (m,) for one output, or (m, outputs).

    Returns:
        Twice the difference, divided by the number of outputs; float32 (m, outputs).
    """
    difference: Floats = outputs - targets.reshape(outputs.shape).astype(np.float32)
    return difference * np.float32(2 / outputs.shape[1])
