"""Measure averaged models that are graphs of layers, in NumPy.

Covers convolutions, pooling, batch normalisation, skips and concatenations. A batch of examples
goes through the whole graph for one coalition after another, in the steps of `operations`, so that
its values stay in a core's cache.

The rows that the first convolution copies from the inputs are the same for all coalitions and are
copied once. Its outputs for each client are not kept, as `dense_evaluator` does: they are many
times as large as the images, and adding them up takes as long as computing them from one to three
channels.

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
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.layers import Conv, Graph, Permute, Scale, is_softmax

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
        base: float32 weights by name, of the base model.
        updates: float32 weights by name, of each client's model.
        x: Inputs float32 or int32 (m, *input_shape).
        y: Integer labels (m,).
        job: Gives numbers of samples, averaging, and the utility of the empty coalition. Its files
            are not read; the caller must have checked all arrays.
        share: The part of the examples to count on.
        measure: The job's measure, for the whole evaluation set.

    Attributes:
        measure: As in `Evaluator.measure`.
        max_coalitions: As in `Evaluator.max_coalitions`.
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
    ) -> None:
        super().__init__(job, measure)
        self._first_value = _count_leading_layers(graph)
        self._leading_layers = [node.layer for node in graph[: self._first_value]]
        if is_softmax(graph[-1].layer) and not measure.needs_values:
            # It does not change the order of the outputs.
            graph = graph[:-1]
        self._steps = plan_steps(graph, [*updates, base], self._first_value)
        self._first_convolution = _only_convolution(self._steps, self._first_value)
        weight_bytes = sum(base[name].nbytes for name in base)
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
        for layer in self._leading_layers:
            if isinstance(layer, Permute):
                inputs = np.ascontiguousarray(permute(layer, inputs)).reshape(inputs.shape)
            else:
                apply_in_place(layer, inputs[None])
        if self._first_convolution is None:
            return inputs
        return convolution.copy_kernel_rows(self._first_convolution, inputs)


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
