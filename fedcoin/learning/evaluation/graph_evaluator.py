"""Measure averaged models that are graphs of layers, in NumPy.

Covers convolutions, pooling, batch normalisation, skips and concatenations. A batch of examples
goes through the whole graph for one coalition after another, in the steps of `operations`, so that
its values stay in a core's cache.

The rows that the first convolution copies from the inputs are the same for all coalitions and are
copied once. Its outputs for each client are not kept, as `dense_evaluator` does: they are many
times as large as the images, and adding them up takes as long as computing them from one to three
channels.

Of a model with frozen weights, the layers before the first trained one are computed once for each
batch, where all later layers read their result only. All coalitions begin with that result.

The limits below were chosen by hand for cores with 1 to 2 MiB of second-level cache.
`scripts/benchmarks/bench_shapley.py --case cnn` and `--case residual` show the effect of a change.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation import convolution
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.example_batches import (
    ExampleBatch,
    Floats,
    Inputs,
    make_batches,
    precompute,
)
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    ExampleShare,
    UtilityJob,
)
from fedcoin.learning.evaluation.operations import (
    ComputeStep,
    ConvolutionOperation,
    permute,
    plan_steps,
)
from fedcoin.learning.evaluation.stacked_weights import StackedLayer, apply_in_place
from fedcoin.learning.evaluation.summing_evaluator import SummingEvaluator
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.right_answers import ACCURACY
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.layers import Conv, Graph, Permute, Scale, is_softmax, weight_names

MAX_VALUE_BYTES = 4 << 20
"""About how many bytes the largest value of a batch may take; sets the batch size."""

MIN_BATCH_SIZE, MAX_BATCH_SIZE = 16, 256
"""Examples in a batch. Sizes are multiples of 64, or of 16 when fewer fit, to fill the vector
registers and the BLAS's tiles."""

MAX_WEIGHT_BYTES = 32 << 20
"""How many bytes the averaged weights of a batch should take; sets `max_coalitions`."""

MAX_CACHE_BYTES = 512 << 20
"""How many bytes of copied input rows are kept; batches beyond it copy them for each pass."""


