"""What an entry of the list says about a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 4
"""Classes of the models that have no other number."""

EXAMPLES, FEW = 120, 40
"""Examples on which a model is evaluated, and one of `keras.applications`."""

TOKENS = 20
"""Token ids are below this."""

Build = Callable[[Any], Any]
"""Makes the model, given the module keras."""


@dataclass(frozen=True)
class Entry:
    """A model, and what is expected of it."""

    name: str
    group: str
    build: Build
    inputs: str = "unit"
    """`unit`: 0 to 1; `pixels`: whole numbers 0 to 255; `table`: standard normal; `tokens`."""
    refused: str = ""
    """The code with which it is refused; empty when it is taken."""
    advice: str = ""
    """A part of the sentence with which it is refused."""
    changes: str = ""
    """A part of what is said to be changed on reading."""
    input_side: int = 0
    """The side of a square image that one of `keras.applications` takes; 0 for other models."""
    noise: float = 1.0
    """How far clients move the weights, as a part of their spread."""
    to_json: Callable[[Any], str] | None = None
    """Makes the architecture of the model; None for `model.to_json()`."""


def draw_inputs(
    kind: str, shape: tuple[int, ...], examples: int, rng: np.random.Generator
) -> NDArray[Any]:
    """Draw an entry's inputs, float32 (examples, *shape)."""
    size = (examples, *shape)
    drawn: NDArray[Any]
    if kind == "unit":
        drawn = rng.random(size)
    elif kind == "table":
        drawn = rng.standard_normal(size)
    else:
        drawn = rng.integers(0, {"pixels": 256, "tokens": TOKENS}[kind], size)
    return drawn.astype(np.float32)
