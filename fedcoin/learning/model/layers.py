"""The layers that NumPy computes, and graphs of them.

A graph's values are numbered from 0: value 0 is the model's input, and value k is the output of
node k - 1. Value shapes are those of one example. Flattening and reshaping change only the shape as
which a value is read, so they are not nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

SOFTMAXES = frozenset({"softmax", "log_softmax"})
"""Activations that run over the last axis, and keep the order of its numbers."""

ACTIVATIONS = frozenset({"linear", "relu", "tanh", "sigmoid"}) | SOFTMAXES
"""The names of the activation functions that are evaluated."""

Shape = tuple[int, ...]
"""The size of each axis of one example's value."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiplies by `factor`, then adds `offset` (Keras: `Rescaling`)."""

    factor: float
    offset: float


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function."""

    name: str
    """One of `ACTIVATIONS`."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer: x @ kernel + bias."""

    kernel: str
    """The weight's name in the ModelSpec; shape (in, units)."""
    bias: str
    """The weight's name; shape (units,). Empty for a layer without bias."""
    has_units_first: bool = False
    """Whether the kernel's shape is (units, in), as PyTorch stores it."""


@dataclass(frozen=True, slots=True)
class Conv:
    """A 2-D convolution of feature maps (height, width, channels)."""

    kernel: str
    """The weight's name; shape (*kernel_size, channels, filters)."""
    bias: str
    """The weight's name; shape (filters,). Empty for a layer without bias."""
    input_shape: tuple[int, int, int]
    """(height, width, channels) of the maps that it takes."""
    kernel_size: tuple[int, int]
    """Rows and columns of the kernel."""
    filters: int
    """The number of channels of the maps that it returns."""
    is_padded: bool
    """Whether the maps are padded with zeros, so that without strides they keep their size (Keras:
    `padding="same"`)."""
    strides: tuple[int, int] = (1, 1)
    """Rows and columns from one position of the kernel to the next."""
    has_filters_first: bool = False
    """Whether the kernel's shape is (filters, channels, *kernel_size), as PyTorch stores it."""
    zeros: tuple[int, int, int, int] | None = None
    """Rows of zeros above and below the maps, columns of zeros to their left and right; in place
    of what `is_padded` says. None to go by `is_padded`."""

    @property
    def leading_padding(self) -> tuple[int, int]:
        """Rows of zeros above the maps and columns to their left."""
        if self.zeros is not None:
            return self.zeros[0], self.zeros[2]
        rows, columns = self.padding
        return rows // 2, columns // 2

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros on both sides together; an odd one goes below or right."""
        if self.zeros is not None:
            above, below, left, right = self.zeros
            return above + below, left + right
        if not self.is_padded:
            return 0, 0
        rows, columns = (
            max((-(-side // stride) - 1) * stride + size - side, 0)
            for side, size, stride in zip(
                self.input_shape, self.kernel_size, self.strides, strict=False
            )
        )
        return rows, columns

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(height, width, filters); a side is below 1 when the maps are smaller than the kernel."""
        height, width = (
            (side + padding - size) // stride + 1
            for side, padding, size, stride in zip(
                self.input_shape, self.padding, self.kernel_size, self.strides, strict=False
            )
        )
        return height, width, self.filters


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """A batch normalisation outside training, by the moving averages, over the last axis.

    Computes (x - mean) / sqrt(variance + epsilon) * gamma + beta.
    """

    gamma: str
    """The weight's name, as those below; each has shape (channels,). Empty for a factor of 1."""
    beta: str
    """Empty for an offset of 0."""
    mean: str
    variance: str
    epsilon: float
    """Keeps the divisor above 0."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """A 2-D pooling with fields that do not overlap; rows and columns that fill none are cut."""

    pool_size: tuple[int, int]
    """Rows and columns of a field."""
    input_shape: tuple[int, int, int]
    """(height, width, channels) of the maps that it takes."""
    is_max: bool = True
    """True for the maximum of each field, False for its mean."""


@dataclass(frozen=True, slots=True)
class Add:
    """A layer that adds several inputs of one shape."""


@dataclass(frozen=True, slots=True)
class Concatenate:
    """A layer that joins several inputs along the last axis."""


@dataclass(frozen=True, slots=True)
class Permute:
    """A layer that changes the order of its input's axes."""

    input_shape: tuple[int, ...]
    """The shape as which the input is read."""
    order: tuple[int, ...]
    """For each axis of the output the axis of the input, from 0."""


Layer = Scale | Activation | Dense | Conv | BatchNorm | Pooling | Add | Concatenate | Permute
"""Everything that a node of a graph may compute."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A layer in a graph."""

    layer: Layer
    """What the node computes."""
    inputs: tuple[int, ...]
    """Indices of the values that the layer reads: 0 for the model's input, k for node k - 1."""
    shape: Shape
    """The shape of the layer's output."""


Graph = tuple[GraphNode, ...]
"""The nodes in order; each reads only values that come before its own."""


def weight_names(layer: Layer) -> tuple[str, ...]:
    """List the names of a layer's weights.

    Args:
        layer: A layer of a graph, with or without weights.

    Returns:
        The names, none for a layer without weights.
    """
    if isinstance(layer, (Dense, Conv)):
        names = [layer.kernel, layer.bias]
    elif isinstance(layer, BatchNorm):
        names = [layer.gamma, layer.beta, layer.mean, layer.variance]
    else:
        names = []
    return tuple(name for name in names if name)


def is_softmax(layer: Layer) -> bool:
    """Tell whether a layer is one of `SOFTMAXES`.

    Args:
        layer: Any layer of a graph.

    Returns:
        True when it leaves the order of a vector's numbers as it is, and depends on all of them.
    """
    return isinstance(layer, Activation) and layer.name in SOFTMAXES


def sequential_layers(graph: Graph) -> tuple[Layer, ...] | None:
    """List the layers of a graph in which each node reads the output of the one before it.

    Args:
        graph: The graph of a whole model.

    Returns:
        The layers in order, or None when a node reads anything else.
    """
    if any(node.inputs != (index,) for index, node in enumerate(graph)):
        return None
    return tuple(node.layer for node in graph)
