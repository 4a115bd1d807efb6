"""Right answers of averaged models of any Keras architecture.

One TensorFlow function averages the stacked weights of all clients for a coalition, another runs
the model statelessly with them on large blocks of the evaluation set. Weights are inputs, so each
is traced once (twice, when the last block is smaller), and nothing is assigned to variables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.example_batches import Inputs, count_in_chunks
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    Counts,
    ExampleShare,
    UtilityJob,
)
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.aggregation import Weights
from fedcoin.v1 import artifact_pb2

BLOCK_BYTES = 4 << 20
"""About the largest layer's outputs for the examples that go through the model at a time."""

FEWEST_EXAMPLES, MOST_EXAMPLES = 16, 512
"""How many those are."""


class KerasEvaluator:
    """``utility.Evaluator`` for any model that ``models.from_spec`` builds.

    ``base`` and ``updates`` are float32 weights by name, ``x`` (m, *input_shape) and ``y`` (m,)
    the evaluation set; all were checked before. Counts on the blocks of its ``shard`` alone.
    """

    def __init__(
        self,
        spec: artifact_pb2.ModelSpec,
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        shard: ExampleShare = ALL_EXAMPLES,
    ) -> None:
        tf = keras_runtime.load_tensorflow()
        model = keras_models.model_from_spec(spec.SerializeToString(deterministic=True))
        self._job = job
        # Weights of the updates and, last, of the base: one tensor (n + 1, ...) for each name.
        self._stacks = [
            tf.constant(np.stack([owner[name] for owner in (*updates, base)])) for name in base
        ]
        rows = max(FEWEST_EXAMPLES, min(MOST_EXAMPLES, BLOCK_BYTES // (4 * _width(model))))
        cuts = range(shard.index * rows, len(x), shard.count * rows)
        self._blocks = [
            (tf.constant(x[cut : cut + rows]), tf.constant(y[cut : cut + rows].astype(np.int64)))
            for cut in cuts
        ]
        self._average = _average_function(tf)
        self._count = _count_function(tf, model)

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        return count_in_chunks(self._job, coalitions, len(coalitions), self._count_all)

    def _count_all(self, coalitions: Coalitions) -> Counts:
        coefficients = coalition_coefficients(
            coalitions, self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        counts = []
        for row in coefficients:
            weights = self._average(row, self._stacks)
            counts.append(sum(int(self._count(weights, x, y)) for x, y in self._blocks))
        return np.array(counts, np.int64)


def _width(model: Any) -> int:
    """How many numbers the widest layer makes of an example."""
    outputs = [model.inputs, *(getattr(layer, "output", []) for layer in model.layers)]
    tensors = [t for found in outputs for t in (found if isinstance(found, list) else [found])]
    widest: int = max(math.prod(size or 1 for size in t.shape[1:]) for t in tensors)
    return widest


def _average_function(tf: Any) -> Any:
    """A compiled (coefficients, stacks) -> averaged weights."""

    @tf.function  # type: ignore[untyped-decorator]
    def average(coefficients: Any, stacks: Sequence[Any]) -> Any:
        return [tf.tensordot(coefficients, stack, 1) for stack in stacks]

    return average


def _count_function(tf: Any, model: Any) -> Any:
    """A compiled (averaged weights, x, y) -> number of right answers."""
    place = {id(weight): number for number, weight in enumerate(model.weights)}

    def chosen(variables: Sequence[Any], averaged: Sequence[Any]) -> list[Any]:
        # What is no weight (the state of a random generator) keeps its value.
        return [
            averaged[place[id(variable)]] if id(variable) in place else variable.value
            for variable in variables
        ]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def count(averaged: Sequence[Any], x: Any, y: Any) -> Any:
        outputs, _ = model.stateless_call(
            chosen(model.trainable_variables, averaged),
            chosen(model.non_trainable_variables, averaged),
            x,
            training=False,
        )
        right = tf.equal(tf.argmax(outputs, axis=1), y)
        unreadable = tf.reduce_any(tf.math.is_nan(outputs), axis=1)
        return tf.math.count_nonzero(tf.logical_and(right, tf.logical_not(unreadable)))

    return count
