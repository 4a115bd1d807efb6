"""A model that fits an honest task's data, and takes far too long to evaluate."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

from fedcoin.v1.artifact_pb2 import TENSOR_DTYPE_FLOAT32, ModelSpec

CHANNELS = 1024
CONVOLUTIONS = 5
"""The model's convolutions of 3 by 3, and the channels of each: on images of 8 by 8 one example
takes 2.4 thousand million multiply-adds, where the demo's model takes ten thousand."""

_FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}


def make_slow_model(honest: ModelSpec) -> ModelSpec:
    """Make the specification of a slow model.

    Args:
        honest: The model of an honest task for images without channels, such as the digits.

    Returns:
        A model with the same inputs and classes. Its weights are larger than those of any small
        model, so that the honest task's artifacts are within the sizes that its shapes allow.
    """
    rows, columns = honest.input_shape
    widths = [1, *[CHANNELS] * CONVOLUTIONS]
    features = CHANNELS * math.prod(honest.input_shape)
    layers = [
        _layer("InputLayer", batch_shape=[None, rows, columns], dtype="float32"),
        _layer("Reshape", target_shape=[rows, columns, 1]),
        *(_convolution() for _ in range(CONVOLUTIONS)),
        _layer("Flatten", data_format="channels_last"),
        _layer("Dense", units=honest.num_classes, activation="softmax", use_bias=True),
    ]
    for number, layer in enumerate(layers):
        layer["config"]["name"] = f"l{number}"
    config = {"name": "slow", "trainable": True, "dtype": _FLOAT32, "layers": layers}
    spec = ModelSpec(
        keras_json=json.dumps(_named("keras", "Sequential", config)),
        input_shape=honest.input_shape,
        num_classes=honest.num_classes,
    )
    shapes: list[tuple[int, ...]] = []
    for before, after in itertools.pairwise(widths):
        shapes += [(3, 3, before, after), (after,)]
    shapes += [(features, honest.num_classes), (honest.num_classes,)]
    for number, shape in enumerate(shapes):
        spec.weights.add(name=f"w{number}", dtype=TENSOR_DTYPE_FLOAT32, shape=shape)
    return spec


def _convolution() -> dict[str, Any]:
    return _layer(
        "Conv2D",
        filters=CHANNELS,
        kernel_size=[3, 3],
        strides=[1, 1],
        padding="same",
        data_format="channels_last",
        dilation_rate=[1, 1],
        groups=1,
        activation="relu",
        use_bias=True,
    )


def _layer(name: str, **config: Any) -> dict[str, Any]:
    return _named("keras.layers", name, {"dtype": _FLOAT32, "trainable": True, **config})


def _named(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}
