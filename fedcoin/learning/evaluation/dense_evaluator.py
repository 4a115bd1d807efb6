"""Right answers of averaged models of plain dense layers, in NumPy.

What makes it fast, and stays exact but for the order of float32 sums:

* The first layer is linear in its weights, so the outputs of an averaged model are the average of
  the clients' outputs. Those are computed once for each client, weighed by its samples; a
  coalition's are sums of them (``mixing``), which takes about one addition for each.
* ReLU commutes with scaling, so a coalition's sum need not be divided by its weight: the later
  biases are multiplied instead.
* Examples go in blocks, and a tile of (some coalitions) x (one block) is small enough to stay in
  a core's cache through all layers.
* Examples are sorted by label: an answer is right if its output is above those of the lower
  classes and not below those of the higher ones, which needs no arg-max (and makes NaN wrong).

Within a block arrays lie as (features, examples), so that every product and every comparison
runs along the examples.
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
from fedcoin.learning.evaluation.stacked_weights import (
    StackedLayer,
    apply_in_place,
    apply_layers,
    average_layer,
    stack_layer,
)
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.layers import Activation, Dense, Layer, Scale
from fedcoin.v1 import task_pb2

BLOCK_EXAMPLES = 256
TILE_BYTES = 2 << 20
"""A tile of the widest layer's outputs: what fits a core's second-level cache, about."""

TILE_ROWS = 64
"""The most coalitions in a tile."""

WEIGHTS_BYTES = 32 << 20
"""The averaged weights of the later layers that are kept at a time."""

CACHE_BYTES = 512 << 20
"""The clients' first-layer outputs that are kept; beyond it they are computed again."""


class DenseEvaluator:
    """``utility.Evaluator`` for chains of ``Dense``, ``Scale`` and ``Activation``.

    ``base`` and ``updates`` are float32 weights by name, ``x`` (m, ...) is flattened, ``y`` (m,)
    holds labels below the number of classes; all were checked before. Counts on the blocks of
    its ``shard`` alone. What is computed once for each client is computed here.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        shard: ExampleShare = ALL_EXAMPLES,
    ) -> None:
        self._job = job
        models = [*updates, base]
        start = next(place for place, layer in enumerate(layers) if isinstance(layer, Dense))
        self._before = layers[:start]
        self._after = _without_last_softmax(layers[start + 1 :])
        self._scales = all(_is_homogeneous(layer) for layer in self._after)
        dense = [layer for layer in layers if isinstance(layer, Dense)]
        self._first = stack_layer(dense[0], _weighed(dense[0], models, job))
        self._later = [stack_layer(layer, models) for layer in dense[1:]]
        self._width = self._first.kernels.shape[1]
        widest = max(stack.kernels.shape[1] for stack in (self._first, *self._later))
        fitting = TILE_BYTES // (4 * widest * BLOCK_EXAMPLES)
        self._rows = max(1, min(fitting, TILE_ROWS))
        self._blocks = list(make_batches(x, y, BLOCK_EXAMPLES, shard))
        if keep_parts(self._blocks, self._parts, CACHE_BYTES):
            self._first = StackedLayer(self._first.kernels[:0], None)

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        later_bytes = sum(stack.kernels[0].nbytes for stack in self._later)
        most = max(self._rows, WEIGHTS_BYTES // max(1, later_bytes))
        return count_in_chunks(self._job, coalitions, most, self._count)

    def _count(self, coalitions: Coalitions) -> Counts:
        plan = coalition_sums.plan_sums(self._members(coalitions), self._rows)
        members, clients = plan.members, len(self._job.updates)
        coefficients = coalition_coefficients(
            members[:, :clients], self._job.num_samples, self._job.averaging
        )
        scales = self._scales_of(members)
        later = [average_layer(stack, coefficients.astype(np.float32)) for stack in self._later]
        if self._scales:
            later = [_with_scaled_biases(stack, scales) for stack in later]
        counts = np.zeros(len(members), np.int64)
        tile = np.empty(self._rows * self._width * BLOCK_EXAMPLES, np.float32)
        for block in self._blocks:
            parts = self._parts(block)
            room = tile[: self._rows * parts.shape[1]].reshape(self._rows, -1)
            for rows, sums in plan.tiles(parts, room):
                if not self._scales:
                    np.multiply(sums, scales[rows, None], out=sums)
                values = sums.reshape(len(sums), self._width, -1)
                outputs = apply_layers(self._after, values, later, rows)
                counts[rows] += block.right_answers(outputs)
        found = np.zeros(len(coalitions), np.int64)
        asked = plan.places >= 0
        found[plan.places[asked]] = counts[asked]
        return found

    def _members(self, coalitions: Coalitions) -> Coalitions:
        """Whose parts make up each coalition's first layer; the last column is the base's."""
        if self._job.averaging == task_pb2.AVERAGING_RENORMALISED:
            base = ~coalitions.any(axis=1)
        else:
            base = np.ones(len(coalitions), np.bool_)
        return np.column_stack([coalitions, base])

    def _scales_of(self, members: Coalitions) -> Floats:
        """By what a row's sum of parts has to be multiplied, float32 (m,)."""
        if self._job.averaging != task_pb2.AVERAGING_RENORMALISED:
            return np.ones(len(members), np.float32)
        samples = np.asarray(self._job.num_samples, np.float64)
        shares = np.append(samples / samples.sum(), 1.0)
        weights = members @ shares
        # A row without anybody is nobody's question, but may stand in a lattice.
        return (1 / np.where(weights > 0, weights, 1.0)).astype(np.float32)

    def _parts(self, block: ExampleBatch) -> Floats:
        """The first layer's outputs (n + 1, width * examples) of each part."""
        if block.parts is not None:
            return block.parts
        assert block.x is not None, "neither parts nor inputs"
        x = block.x.copy() if self._before else block.x
        for layer in self._before:
            apply_in_place(layer, x[None])
        kernels, biases = self._first.kernels, self._first.biases
        models, width, features = kernels.shape
        with np.errstate(all="ignore"):
            parts = (kernels.reshape(models * width, features) @ x).reshape(models, width, -1)
            if biases is not None:
                parts += biases[:, :, None]
        return parts.reshape(models, -1)


