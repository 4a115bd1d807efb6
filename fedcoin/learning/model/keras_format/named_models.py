"""The models that have a name: `mlp` and `cnn`, made without TensorFlow.

Architecture and initial weights are those that Keras makes of the same layers after
`keras.utils.set_random_seed(seed)`: Keras takes the seed of each kernel from Python's generator.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.keras_format.keras_draws import draw_glorot_uniform
from fedcoin.learning.model.spec import check_spec
from fedcoin.v1 import artifact_pb2

MODEL_NAMES: Final = ("mlp", "cnn")
"""`mlp` is the paper's network, one hidden layer of 128 units. `cnn`, for images, is two 3 x 3
convolutions of 16 and 32 channels, each with max-pooling, and a dense layer of 64 units. A first
layer divides whole numbers, such as pixels, by the largest of them."""

_FLOAT32: Final = {
    "module": "keras",
    "class_name": "DTypePolicy",
    "config": {"name": "float32"},
    "registered_name": None,
}
_MAX_KERAS_SEED: Final = 1_000_000_000


def create_named_model(
    name: str,
    input_shape: Sequence[int],
    num_classes: int,
    seed: int = 0,
    divisor: float = 1.0,
    kind: TargetKind = TargetKind.CLASSES,
) -> tuple[artifact_pb2.ModelSpec, dict[str, npt.NDArray[np.float32]]]:
    """Make one of the models of this package, and its initial weights.

    Args:
        name: One of `MODEL_NAMES`.
        input_shape: The shape of one example; for `cnn` (height, width) or (height, width,
            channels) with sides of at least 4.
        num_classes: How many classes the model tells apart, or how many numbers it predicts.
        seed: Seeds the initial weights.
        divisor: What the model's first layer divides the inputs by, a `Rescaling`; no such layer
            for 1.
        kind: What the targets are: for numbers the last layer is linear, else a softmax.

    Returns:
        The ModelSpec, and the weights by name in its order, float32.

    Raises:
        RefusalError: UNKNOWN_MODEL when there is no model of that name; BAD_MODEL when it cannot
            take examples of that shape, or targets are tokens; MODEL_TOO_LARGE when it is too
            large for them.
    """
    _check_fit(name, input_shape, kind)
    stack = _Stack(tuple(input_shape))
    if divisor != 1:
        stack.add("Rescaling", scale=1 / divisor, offset=0.0)
    if name == "mlp":
        stack.flatten()
        stack.add_dense(128, "relu")
    else:
        _add_convolutions(stack)
    stack.add_dense(num_classes, "linear" if kind is TargetKind.NUMBERS else "softmax")
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(
            _sequential(name, stack.layers), separators=(",", ":"), sort_keys=True
        ),
        input_shape=input_shape,
        num_classes=num_classes,
    )
    for weight, shape in stack.weights.items():
        spec.weights.add(name=weight, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=shape)
    check_spec(spec)
    # Keras seeds Python's own generator, and takes the seed of each kernel from it.
    seeds = random.Random(seed)
    weights = {
        weight: draw_glorot_uniform(shape, seeds.randint(1, _MAX_KERAS_SEED))
        if len(shape) > 1
        else np.zeros(shape, np.float32)
        for weight, shape in stack.weights.items()
    }
    return spec, weights


@dataclass(slots=True)
class _Stack:
    """Layers one above the other, each in the form in which Keras writes it as JSON."""

    shape: tuple[int, ...]
    """The shape of what the last layer returns for one example."""
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The shape of each weight, in the order of `model.weights`."""
    _counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._append("InputLayer", "input_layer", batch_shape=[None, *self.shape], dtype="float32")

    def add(self, class_name: str, **config: object) -> str:
        """Add a layer; returns the name that Keras gives it, such as dense_1."""
        base = {"MaxPooling2D": "max_pooling2d"}.get(class_name, class_name.lower())
        name = f"{base}_{self._counts[base]}" if self._counts[base] else base
        self._counts[base] += 1
        self._append(class_name, name, dtype=_FLOAT32, trainable=True, **config)
        return name

    def flatten(self) -> None:
        """Make one axis of all."""
        self.add("Flatten", data_format="channels_last")
        self.shape = (math.prod(self.shape),)

    def add_dense(self, units: int, activation: str) -> None:
        """Add a dense layer."""
        name = self.add("Dense", units=units, activation=activation, use_bias=True)
        self._add_weights(name, (*self.shape, units))
        self.shape = (units,)

    def add_convolution(self, filters: int) -> None:
        """Add a 3 x 3 convolution that keeps the maps' size, and max-pooling that halves it."""
        common: dict[str, object] = {"data_format": "channels_last"}
        name = self.add(
            "Conv2D",
            filters=filters,
            kernel_size=[3, 3],
            strides=[1, 1],
            dilation_rate=[1, 1],
            groups=1,
            padding="same",
            activation="relu",
            use_bias=True,
            **common,
        )
        rows, columns, channels = self.shape
        self._add_weights(name, (3, 3, channels, filters))
        self.add("MaxPooling2D", pool_size=[2, 2], strides=[2, 2], padding="valid", **common)
        self.shape = (rows // 2, columns // 2, filters)

    def _add_weights(self, layer: str, kernel: tuple[int, ...]) -> None:
        self.weights |= {f"{layer}/kernel": kernel, f"{layer}/bias": kernel[-1:]}

    def _append(self, class_name: str, name: str, **config: object) -> None:
        self.layers.append(
            {
                "module": "keras.layers",
                "class_name": class_name,
                "config": {"name": name, **config},
                "registered_name": None,
            }
        )


def _add_convolutions(stack: _Stack) -> None:
    if len(stack.shape) == 2:
        stack.shape = (*stack.shape, 1)
        stack.add("Reshape", target_shape=list(stack.shape))
    stack.add_convolution(16)
    stack.add_convolution(32)
    stack.flatten()
    stack.add_dense(64, "relu")


def _sequential(name: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": name, "trainable": True, "dtype": _FLOAT32, "layers": layers},
        "registered_name": None,
    }


def _check_fit(name: str, input_shape: Sequence[int], kind: TargetKind) -> None:
    if name not in MODEL_NAMES:
        raise RefusalError(
            LearningCode.UNKNOWN_MODEL,
            f"there is no model {name!r}; choose {' or '.join(MODEL_NAMES)}, or give a JSON file",
            field="model",
            limit=", ".join(MODEL_NAMES),
        )
    if kind is TargetKind.TOKENS:
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"{name} takes measurements, not ids of tokens: give a model of your own (--model) "
            "that begins with an Embedding",
            field="model",
        )
    if name == "cnn" and not (len(input_shape) in (2, 3) and min(input_shape[:2]) >= 4):
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"cnn takes images of at least 4 x 4, not examples of shape {tuple(input_shape)}; "
            "use mlp",
            field="model",
        )
