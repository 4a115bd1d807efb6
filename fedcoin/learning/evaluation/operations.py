"""The steps in which a plain graph is computed: a layer, and what can be had along with it.

Batch normalisation is folded into the weights before it, averaged first: the normalisation of the
averaged model is not the average of normalised models. Max-pooling and activations go into a
convolution (``conv``). What nobody else reads is changed in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fedcoin.learning.evaluation import convolution
from fedcoin.learning.evaluation.example_batches import Floats
from fedcoin.learning.evaluation.stacked_weights import (
    StackedBatchNorm,
    StackedLayer,
    apply_in_place,
    average_batch_norm,
    average_layer,
    fold_batch_norm,
    stack_batch_norm,
    stack_layer,
)
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.layers import (
    Activation,
    Add,
    BatchNorm,
    Concatenate,
    Conv,
    Dense,
    Graph,
    GraphNode,
    Pooling,
    Scale,
)

MOST_FIELDS = 16
"""Numbers in the fields of max-pooling up to which a convolution does it, too."""


class Operation(Protocol):
    """What a step does for one coalition on one block."""

    def averaged(self, coefficients: Floats) -> StackedLayer | None:
        """Each coalition's weights."""
        ...

    def room(self, examples: int) -> Any:
        """Where ``run`` works, for blocks of so many examples."""
        ...

    def run(
        self, inputs: Sequence[Floats], room: Any, stack: StackedLayer | None, place: int
    ) -> Floats:
        """What it makes of its inputs (..., examples) with the weights of coalition ``place``."""
        ...


@dataclass(frozen=True, slots=True)
class ComputeStep:
    """An operation, the values that it takes and the one that it makes (see ``layers``)."""

    operation: Operation
    inputs: tuple[int, ...]
    output: int


def plan_steps(graph: Graph, models: Sequence[Weights], start: int = 0) -> list[ComputeStep]:
    """The steps of a graph from value ``start`` on; ``models`` are those that coalitions average.

    The values up to ``start`` are left as they are.
    """
    groups = _grouped(graph, start)
    uses = Counter(number for node in graph for number in node.inputs)
    steps = []
    for numbers in groups:
        nodes = [graph[number] for number in numbers]
        own = [number > start and uses[number] == 1 for number in nodes[0].inputs]
        operation = _operation(nodes, models, own[0])
        steps.append(ComputeStep(operation, nodes[0].inputs, numbers[-1] + 1))
    return steps


def _grouped(graph: Graph, start: int) -> list[list[int]]:
    """The nodes from ``start`` on by the steps that they belong to, each step's in order."""
    uses = Counter(number for node in graph for number in node.inputs)
    groups: list[list[int]] = []
    makers: dict[int, list[int]] = {}
    for number, node in list(enumerate(graph))[start:]:
        group = makers.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if group and uses[node.inputs[0]] == 1 and _fits([graph[k] for k in group], node):
            group.append(number)
        else:
            group = [number]
            groups.append(group)
        makers[number + 1] = group
    return groups


def _fits(nodes: Sequence[GraphNode], node: GraphNode) -> bool:
    """Whether a step of these nodes can do this one as well."""
    head, layer = nodes[0].layer, node.layer
    if isinstance(layer, BatchNorm):
        return isinstance(head, (Conv, Dense)) and len(nodes) == 1 and node.shape == nodes[0].shape
    if not isinstance(head, Conv):
        return False
    if isinstance(layer, Pooling):
        first = not any(isinstance(before.layer, Pooling) for before in nodes)
        small = layer.size[0] * layer.size[1] <= MOST_FIELDS
        return layer.highest and first and small and layer.shape == nodes[0].shape
    return isinstance(layer, Activation) and layer.name != "softmax"


def _operation(nodes: Sequence[GraphNode], models: Sequence[Weights], own: bool) -> Operation:
    """A step's; ``own`` says that nobody else reads its first input."""
    layers = [node.layer for node in nodes]
    head = layers[0]
    normals = [stack_batch_norm(layer, models) for layer in layers if isinstance(layer, BatchNorm)]
    if isinstance(head, Conv):
        size = next((layer.size for layer in layers if isinstance(layer, Pooling)), (1, 1))
        activations = tuple(layer for layer in layers if isinstance(layer, Activation))
        stage = convolution.ConvolutionStage(head, size, activations)
        return ConvolutionOperation(stage, WeightedLayer(stack_layer(head, models), normals))
    if isinstance(head, Dense):
        return DenseOperation(nodes[0].shape[0], WeightedLayer(stack_layer(head, models), normals))
    if isinstance(head, BatchNorm):
        return BatchNormOperation(normals[0])
    return WeightlessOperation(nodes[0], own)


