"""Right answers of averaged models that are plain graphs, in NumPy: convolutions and all.

A block of examples goes through the whole graph for one coalition after another, in the steps of
``operations``.

What the first convolution copies of the inputs is the same for all coalitions and made once. Its
outputs for each client are not kept, as those of ``dense`` are: they are many times as large as the
images, and adding them up takes as long as computing them again from one or three channels.
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
    count_in_chunks,
    keep_parts,
    make_batches,
)
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    Counts,
    ExampleShare,
    UtilityJob,
)
from fedcoin.learning.evaluation.operations import ComputeStep, ConvolutionOperation, plan_steps
from fedcoin.learning.evaluation.stacked_weights import StackedLayer, apply_in_place
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.layers import Activation, Conv, Graph, Scale

BLOCK_BYTES = 4 << 20
"""About the largest value for one block."""

FEWEST_EXAMPLES, MOST_EXAMPLES = 16, 256
"""In a block; multiples of 64, or 16 of few, suit vector registers and the BLAS."""

WEIGHTS_BYTES = 32 << 20
"""The averaged weights that are kept at a time."""

CACHE_BYTES = 512 << 20
"""The copies for the first convolution that are kept; beyond it they are made again."""


class GraphEvaluator:
    """``utility.Evaluator`` for the models that ``architecture.plain_graph`` reads.

    ``base`` and ``updates`` are float32 weights by name, ``x`` (m, *input_shape) and ``y`` (m,)
    the evaluation set; all were checked before. Counts on the blocks of its ``shard`` alone.
    """

    def __init__(
        self,
        graph: Graph,
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        shard: ExampleShare = ALL_EXAMPLES,
    ) -> None:
        self._job = job
        self._input = _leading_scales(graph)
        self._before = [node.layer for node in graph[: self._input]]
        if graph[-1].layer == Activation("softmax"):  # it keeps the order of the outputs
            graph = graph[:-1]
        self._steps = plan_steps(graph, [*updates, base], self._input)
        self._first = _only_convolution(self._steps, self._input)
        self._weight_bytes = sum(base[name].nbytes for name in base)
        widest = max(math.prod(node.shape) for node in graph)
        fitting = min(BLOCK_BYTES // (4 * widest), MOST_EXAMPLES)
        step = 64 if fitting >= 64 else FEWEST_EXAMPLES
        examples = max(FEWEST_EXAMPLES, fitting // step * step)
        self._blocks = list(make_batches(x, y, examples, shard))
        keep_parts(self._blocks, self._parts, CACHE_BYTES)

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        most = WEIGHTS_BYTES // self._weight_bytes
        return count_in_chunks(self._job, coalitions, most, self._count)

    def _count(self, coalitions: Coalitions) -> Counts:
        coefficients = coalition_coefficients(
            coalitions, self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        weights = [step.operation.averaged(coefficients) for step in self._steps]
        counts = np.zeros(len(coalitions), np.int64)
        rooms: list[Any] = []
        size = 0
        for block in self._blocks:
            if size != len(block.labels):
                size = len(block.labels)
                rooms = [step.operation.room(size) for step in self._steps]
            start = self._parts(block) if block.parts is None else block.parts
            outputs = [self._outputs(start, rooms, weights, k) for k in range(len(coalitions))]
            counts += block.right_answers(np.stack(outputs))
        return counts

    def _outputs(
        self,
        start: Floats,
        rooms: Sequence[Any],
        weights: Sequence[StackedLayer | None],
        place: int,
    ) -> Floats:
        """One coalition's outputs (classes, examples) for a block."""
        values = {self._input: start}
        for step, room, stack in zip(self._steps, rooms, weights, strict=True):
            inputs = [values[number] for number in step.inputs]
            values[step.output] = step.operation.run(inputs, room, stack, place)
        outputs: Floats = values[self._steps[-1].output].reshape(-1, start.shape[-1]).copy()
        return outputs

    def _parts(self, block: ExampleBatch) -> Floats:
        """What every coalition begins with."""
        assert block.x is not None, "neither parts nor inputs"
        x = block.x.copy() if self._before else block.x
        for layer in self._before:
            apply_in_place(layer, x[None])
        return x if self._first is None else convolution.copy_kernel_rows(self._first, x)


def _leading_scales(graph: Graph) -> int:
    """How many nodes only scale the inputs, for all that follows."""
    uses = Counter(number for node in graph for number in node.inputs)
    for place, node in enumerate(graph):
        if not isinstance(node.layer, Scale) or node.inputs != (place,) or uses[place] > 1:
            return place
    return len(graph)


def _only_convolution(steps: Sequence[ComputeStep], value: int) -> Conv | None:
    """The convolution that takes a value, if nothing else does."""
    users = [step.operation for step in steps if value in step.inputs]
    first = users[0] if len(users) == 1 else None
    return first.stage.conv if isinstance(first, ConvolutionOperation) else None
