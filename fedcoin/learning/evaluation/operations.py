"""The steps in which a graph of layers is computed for one coalition and one batch of examples.

A step computes one layer and, where possible, the layers behind it:

* A batch normalisation that follows a convolution or a dense layer is folded into its weights
  (`stacked_weights`).
* Max-pooling and activations that follow a convolution are computed with it (`convolution`).

A layer without weights changes its input in place when no other layer reads it.
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
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.layers import (
    Activation,
    Add,
    BatchNorm,
    Concatenate,
    Conv,
    Dense,
    Graph,
    GraphNode,
    Permute,
    Pooling,
    Scale,
    is_softmax,
)

_MAX_FUSED_POOLING = 16
"""Numbers in a pooling field up to which a convolution computes the max-pooling as well. Chosen by
hand: a convolution without pooling is computed once for each of them."""


class Operation(Protocol):
    """One step of a model's computation, with weights averaged for each coalition."""

    def average(self, coefficients: Floats) -> StackedLayer | None:
        """Average the step's weights for each coalition.

        Args:
            coefficients: float32 (m, q), the coefficients of q models in m coalitions' averages.

        Returns:
            The weights of m averaged models; None for a step without weights.
        """
        ...

    def allocate(self, batch_size: int) -> Any:
        """Allocate the work space of `run`.

        Args:
            batch_size: The number of examples in a batch.

        Returns:
            The work space, to be passed to `run` as `buffers`.
        """
        ...

    def run(
        self,
        inputs: Sequence[Floats],
        buffers: Any,
        weights: StackedLayer | None,
        coalition: int,
    ) -> Floats:
        """Compute the step for one coalition and one batch.

        Args:
            inputs: The values that the step reads, each float32 (..., examples).
            buffers: What `allocate` returned for this batch size.
            weights: What `average` returned.
            coalition: The index of the averaged model to compute.

        Returns:
            The value that the step makes, float32 (..., examples). It may lie in `buffers` or in an
            input, so it is overwritten by the next run.
        """
        ...


@dataclass(frozen=True, slots=True)
class ComputeStep:
    """An operation with the indices of the values that it reads and makes (see `model.layers`)."""

    operation: Operation
    inputs: tuple[int, ...]
    """Indices of the values that the operation reads."""
    output: int
    """Index of the value that it makes."""


def plan_steps(
    graph: Graph,
    models: Sequence[Weights],
    first_value: int = 0,
    frozen: Weights = NO_WEIGHTS,
) -> list[ComputeStep]:
    """Plan the steps that compute a graph.

    Args:
        graph: The model's layers.
        models: float32 weights by name of the q models that coalitions average.
        first_value: The index of the value to begin with; the nodes before it are left out. The
            steps never change this value.
        frozen: float32 weights by name that all models share.

    Returns:
        The steps in the order in which they are computed; the last one makes the outputs.
    """
    uses = Counter(index for node in graph for index in node.inputs)
    steps = []
    for group in _group_nodes(graph, first_value):
        nodes = [graph[index] for index in group]
        first_input = nodes[0].inputs[0]
        may_overwrite = first_input > first_value and uses[first_input] == 1
        operation = _make_operation(nodes, models, frozen, may_overwrite)
        steps.append(ComputeStep(operation, nodes[0].inputs, group[-1] + 1))
    return steps


def _group_nodes(graph: Graph, first_value: int) -> list[list[int]]:
    """Collect the nodes that one step can compute, each group in the graph's order."""
    uses = Counter(index for node in graph for index in node.inputs)
    groups: list[list[int]] = []
    group_of_value: dict[int, list[int]] = {}
    for index, node in list(enumerate(graph))[first_value:]:
        group = group_of_value.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if group and uses[node.inputs[0]] == 1 and _can_join([graph[k] for k in group], node):
            group.append(index)
        else:
            group = [index]
            groups.append(group)
        group_of_value[index + 1] = group
    return groups


def _can_join(nodes: Sequence[GraphNode], node: GraphNode) -> bool:
    """Tell whether the step that computes `nodes` can compute the next node as well."""
    head, layer = nodes[0].layer, node.layer
    if isinstance(layer, BatchNorm):
        return isinstance(head, (Conv, Dense)) and len(nodes) == 1 and node.shape == nodes[0].shape
    if not isinstance(head, Conv):
        return False
    if isinstance(layer, Pooling):
        is_first = not any(isinstance(other.layer, Pooling) for other in nodes)
        is_small = layer.pool_size[0] * layer.pool_size[1] <= _MAX_FUSED_POOLING
        return layer.is_max and is_first and is_small and layer.input_shape == nodes[0].shape
    return isinstance(layer, Activation) and not is_softmax(layer)


