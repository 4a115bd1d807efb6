"""Measure averaged models of dense layers, in NumPy.

Notation: client k's first layer has the kernel `W_k` and the bias `b_k`; `a_k(S)` is client k's
coefficient in the averaged model of the coalition `S` and `a_0(S)` that of the base model
(`coefficients`); `X` holds a batch of examples. What makes the evaluation fast, and leaves it exact
up to the order of float32 sums:

* The first layer is linear in its weights, so the averaged model's first-layer outputs are

      (sum_k a_k(S) W_k) X + sum_k a_k(S) b_k = sum_k a_k(S) (W_k X + b_k),

  and `W_k X + b_k` is computed once for each client. Under RENORMALISED, a_k(S) = s_k / s(S) for
  members, so the sum over members of the contributions C_k = (s_k / s(N)) (W_k X + b_k) is the
  averaged model's output times the coalition's weight s(S) / s(N); the empty coalition's sum is the
  base's output. Under FIXED_DENOMINATOR, the base's output plus the members' contributions
  C_k = (s_k / s(N)) ((W_k - W_0) X + b_k - b_0) is the averaged model's output itself; so it is
  under EQUAL, with s_k = 1.
  `coalition_sums` computes these sums with about one addition for each coalition.
* ReLU and layers without biases commute with positive factors. If all later layers do, a sum is
  not divided by the coalition's weight; instead the later biases are multiplied by it, which
  scales all outputs alike and leaves their order. So it is for measures of the order alone.
* Examples go in batches, and a tile of some coalitions and one batch stays in a core's cache
  through all layers.
* A final softmax does not change the order of the outputs and is left out for these measures.

The limits below were chosen by hand for cores with 1 to 2 MiB of second-level cache.
`scripts/benchmarks/bench_shapley.py --case mlp-exact` and `--case k100` show the effect of a
change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation import coalition_sums
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
from fedcoin.learning.evaluation.stacked_weights import (
    StackedLayer,
    apply_in_place,
    apply_layers,
    average_layer,
    stack_layer,
)
from fedcoin.learning.evaluation.summing_evaluator import SummingEvaluator
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.right_answers import ACCURACY
from fedcoin.learning.model.aggregation import Weights, client_weights
from fedcoin.learning.model.layers import Activation, Dense, Layer, Scale, is_softmax
from fedcoin.v1 import task_pb2

BATCH_SIZE = 256
"""Examples in a batch."""

MAX_TILE_BYTES = 2 << 20
"""How many bytes a tile of the widest layer's outputs may take."""

MAX_TILE_ROWS = 64
"""How many coalitions a tile may have."""

MAX_SUBTRACTED_RATIO = 4
"""How many times as large as the smallest player's a player's largest first-layer weight may be
where its contribution is subtracted from a sum. Updates of one round have weights of similar
size."""

MAX_WEIGHT_BYTES = 32 << 20
"""How many bytes the later layers' averaged weights of a batch of coalitions should take; sets
`max_coalitions`."""

MAX_CACHE_BYTES = 512 << 20
"""How many bytes of the players' first-layer outputs are kept; batches beyond it compute them for
each pass."""


