"""Values and weights of an ONNX graph, as an operator that NumPy computes reads them."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.learning.model.layers import Shape


@dataclass(frozen=True, slots=True)
class GraphValue:
    """A value of the graph of layers."""

    index: int
    """The value's number in the graph (see `layers`)."""
    shape: Shape
    """The shape of one example as ONNX has it, with the channels first."""
    has_channels_last: bool = False
    """Whether the numbers lie as maps (rows, columns, channels); `shape` has three sizes then."""

    @property
    def layer_shape(self) -> Shape:
        """The shape of one example as this project's `layers` have it, with the channels last."""
        return (*self.shape[1:], self.shape[0]) if self.has_channels_last else self.shape


@dataclass(frozen=True, slots=True)
class GraphWeight:
    """A weight of the model."""

    name: str
    """Its name in the ModelSpec."""
    is_transposed: bool = False
    """Whether the operator reads it with its two axes exchanged."""
