"""Measure averaged models of any Keras architecture, by TensorFlow.

One compiled function averages the stacked weights of all models for a coalition; another runs the
model statelessly with them on large batches of the evaluation set. Weights are inputs of both, so
each is traced once (twice when the last batch is smaller) and no variable is assigned. Right
answers are counted where the outputs are; other measures fetch the outputs.

TensorFlow computes on the processor, or on a GPU where the caller names one (`devices`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.devices import PROCESSOR, Device
from fedcoin.learning.evaluation.example_batches import Floats, Inputs
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    ExampleShare,
    UtilityJob,
)
from fedcoin.learning.evaluation.summing_evaluator import SummingEvaluator
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.near_ties import NEAR_TIES
from fedcoin.learning.measures.right_answers import ACCURACY, Accuracy
from fedcoin.learning.measures.target_checks import check_positions
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.spec import weight_shapes
from fedcoin.v1 import artifact_pb2

MAX_PENDING = 256
"""How many coalitions a device may have computed before their statistics are fetched."""

_Summarise = Callable[[Sequence[Any], Any, Any], Any]
"""(averaged weights, x, y) -> the statistics of one batch, int64 (k,), an array or a tensor."""


class KerasEvaluator(SummingEvaluator):
    """Evaluates any model that `keras_models.model_from_spec` builds. Implements `job.Evaluator`.

    Args:
        spec: The model, checked by `spec.check_spec`.
        base: float32 weights by name, of the base model; the trained ones only.
        updates: float32 weights by name, of each client's model.
        x: Inputs float32 or int32 (m, *input_shape).
        y: Integer labels (m,).
        job: Gives numbers of samples, averaging, and the utility of the empty coalition. Its files
            are not read; the caller must have checked all arrays.
        share: The part of the examples to count on.
        measure: The job's measure, for the whole evaluation set.
        frozen: float32 weights by name that all models share.
        device: Where TensorFlow computes. Which examples the share has does not depend on it.

    Attributes:
        measure: The job's measure, for the whole evaluation set.
        max_coalitions: The most coalitions to evaluate at a time: there is no limit, because one
            coalition's weights are averaged at a time.
    """

    max_coalitions = sys.maxsize

    def __init__(
        self,
        spec: artifact_pb2.ModelSpec,
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        share: ExampleShare = ALL_EXAMPLES,
        measure: Measure = ACCURACY,
        frozen: Weights = NO_WEIGHTS,
        device: Device = PROCESSOR,
    ) -> None:
        tf = keras_runtime.load_tensorflow()
        model = keras_models.model_from_spec(spec.SerializeToString(deterministic=True))
        check_positions(model.output_shape, y)
        super().__init__(job, measure)
        self._tf, self._device = tf, device
        targets = y.astype(np.int64) if y.dtype.kind in "iu" else y
        counts_there = isinstance(measure, Accuracy)
        with tf.device(device.name):
            # One tensor (n + 1, ...) for each name: the clients' weights and, last, the base's.
            self._stacks = [
                tf.constant(np.stack([weights[name] for weights in (*updates, base)]))
                for name in base
            ]
            # In the model's order: the place of a trained weight is filled for each coalition.
            self._weights = {name: tf.constant(array) for name, array in frozen.items()}
            self._batches = [
                (
                    tf.constant(x[rows]),
                    tf.constant(targets[rows]) if counts_there else targets[rows],
                )
                for rows in _choose_rows(len(x), _max_width(model), share, device)
            ]
        self._names = list(weight_shapes(spec))
        self._trained = list(base)
        self._average = _compile_average(tf)
        self._run = _stateless_call(model)
        self._summarise = (
            _compile_count(tf, self._run)
            if counts_there
            else _compile_outputs(tf, self._run, measure)
        )

    def _sum_up(self, coalitions: Coalitions) -> Statistics:
        coefficients = coalition_coefficients(
            coalitions, self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        statistics = np.zeros((len(coalitions), self.measure.num_statistics), np.int64)
        for begin in range(0, len(coalitions), MAX_PENDING):
            rows = coefficients[begin : begin + MAX_PENDING]
            with self._tf.device(self._device.name):
                # A device works through its queue while the next coalition is sent to it.
                pending = [self._sum_up_batches(row) for row in rows]
            for number, total in enumerate(pending, begin):
                statistics[number] = sum(np.asarray(part) for part in total)
        return statistics

    def count_near_ties(self, coalitions: Coalitions) -> Statistics:
        """Implement `Evaluator.count_near_ties`: count the examples that rounding decides."""
        own = self._summarise
        self._summarise = _compile_outputs(self._tf, self._run, NEAR_TIES)
        try:
            return super().count_near_ties(coalitions)
        finally:
            self._summarise = own

    def _sum_up_batches(self, coefficients: Floats) -> list[Any]:
        """Start to sum up one coalition's statistics, and return those of each batch."""
        averaged = zip(self._trained, self._average(coefficients, self._stacks), strict=True)
        known = {**self._weights, **dict(averaged)}
        weights = [known[name] for name in self._names]
        return [self._summarise(weights, x, y) for x, y in self._batches]