def _make_operation(
    nodes: Sequence[GraphNode], models: Sequence[Weights], frozen: Weights, may_overwrite: bool
) -> Operation:
    layers = [node.layer for node in nodes]
    head = layers[0]
    norms = [
        stack_batch_norm(layer, models, frozen) for layer in layers if isinstance(layer, BatchNorm)
    ]
    if isinstance(head, Conv):
        pool_size = next(
            (layer.pool_size for layer in layers if isinstance(layer, Pooling)), (1, 1)
        )
        activations = tuple(layer for layer in layers if isinstance(layer, Activation))
        stage = convolution.ConvolutionStage(head, pool_size, activations)
        return ConvolutionOperation(stage, weigh_layer(stack_layer(head, models, frozen), norms))
    if isinstance(head, Dense):
        weights = weigh_layer(stack_layer(head, models, frozen), norms)
        return DenseOperation(nodes[0].shape[0], weights)
    if isinstance(head, BatchNorm):
        return BatchNormOperation(norms[0])
    return WeightlessOperation(nodes[0], may_overwrite)


@dataclass(frozen=True, slots=True)
class WeightedLayer:
    """The weights of one layer in the q models that coalitions average.

    A batch normalisation that follows the layer is part of it.
    """

    stack: StackedLayer
    """The layer's own weights in the q models."""
    norms: Sequence[StackedBatchNorm]
    """The batch normalisation that follows the layer; empty without one."""

    def average(self, coefficients: Floats) -> StackedLayer:
        """Implement `Operation.average`: average the weights, and fold the normalisation in."""
        averaged = average_layer(self.stack, coefficients)
        for norm in self.norms:
            averaged = fold_batch_norm(averaged, average_batch_norm(norm, coefficients))
        return averaged


def weigh_layer(stack: StackedLayer, norms: Sequence[StackedBatchNorm]) -> WeightedLayer:
    """Join a layer and the batch normalisation behind it.

    Args:
        stack: The layer's weights in several models.
        norms: The batch normalisation; empty without one.

    Returns:
        Both; if all their weights are frozen, the normalisation is folded into the layer at once.
    """
    weighted = WeightedLayer(stack, norms)
    arrays = [stack.kernels, *(norm.means for norm in norms)]
    others = [stack.biases, *(array for norm in norms for array in (norm.gammas, norm.betas))]
    arrays += [*(array for array in others if array is not None), *(n.variances for n in norms)]
    if not norms or any(len(array) > 1 for array in arrays):
        return weighted
    return WeightedLayer(weighted.average(np.ones((1, 1), np.float32)), ())


@dataclass(frozen=True, slots=True)
class ConvolutionOperation:
    """A convolution, together with the activation and pooling that follow it.

    Its input is the maps, or the result of `convolution.copy_kernel_rows` for them.
    """

    stage: convolution.ConvolutionStage
    weights: WeightedLayer

    def average(self, coefficients: Floats) -> StackedLayer:
        """Implement `Operation.average`: average the step's weights for each coalition."""
        return self.weights.average(coefficients)

    def allocate(self, batch_size: int) -> convolution.ConvolutionBuffers:
        """Implement `Operation.allocate`: allocate the work space of `run`."""
        return convolution.allocate_buffers(self.stage, batch_size)

    def run(
        self,
        inputs: Sequence[Floats],
        buffers: convolution.ConvolutionBuffers,
        weights: StackedLayer | None,
        coalition: int,
    ) -> Floats:
        """Implement `Operation.run`: compute the step for one coalition and one batch."""
        assert weights is not None
        return convolution.run_stage(self.stage, inputs[0], buffers, weights, coalition)


