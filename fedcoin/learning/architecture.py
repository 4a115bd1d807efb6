"""Which models the NumPy paths can compute, read from their architecture alone.

A Sequential of Flatten, Rescaling, dropout (nothing, outside training), Dense and activations,
perhaps after 2-D convolutions with max-pooling. For anything else ``plain_layers`` says None, and
Keras does it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fedcoin.data.errors import Refusal
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.spec import architecture, weight_shapes
from fedcoin.v1 import artifact_pb2

ACTIVATIONS = frozenset({"linear", "relu", "tanh", "sigmoid", "softmax"})
_NOTHING = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
    }
)


@dataclass(frozen=True, slots=True)
class Scale:
    """x * factor + offset."""

    factor: float
    offset: float


@dataclass(frozen=True, slots=True)
class Activation:
    """One of ACTIVATIONS, over the last axis."""

    name: str


@dataclass(frozen=True, slots=True)
class Dense:
    """x @ kernel + bias: the names of its weights; ``bias`` is empty for none."""

    kernel: str
    bias: str


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with steps of 1 of maps (height, width, channels)."""

    kernel: str
    bias: str
    shape: tuple[int, int, int]
    """The maps that it takes."""
    size: tuple[int, int]
    filters: int
    same: bool
    """Padded with zeros so that maps keep their size."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The highest of each field of this size of a convolution's maps; what is left over is cut."""

    size: tuple[int, int]


PlainLayer = Scale | Activation | Dense | Conv | Pool


def plain_layers(spec: artifact_pb2.ModelSpec) -> tuple[PlainLayer, ...] | None:
    """The model's layers from flattened input to outputs, or None when they are not plain.

    The last layer but activations is a Dense. Raises Refusal WRONG_SHAPE when the
    architecture's weights are not those that the spec lists, BAD_MODEL when its width is not
    ``num_classes``.
    """
    model = architecture(spec.keras_json)
    layers = _layer_configs(model)
    if layers is None or not _takes(layers[0], tuple(spec.input_shape)):
        return None
    reader = _Reader(spec)
    for name, config in layers[1:]:
        if not reader.read(name, config):
            return None
    return reader.finish()