def _weighed(layer: Dense, models: Sequence[Weights], job: UtilityJob) -> list[Weights]:
    """A layer's parts: sums of them are the layers of coalitions, but for their scale.

    RENORMALISED: each client's weights by its share of all samples. FIXED_DENOMINATOR: by its
    share, what the client changed; the base stays in every sum.
    """
    base, total = models[-1], sum(job.num_samples)
    fixed = job.averaging != task_pb2.AVERAGING_RENORMALISED
    names = [name for name in (layer.kernel, layer.bias) if name]
    parts: list[Weights] = []
    for model, samples in zip(models[:-1], job.num_samples, strict=True):
        part = {}
        for name in names:
            change = model[name].astype(np.float64)
            if fixed:
                change -= base[name].astype(np.float64)
            part[name] = (samples / total * change).astype(np.float32)
        parts.append(part)
    return [*parts, base]


def _with_scaled_biases(stack: StackedLayer, scales: Floats) -> StackedLayer:
    """The layer for inputs still to be multiplied by ``scales``: its outputs are, too."""
    if stack.biases is None:
        return stack
    return StackedLayer(stack.kernels, stack.biases / scales[:, None])


def _without_last_softmax(layers: Sequence[Layer]) -> Sequence[Layer]:
    """The same order of outputs without the last softmax: it rises with each of them."""
    return layers[:-1] if layers and layers[-1] == Activation("softmax") else layers


def _is_homogeneous(layer: Layer) -> bool:
    """Whether positive multiples of its inputs (and of its bias) give multiples of outputs."""
    if isinstance(layer, Scale):
        return layer.offset == 0
    return isinstance(layer, Dense) or layer == Activation("relu")