class DenseEvaluator(SummingEvaluator):
    """Evaluates a sequence of `Dense`, `Scale` and `Activation` layers. Implements `job.Evaluator`.

    Args:
        layers: The model's layers in order, at least one of them `Dense`.
        base: float32 weights by name, of the base model.
        updates: float32 weights by name, of each client's model.
        x: Inputs float32 or int32 (m, ...); they are flattened.
        y: Integer labels (m,), below the number of classes.
        job: Gives numbers of samples, averaging, and the utility of the empty coalition. Its files
            are not read; the caller must have checked all arrays.
        share: The part of the examples to count on.
        measure: The job's measure, for the whole evaluation set.

    Attributes:
        measure: The job's measure, for the whole evaluation set.
        max_coalitions: The most coalitions to evaluate at a time, at least 1.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        share: ExampleShare = ALL_EXAMPLES,
        measure: Measure = ACCURACY,
    ) -> None:
        super().__init__(job, measure)
        models = [*updates, base]
        first = next(index for index, layer in enumerate(layers) if isinstance(layer, Dense))
        self._layers_before = layers[:first]
        self._layers_after = layers[first + 1 :]
        if not measure.needs_values:
            self._layers_after = _without_final_softmax(self._layers_after)
        self._scales_commute = not measure.needs_values and all(
            _commutes_with_scaling(layer) for layer in self._layers_after
        )
        dense = [layer for layer in layers if isinstance(layer, Dense)]
        self._first = stack_layer(dense[0], _contributing_weights(dense[0], models, job))
        self._may_subtract = find_subtractable(self._first, job)
        self._later = [stack_layer(layer, models) for layer in dense[1:]]
        self._width = self._first.kernels.shape[1]
        widest = max(stack.kernels.shape[1] for stack in (self._first, *self._later))
        fitting_rows = MAX_TILE_BYTES // (4 * widest * BATCH_SIZE)
        self._tile_rows = max(1, min(fitting_rows, MAX_TILE_ROWS))
        later_bytes = sum(stack.kernels[0].nbytes for stack in self._later)
        self.max_coalitions = max(self._tile_rows, MAX_WEIGHT_BYTES // max(1, later_bytes))
        self._batches = list(make_batches(x, y, BATCH_SIZE, share))
        if precompute(self._batches, self._compute_contributions, MAX_CACHE_BYTES):
            self._first = StackedLayer(self._first.kernels[:0], None)  # no longer needed

    def _sum_up(self, coalitions: Coalitions) -> Statistics:
        plan = coalition_sums.plan_sums(
            self._membership(coalitions), self._tile_rows, self._may_subtract
        )
        membership, num_clients = plan.membership, len(self._job.updates)
        coefficients = coalition_coefficients(
            membership[:, :num_clients], self._job.num_samples, self._job.averaging
        )
        scales = self._scales(membership)
        later = [average_layer(stack, coefficients.astype(np.float32)) for stack in self._later]
        if self._scales_commute:
            later = [_with_scaled_biases(stack, scales) for stack in later]
        statistics = np.zeros((len(membership), self.measure.num_statistics), np.int64)
        buffer = np.empty(self._tile_rows * self._width * BATCH_SIZE, np.float32)
        for batch in self._batches:
            contributions = self._compute_contributions(batch)
            tile = buffer[: self._tile_rows * contributions.shape[1]].reshape(self._tile_rows, -1)
            for rows, sums in plan.tiles(contributions, tile):
                if not self._scales_commute:
                    np.multiply(sums, scales[rows, None], out=sums)
                values = sums.reshape(len(sums), self._width, -1)
                outputs = apply_layers(self._layers_after, values, later, rows)
                statistics[rows] += batch.summarise(self.measure, outputs)
        answers = np.zeros((len(coalitions), statistics.shape[1]), np.int64)
        requested = plan.targets >= 0
        answers[plan.targets[requested]] = statistics[requested]
        return answers

    def _membership(self, coalitions: Coalitions) -> Coalitions:
        """Append the base model's column: whether its contribution belongs to each sum."""
        if self._job.averaging == task_pb2.AVERAGING_RENORMALISED:
            base = ~coalitions.any(axis=1)
        else:
            base = np.ones(len(coalitions), np.bool_)
        return np.column_stack([coalitions, base])

    def _scales(self, membership: Coalitions) -> Floats:
        """Compute the factor from each row's sum to the averaged model's output, float32 (m,)."""
        if self._job.averaging != task_pb2.AVERAGING_RENORMALISED:
            return np.ones(len(membership), np.float32)
        samples = np.asarray(self._job.num_samples, np.float64)
        shares = np.append(samples / samples.sum(), 1.0)
        weights = membership @ shares
        # A subset table may hold a row without any player, which no caller asked for.
        return (1 / np.where(weights > 0, weights, 1.0)).astype(np.float32)

    def _compute_contributions(self, batch: ExampleBatch) -> Floats:
        """Compute each player's contribution C_k, float32 (n + 1, width * examples)."""
        if batch.precomputed is not None:
            return batch.precomputed
        assert batch.inputs is not None, "precomputed values have replaced the inputs"
        inputs = batch.inputs.copy() if self._layers_before else batch.inputs
        for layer in self._layers_before:
            apply_in_place(layer, inputs[None])
        kernels, biases = self._first.kernels, self._first.biases
        models, width, features = kernels.shape
        with np.errstate(all="ignore"):
            outputs = kernels.reshape(models * width, features) @ inputs
            contributions: Floats = outputs.reshape(models, width, -1)
            if biases is not None:
                contributions += biases[:, :, None]
        return contributions.reshape(models, -1)


def _contributing_weights(
    layer: Dense, models: Sequence[Weights], job: UtilityJob
) -> list[Weights]:
    """Compute the first-layer weights whose outputs are the contributions C_k, the base's last."""
    shares = client_weights(job.num_samples, job.averaging)
    base, total = models[-1], sum(shares)
    relative_to_base = job.averaging != task_pb2.AVERAGING_RENORMALISED
    names = [name for name in (layer.kernel, layer.bias) if name]
    contributing: list[Weights] = []
    for model, share in zip(models[:-1], shares, strict=True):
        weights = {}
        for name in names:
            array = model[name].astype(np.float64)
            if relative_to_base:
                array -= base[name].astype(np.float64)
            weights[name] = (share / total * array).astype(np.float32)
        contributing.append(weights)
    return [*contributing, base]


def find_subtractable(first: StackedLayer, job: UtilityJob) -> npt.NDArray[np.bool_]:
    """Find the players whose contributions may be subtracted from sums.

    A sum holds what is left of the smallest contribution to it after rounding to the largest one.

    Args:
        first: The first layer's contributions: kernels and biases of n clients and of the base.
        job: Gives the averaging, which says whether the base is in every sum.

    Returns:
        Bool (n + 1,): of each client, and of the base.
    """
    largest = np.abs(first.kernels).reshape(len(first.kernels), -1).max(axis=1)
    if first.biases is not None:
        largest = np.maximum(largest, np.abs(first.biases).max(axis=1))
    clients, base = largest[:-1], largest[-1]
    always_has_base = job.averaging != task_pb2.AVERAGING_RENORMALISED
    smallest = max(clients.min(), base) if always_has_base else clients.min()
    found: npt.NDArray[np.bool_] = largest <= MAX_SUBTRACTED_RATIO * smallest
    return found


def _with_scaled_biases(stack: StackedLayer, scales: Floats) -> StackedLayer:
    """Return the layer for inputs that are yet to be multiplied by `scales`; so are its outputs."""
    if stack.biases is None:
        return stack
    return StackedLayer(stack.kernels, stack.biases / scales[:, None])


def _without_final_softmax(layers: Sequence[Layer]) -> Sequence[Layer]:
    return layers[:-1] if layers and is_softmax(layers[-1]) else layers


def _commutes_with_scaling(layer: Layer) -> bool:
    """Tell whether a positive factor on inputs and biases gives the same factor on the outputs."""
    if isinstance(layer, Scale):
        return layer.offset == 0
    return isinstance(layer, Dense) or layer == Activation("relu")