class _Reader:
    """Follows the layers, with the shape of what flows between them."""

    def __init__(self, spec: artifact_pb2.ModelSpec) -> None:
        self._spec = spec
        self._shape = tuple(spec.input_shape)
        self._names = iter(weight_shapes(spec).items())
        self._layers: list[PlainLayer] = []

    def read(self, name: str, config: dict[str, Any]) -> bool:
        """Add a layer; False when it is not a plain one."""
        if name in _NOTHING:
            return True
        if name == "Activation":
            return self._read_activation(config.get("activation"))
        readers = {
            "Conv2D": self._read_conv,
            "Dense": self._read_dense,
            "Flatten": self._read_flatten,
            "MaxPooling2D": self._read_pool,
            "Rescaling": self._read_scale,
            "Reshape": self._read_reshape,
        }
        return name in readers and readers[name](config)

    def finish(self) -> tuple[PlainLayer, ...] | None:
        """The layers, once all of them are read."""
        if not any(isinstance(layer, Dense) for layer in self._layers):
            return None
        left = next(self._names, None)
        if left is not None:
            raise _wrong_weights(f"the spec lists {left[0]}, which no layer has")
        if self._shape[0] != self._spec.num_classes:
            raise Refusal(
                LearningCode.BAD_MODEL,
                f"num_classes is {self._spec.num_classes}, but the model's last layer has "
                f"{self._shape[0]} outputs",
                field="num_classes",
                limit=str(self._shape[0]),
            )
        return tuple(self._layers)

    def _read_scale(self, config: dict[str, Any]) -> bool:
        factor, offset = config.get("scale"), config.get("offset")
        if not isinstance(factor, (int, float)) or not isinstance(offset, (int, float)):
            return False
        if self._on_maps():
            return False
        self._layers.append(Scale(float(factor), float(offset)))
        return True

    def _read_activation(self, name: object) -> bool:
        rows = len(self._shape) == 1 or (self._on_maps() and name != "softmax")
        if name not in ACTIVATIONS or not rows:
            return False
        if name != "linear":
            self._layers.append(Activation(str(name)))
        return True

    def _read_dense(self, config: dict[str, Any]) -> bool:
        units, with_bias = config.get("units"), config.get("use_bias")
        usual = not config.get("quantization_config") and not config.get("lora_rank")
        if len(self._shape) != 1 or type(units) is not int or units < 1 or not usual:
            return False
        kernel = self._weight((self._shape[0], units))
        self._layers.append(Dense(kernel, self._weight((units,)) if with_bias else ""))
        self._shape = (units,)
        return self._read_activation(config.get("activation"))

    def _on_maps(self) -> bool:
        """Whether what flows here are a convolution's maps."""
        return len(self._shape) == 3 and any(isinstance(layer, Conv) for layer in self._layers)

    def _read_flatten(self, config: dict[str, Any]) -> bool:
        self._shape = (math.prod(self._shape),)
        return config.get("data_format") == "channels_last"

    def _read_reshape(self, config: dict[str, Any]) -> bool:
        target = config.get("target_shape")
        if not isinstance(target, list) or not all(type(size) is int for size in target):
            return False
        same = math.prod(target) == math.prod(self._shape) and min(target, default=1) > 0
        self._shape = tuple(target)
        return same and all(isinstance(layer, Scale) for layer in self._layers)

    def _read_conv(self, config: dict[str, Any]) -> bool:
        filters, size, padding = (config.get(n) for n in ("filters", "kernel_size", "padding"))
        settings = ("strides", "dilation_rate", "groups", "data_format")
        usual = [config.get(name) for name in settings] == [[1, 1], [1, 1], 1, "channels_last"]
        usual = usual and not config.get("lora_rank") and padding in ("same", "valid")
        if not usual or len(self._shape) != 3 or type(filters) is not int or not _is_pair(size):
            return False
        if not all(isinstance(layer, (Scale, Conv, Pool, Activation)) for layer in self._layers):
            return False
        height, width, channels = self._shape
        tall, wide = size  # type: ignore[misc]
        kernel = self._weight((tall, wide, channels, filters))
        bias = self._weight((filters,)) if config.get("use_bias") else ""
        same = padding == "same"
        self._layers.append(Conv(kernel, bias, self._shape, (tall, wide), filters, same))
        self._shape = (
            (height, width, filters) if same else (height - tall + 1, width - wide + 1, filters)
        )
        return min(self._shape) > 0 and self._read_activation(config.get("activation"))

    def _read_pool(self, config: dict[str, Any]) -> bool:
        size = config.get("pool_size")
        usual = config.get("padding") == "valid" and config.get("data_format") == "channels_last"
        if not usual or not _is_pair(size) or config.get("strides") != size or not self._on_maps():
            return False
        weighty = [layer for layer in self._layers if not isinstance(layer, Activation)]
        height, width, channels = self._shape
        tall, wide = size  # type: ignore[misc]
        self._layers.append(Pool((tall, wide)))
        self._shape = (height // tall, width // wide, channels)
        return isinstance(weighty[-1], Conv) and min(self._shape) > 0

    def _weight(self, shape: tuple[int, ...]) -> str:
        name, listed = next(self._names, ("nothing", ()))
        if listed != shape:
            raise _wrong_weights(f"a layer needs a weight of shape {shape}; {name} has {listed}")
        return name


def _is_pair(size: object) -> bool:
    return isinstance(size, list) and len(size) == 2 and all(type(s) is int and s > 0 for s in size)


def _layer_configs(model: dict[str, Any]) -> list[tuple[str, dict[str, Any]]] | None:
    """(class name, config) of a Sequential's layers; None when it is something else."""
    config = model.get("config")
    if model.get("class_name") != "Sequential" or not isinstance(config, dict):
        return None
    layers = config.get("layers")
    if not isinstance(layers, list) or not layers:
        return None
    found = []
    for layer in layers:
        inner = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(inner, dict) or layer.get("module") != "keras.layers":
            return None
        found.append((str(layer.get("class_name")), inner))
    return found


def _takes(layer: tuple[str, dict[str, Any]], shape: tuple[int, ...]) -> bool:
    name, config = layer
    batch_shape = config.get("batch_shape")
    return (
        name == "InputLayer" and config.get("dtype") == "float32" and batch_shape == [None, *shape]
    )


def _wrong_weights(sentence: str) -> Refusal:
    return Refusal(
        LearningCode.WRONG_SHAPE,
        f"the weights of the spec are not the architecture's: {sentence}",
        field="weights",
    )
