"""The layers that NumPy computes, and graphs of them.

What flows through a graph are values, counted from 0: value 0 is the input, value k what node k - 1
makes of the values that it takes. A value has the shape of one example; flattening changes how it
is read and is no node.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = frozenset({"linear", "relu", "tanh", "sigmoid", "softmax"})

Shape = tuple[int, ...]


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
    """A convolution of maps (height, width, channels)."""

    kernel: str
    bias: str
    shape: tuple[int, int, int]
    """The maps that it takes."""
    size: tuple[int, int]
    filters: int
    same: bool
    """Padded with zeros so that maps keep their size, but for the steps."""
    steps: tuple[int, int] = (1, 1)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros in all; of an odd number the last has one more."""
        if not self.same:
            return 0, 0
        above, beside = (
            max((-(-side // step) - 1) * step + size - side, 0)
            for side, size, step in zip(self.shape, self.size, self.steps, strict=False)
        )
        return above, beside

    @property
    def maps(self) -> tuple[int, int, int]:
        """What it makes; a side is below 1 where the maps are smaller than the kernel."""
        height, width = (
            (side + padding - size) // step + 1
            for side, padding, size, step in zip(
                self.shape, self.padding, self.size, self.steps, strict=False
            )
        )
        return height, width, self.filters


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation outside training: by the moving averages, over the last axis.

    (x - mean) / sqrt(variance + epsilon) * gamma + beta; gamma and beta may be empty, for none.
    """

    gamma: str
    beta: str
    mean: str
    variance: str
    epsilon: float


@dataclass(frozen=True, slots=True)
class Pooling:
    """The highest, or the mean, of each field of this size; what is left over is cut."""

    size: tuple[int, int]
    shape: tuple[int, int, int]
    """The maps that it takes."""
    highest: bool = True


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of values of one shape."""


@dataclass(frozen=True, slots=True)
class Concatenate:
    """Values one after another on the last axis."""


Layer = Scale | Activation | Dense | Conv | BatchNorm | Pooling | Add | Concatenate


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A layer, the values that it takes, and the shape of what it makes."""

    layer: Layer
    inputs: tuple[int, ...]
    shape: Shape


Graph = tuple[GraphNode, ...]


def is_sequential(graph: Graph) -> bool:
    """Whether each node takes what the one before it makes, and nothing else."""
    return all(node.inputs == (place,) for place, node in enumerate(graph))