@dataclass(frozen=True, slots=True)
class DenseOperation:
    """The step of a dense layer."""

    units: int
    """The number of outputs for each example."""
    weights: WeightedLayer

    def average(self, coefficients: Floats) -> StackedLayer:
        """Implement `Operation.average`: average the step's weights for each coalition."""
        return self.weights.average(coefficients)

    def allocate(self, batch_size: int) -> Floats:
        """Implement `Operation.allocate`: allocate the work space of `run`."""
        return np.empty((self.units, batch_size), np.float32)

    def run(
        self,
        inputs: Sequence[Floats],
        buffers: Floats,
        weights: StackedLayer | None,
        coalition: int,
    ) -> Floats:
        """Implement `Operation.run`: compute the step for one coalition and one batch."""
        assert weights is not None
        np.matmul(weights.kernels[coalition], inputs[0].reshape(-1, buffers.shape[1]), out=buffers)
        if weights.biases is not None:
            buffers += weights.biases[coalition][:, None]
        return buffers


@dataclass(frozen=True, slots=True)
class BatchNormOperation:
    """A batch normalisation that cannot be folded into the layer before it."""

    norm: StackedBatchNorm

    def average(self, coefficients: Floats) -> StackedLayer:
        """Implement `Operation.average`: average the step's weights for each coalition."""
        return average_batch_norm(self.norm, coefficients)

    def allocate(self, batch_size: int) -> None:
        """Implement `Operation.allocate`: return None, as `run` needs no work space."""

    def run(
        self,
        inputs: Sequence[Floats],
        buffers: None,
        weights: StackedLayer | None,
        coalition: int,
    ) -> Floats:
        """Implement `Operation.run`: compute the step for one coalition and one batch."""
        assert weights is not None
        assert weights.biases is not None
        factors = weights.kernels[coalition]
        values: Floats = inputs[0].reshape(-1, len(factors), inputs[0].shape[-1]) * factors
        values += weights.biases[coalition][:, None]
        return values


@dataclass(frozen=True, slots=True)
class WeightlessOperation:
    """The step of a layer without weights, such as an activation, a pooling or a sum."""

    node: GraphNode
    may_overwrite: bool
    """Whether no other step reads the first input."""

    def average(self, coefficients: Floats) -> None:
        """Implement `Operation.average`: return None, as there are no weights."""

    def allocate(self, batch_size: int) -> Floats | None:
        """Implement `Operation.allocate`: allocate the work space of `run`."""
        if self.may_overwrite and isinstance(self.node.layer, (Activation, Scale, Add)):
            return None
        return np.empty((*self.node.shape, batch_size), np.float32)

    def run(
        self,
        inputs: Sequence[Floats],
        buffers: Floats | None,
        weights: StackedLayer | None,
        coalition: int,
    ) -> Floats:
        """Implement `Operation.run`: compute the step for one coalition and one batch."""
        layer = self.node.layer
        output = inputs[0] if buffers is None else buffers
        if isinstance(layer, Pooling):
            _pool(layer, inputs[0], output)
        elif isinstance(layer, Permute):
            np.copyto(output, permute(layer, inputs[0]).reshape(output.shape))
        elif isinstance(layer, Concatenate):
            shape = (*output.shape[:-2], -1, output.shape[-1])
            np.concatenate([value.reshape(shape) for value in inputs], axis=-2, out=output)
        elif isinstance(layer, Add):
            addends = [value.reshape(output.shape) for value in inputs]
            total: Floats = addends[0]
            for addend in addends[1:]:
                np.add(total, addend, out=output)
                total = output
        else:
            if buffers is not None:
                np.copyto(output, inputs[0].reshape(output.shape))
            rows = 1 if is_softmax(layer) else len(output)
            apply_in_place(layer, output.reshape(rows, -1, output.shape[-1]))
        return output


def permute(layer: Permute, values: Floats) -> Floats:
    """View a value with its axes in another order.

    Args:
        layer: The shape and the order.
        values: float32 (..., examples).

    Returns:
        float32 (..., examples), a view of `values`.
    """
    axes = (*layer.order, len(layer.order))
    return values.reshape(*layer.input_shape, values.shape[-1]).transpose(axes)


def _pool(layer: Pooling, maps: Floats, output: Floats) -> None:
    (pool_rows, pool_columns), (height, width, channels, batch_size) = layer.pool_size, output.shape
    whole_fields: Floats = maps.reshape(*layer.input_shape, batch_size)
    whole_fields = whole_fields[: height * pool_rows, : width * pool_columns]
    fields = whole_fields.reshape(height, pool_rows, width, pool_columns, channels, batch_size)
    if layer.is_max:
        np.max(fields, axis=(1, 3), out=output)
    else:
        np.mean(fields, axis=(1, 3), out=output)