class GraphEvaluator(SummingEvaluator):
    """Evaluates the models that `architecture.read_graph` reads. Implements `job.Evaluator`.

    Args:
        graph: The model's layers.
        base: float32 weights by name, of the base model; the trained ones only.
        updates: float32 weights by name, of each client's model.
        x: Inputs float32 or int32 (m, *input_shape).
        y: Integer labels (m,).
        job: Gives numbers of samples, averaging, and the utility of the empty coalition. Its files
            are not read; the caller must have checked all arrays.
        share: The part of the examples to count on.
        measure: The job's measure, for the whole evaluation set.
        frozen: float32 weights by name that all models share.

    Attributes:
        measure: The job's measure, for the whole evaluation set.
        max_coalitions: The most coalitions to evaluate at a time, at least 1.
    """

    def __init__(
        self,
        graph: Graph,
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        share: ExampleShare = ALL_EXAMPLES,
        measure: Measure = ACCURACY,
        frozen: Weights = NO_WEIGHTS,
    ) -> None:
        super().__init__(job, measure)
        frozen_nodes = count_frozen_nodes(graph, frozen)
        self._frozen_steps = plan_steps(graph[:frozen_nodes], (), 0, frozen)
        self._first_value = frozen_nodes or _count_leading_layers(graph)
        self._leading_layers = [node.layer for node in graph[frozen_nodes : self._first_value]]
        if is_softmax(graph[-1].layer) and not measure.needs_values:
            # It does not change the order of the outputs.
            graph = graph[:-1]
        self._steps = plan_steps(graph, [*updates, base], self._first_value, frozen)
        self._first_convolution = _only_convolution(self._steps, self._first_value)
        weight_bytes = sum(base[name].nbytes for name in base)
        if frozen:
            weight_bytes = max(1, _bytes_per_coalition(self._steps, len(updates) + 1))
        self.max_coalitions = max(1, MAX_WEIGHT_BYTES // weight_bytes)
        self._batches = list(make_batches(x, y, _batch_size(graph), share))
        precompute(self._batches, self._prepare_inputs, MAX_CACHE_BYTES)

    def _sum_up(self, coalitions: Coalitions) -> Statistics:
        coefficients = coalition_coefficients(
            coalitions, self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        weights = [step.operation.average(coefficients) for step in self._steps]
        statistics = np.zeros((len(coalitions), self.measure.num_statistics), np.int64)
        buffers: list[Any] = []
        batch_size = 0
        for batch in self._batches:
            if batch_size != len(batch.targets):
                batch_size = len(batch.targets)
                buffers = [step.operation.allocate(batch_size) for step in self._steps]
            inputs = self._prepare_inputs(batch) if batch.precomputed is None else batch.precomputed
            outputs = [
                self._compute_outputs(inputs, buffers, weights, coalition)
                for coalition in range(len(coalitions))
            ]
            statistics += batch.summarise(self.measure, np.stack(outputs))
        return statistics

    def _compute_outputs(
        self,
        inputs: Floats,
        buffers: Sequence[Any],
        weights: Sequence[StackedLayer | None],
        coalition: int,
    ) -> Floats:
        """Compute one coalition's outputs (classes, examples) for a batch."""
        values = {self._first_value: inputs}
        for step, buffer, stack in zip(self._steps, buffers, weights, strict=True):
            step_inputs = [values[index] for index in step.inputs]
            values[step.output] = step.operation.run(step_inputs, buffer, stack, coalition)
        outputs: Floats = values[self._steps[-1].output].reshape(-1, inputs.shape[-1]).copy()
        return outputs

    def _prepare_inputs(self, batch: ExampleBatch) -> Floats:
        """Compute the value that every coalition's computation begins with."""
        assert batch.inputs is not None, "precomputed values have replaced the inputs"
        inputs = batch.inputs.copy() if self._leading_layers else batch.inputs
        if self._frozen_steps:
            inputs = self._compute_frozen(inputs)
        for layer in self._leading_layers:
            if isinstance(layer, Permute):
                inputs = np.ascontiguousarray(permute(layer, inputs)).reshape(inputs.shape)
            else:
                apply_in_place(layer, inputs[None])
        if self._first_convolution is None:
            return inputs
        return convolution.copy_kernel_rows(self._first_convolution, inputs)

    def _compute_frozen(self, inputs: Floats) -> Floats:
        """Compute the layers that are the same for all coalitions."""
        values = {0: inputs}
        for step in self._frozen_steps:
            buffers = step.operation.allocate(inputs.shape[-1])
            weights = step.operation.average(np.ones((1, 1), np.float32))
            step_inputs = [values[index] for index in step.inputs]
            values[step.output] = step.operation.run(step_inputs, buffers, weights, 0)
        return np.ascontiguousarray(values[self._frozen_steps[-1].output])


def count_frozen_nodes(graph: Graph, frozen: Weights) -> int:
    """Count the nodes at the start whose result is the same for all coalitions.

    Args:
        graph: The model's layers.
        frozen: The frozen weights by name; without any, nothing is counted.

    Returns:
        The largest k, such that the first k nodes have no trained weights, and later nodes read
        nothing of them but the value k.
    """
    trained = (
        index
        for index, node in enumerate(graph)
        if not all(name in frozen for name in weight_names(node.layer))
    )
    count = next(trained, len(graph) - 1) if frozen else 0
    while any(index < count for node in graph[count:] for index in node.inputs):
        count -= 1
    return count


def _bytes_per_coalition(steps: Sequence[ComputeStep], num_models: int) -> int:
    """Count the bytes of one coalition's averaged weights, without frozen ones, which it shares."""
    layers = [step.operation.average(np.zeros((2, num_models), np.float32)) for step in steps]
    arrays = [array for layer in layers if layer for array in (layer.kernels, layer.biases)]
    return sum(array.nbytes // 2 for array in arrays if array is not None and array.strides[0])


def _batch_size(graph: Graph) -> int:
    """Choose how many examples go through the graph at a time."""
    widest = max(math.prod(node.shape) for node in graph)
    fitting = min(MAX_VALUE_BYTES // (4 * widest), MAX_BATCH_SIZE)
    multiple = 64 if fitting >= 64 else MIN_BATCH_SIZE
    return max(MIN_BATCH_SIZE, fitting // multiple * multiple)


def _count_leading_layers(graph: Graph) -> int:
    """Count the nodes at the start that scale or permute the inputs for all nodes behind them."""
    uses = Counter(index for node in graph for index in node.inputs)
    for index, node in enumerate(graph):
        if (
            not isinstance(node.layer, (Scale, Permute))
            or node.inputs != (index,)
            or uses[index] > 1
        ):
            return index
    return len(graph)


def _only_convolution(steps: Sequence[ComputeStep], value: int) -> Conv | None:
    """Return the convolution that reads a value, if no other step does."""
    readers = [step.operation for step in steps if value in step.inputs]
    first = readers[0] if len(readers) == 1 else None
    return first.stage.conv if isinstance(first, ConvolutionOperation) else None