@dataclass(frozen=True, slots=True)
class WeightedLayer:
    """A layer of all models, and at most one batch normalisation of its outputs."""

    stack: StackedLayer
    normals: Sequence[StackedBatchNorm]

    def averaged(self, coefficients: Floats) -> StackedLayer:
        """Each coalition's weights, the normalisation folded into them."""
        stack = average_layer(self.stack, coefficients)
        for normal in self.normals:
            stack = fold_batch_norm(stack, average_batch_norm(normal, coefficients))
        return stack


@dataclass(frozen=True, slots=True)
class ConvolutionOperation:
    """See ``conv``. Its input may be the columns of the maps that it takes."""

    stage: convolution.ConvolutionStage
    weights: WeightedLayer

    def averaged(self, coefficients: Floats) -> StackedLayer:
        """See ``Operation``."""
        return self.weights.averaged(coefficients)

    def room(self, examples: int) -> convolution.ConvolutionBuffers:
        """See ``Operation``."""
        return convolution.allocate_buffers(self.stage, examples)

    def run(
        self,
        inputs: Sequence[Floats],
        room: convolution.ConvolutionBuffers,
        stack: StackedLayer | None,
        place: int,
    ) -> Floats:
        """See ``Operation``."""
        assert stack is not None
        return convolution.run_stage(self.stage, inputs[0], room, stack, place)


@dataclass(frozen=True, slots=True)
class DenseOperation:
    """A dense layer."""

    units: int
    weights: WeightedLayer

    def averaged(self, coefficients: Floats) -> StackedLayer:
        """See ``Operation``."""
        return self.weights.averaged(coefficients)

    def room(self, examples: int) -> Floats:
        """See ``Operation``."""
        return np.empty((self.units, examples), np.float32)

    def run(
        self, inputs: Sequence[Floats], room: Floats, stack: StackedLayer | None, place: int
    ) -> Floats:
        """See ``Operation``."""
        assert stack is not None
        np.matmul(stack.kernels[place], inputs[0].reshape(-1, room.shape[1]), out=room)
        if stack.biases is not None:
            room += stack.biases[place][:, None]
        return room


@dataclass(frozen=True, slots=True)
class BatchNormOperation:
    """Batch normalisation that cannot be folded into what is before it."""

    normal: StackedBatchNorm

    def averaged(self, coefficients: Floats) -> StackedLayer:
        """See ``Operation``."""
        return average_batch_norm(self.normal, coefficients)

    def room(self, examples: int) -> None:
        """See ``Operation``."""

    def run(
        self, inputs: Sequence[Floats], room: None, stack: StackedLayer | None, place: int
    ) -> Floats:
        """See ``Operation``."""
        assert stack is not None
        assert stack.biases is not None
        factors = stack.kernels[place]
        values: Floats = inputs[0].reshape(-1, len(factors), inputs[0].shape[-1]) * factors
        values += stack.biases[place][:, None]
        return values


@dataclass(frozen=True, slots=True)
class WeightlessOperation:
    """A layer without weights."""

    node: GraphNode
    in_place: bool

    def averaged(self, coefficients: Floats) -> None:
        """See ``Operation``."""

    def room(self, examples: int) -> Floats | None:
        """See ``Operation``."""
        if self.in_place and isinstance(self.node.layer, (Activation, Scale, Add)):
            return None
        return np.empty((*self.node.shape, examples), np.float32)

    def run(
        self, inputs: Sequence[Floats], room: Floats | None, stack: StackedLayer | None, place: int
    ) -> Floats:
        """See ``Operation``."""
        layer = self.node.layer
        made = inputs[0] if room is None else room
        if isinstance(layer, Pooling):
            _pool(layer, inputs[0], made)
        elif isinstance(layer, Concatenate):
            shape = (*made.shape[:-2], -1, made.shape[-1])
            np.concatenate([value.reshape(shape) for value in inputs], axis=-2, out=made)
        elif isinstance(layer, Add):
            first, *others = (value.reshape(made.shape) for value in inputs)
            for other in others:
                np.add(first, other, out=made)
                first = made
        else:
            if room is not None:
                np.copyto(made, inputs[0].reshape(made.shape))
            rows = 1 if layer == Activation("softmax") else len(made)
            apply_in_place(layer, made.reshape(rows, -1, made.shape[-1]))
        return made


def _pool(layer: Pooling, maps: Floats, made: Floats) -> None:
    (tall, wide), (height, width, channels, examples) = layer.size, made.shape
    cut = maps.reshape(*layer.shape, examples)[: height * tall, : width * wide]
    fields = cut.reshape(height, tall, width, wide, channels, examples)
    reduce = np.max if layer.highest else np.mean
    reduce(fields, axis=(1, 3), out=made)