def _choose_rows(
    num_examples: int, width: int, share: ExampleShare, device: Device
) -> list[npt.NDArray[np.int64] | slice]:
    """Choose the examples of each batch of a share.

    The set is cut for the processor whatever the device, so that workers with other devices have
    the other shares. On a device with larger batches several of the share's parts are joined.
    """
    size = PROCESSOR.choose_batch_size(width)
    joined = max(1, device.choose_batch_size(width) // size)
    starts = range(share.index * size, num_examples, share.num_shares * size)
    if joined == 1:
        return [slice(start, start + size) for start in starts]
    parts = [np.arange(start, min(start + size, num_examples)) for start in starts]
    return [np.concatenate(parts[begin : begin + joined]) for begin in range(0, len(parts), joined)]


def _max_width(model: Any) -> int:
    """Return how many numbers the widest layer outputs for one example."""
    tensors = [tensor for call in keras_models.list_calls(model) for tensor in call.made]
    widest: int = max(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
    return widest


def _compile_average(tf: Any) -> Any:
    """Compile the function (coefficients, stacks) -> averaged weights."""

    @tf.function  # type: ignore[untyped-decorator]
    def average(coefficients: Any, stacks: Sequence[Any]) -> Any:
        return [tf.tensordot(coefficients, stack, 1) for stack in stacks]

    return average


def _stateless_call(model: Any) -> Callable[[Sequence[Any], Any], Any]:
    """Return the function (averaged weights, x) -> outputs, which TensorFlow can trace."""
    weights = keras_models.float_weights(model)
    weight_index = {id(weight): index for index, weight in enumerate(weights)}
    adapted = keras_models.adapted_layers(model)
    reshape = keras_runtime.load_keras().ops.reshape

    def values_of(variables: Sequence[Any], averaged: Sequence[Any]) -> list[Any]:
        # A variable that is not a weight (the state of a random generator) keeps its value.
        return [
            averaged[weight_index[id(variable)]] if id(variable) in weight_index else variable.value
            for variable in variables
        ]

    def run(averaged: Sequence[Any], x: Any) -> Any:
        for layer in adapted:
            # As `finalize_state` does, from the averages instead of the layer's own variables.
            mean, variance = (
                averaged[weight_index[id(variable)]]
                for variable in (layer.adapt_mean, layer.adapt_variance)
            )
            layer.mean = reshape(mean, layer._broadcast_shape)
            layer.variance = reshape(variance, layer._broadcast_shape)
        outputs, _ = model.stateless_call(
            values_of(model.trainable_variables, averaged),
            values_of(model.non_trainable_variables, averaged),
            x,
            training=False,
        )
        return outputs

    return run


def _compile_count(tf: Any, run: Callable[[Sequence[Any], Any], Any]) -> Any:
    """Compile the function (averaged weights, x, y) -> number of correct answers."""

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def count(averaged: Sequence[Any], x: Any, y: Any) -> Any:
        outputs = run(averaged, x)
        correct = tf.equal(tf.argmax(outputs, axis=1), y)
        has_nan = tf.reduce_any(tf.math.is_nan(outputs), axis=1)
        return tf.math.count_nonzero(tf.logical_and(correct, tf.logical_not(has_nan)))

    return count


def _compile_outputs(
    tf: Any, run: Callable[[Sequence[Any], Any], Any], measure: Measure
) -> _Summarise:
    """Compile the function (averaged weights, x, y) -> statistics of a measure, int64 (k,)."""
    compiled = tf.function(run, reduce_retracing=True)

    def summarise(averaged: Sequence[Any], x: Any, y: npt.NDArray[np.generic]) -> Any:
        # The examples become the last axis, as a measure takes them.
        outputs = np.moveaxis(compiled(averaged, x).numpy(), 0, -1)
        return measure.summarise(outputs[None], y)[0]

    return summarise
