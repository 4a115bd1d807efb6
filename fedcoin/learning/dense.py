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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fedcoin.learning import mixing
from fedcoin.learning.aggregation import Weights, coalition_coefficients
from fedcoin.learning.architecture import Activation, Dense, PlainLayer, Scale
from fedcoin.learning.utility import WHOLE, Coalitions, Counts, Shard, UtilityJob
from fedcoin.v1 import task_pb2

Floats = npt.NDArray[np.float32]

BLOCK_EXAMPLES = 256
TILE_BYTES = 2 << 20
"""A tile of the widest layer's outputs: what fits a core's second-level cache, about."""

TILE_ROWS = 64
"""The most coalitions in a tile."""

WEIGHTS_BYTES = 32 << 20
"""The averaged weights of the later layers that are kept at a time."""

CACHE_BYTES = 512 << 20
"""The clients' first-layer outputs that are kept; beyond it they are computed again."""

MOST_SEGMENTS = 8
"""Labels in a block up to which each is looked at by itself."""


@dataclass(slots=True)
class _Block:
    """Examples sorted by label, inputs (features, examples)."""

    labels: npt.NDArray[np.int64]
    segments: list[tuple[int, slice]]
    """Each label that is there, and where."""
    x: Floats | None
    parts: Floats | None = None
    """The first layer's outputs of each part, when kept: (n + 1, width * examples)."""


@dataclass(frozen=True, slots=True)
class _Stack:
    """One Dense layer of all clients and, last, the base: kernels (n + 1, out, in)."""

    kernels: Floats
    biases: Floats | None


class DenseEvaluator:
    """``utility.Evaluator`` for the models that ``architecture.plain_layers`` reads.

    ``base`` and ``updates`` are float32 weights by name, ``x`` (m, ...) is flattened, ``y`` (m,)
    holds labels below the number of classes; all were checked before. Counts on the blocks of
    its ``shard`` alone. What is computed once for each client is computed here.
    """

    def __init__(
        self,
        layers: Sequence[PlainLayer],
        base: Weights,
        updates: Sequence[Weights],
        x: npt.NDArray[np.generic],
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        shard: Shard = WHOLE,
    ) -> None:
        self._job = job
        models = [*updates, base]
        start = next(place for place, layer in enumerate(layers) if isinstance(layer, Dense))
        self._before = layers[:start]
        self._after = _without_last_softmax(layers[start + 1 :])
        self._scales = all(_is_homogeneous(layer) for layer in self._after)
        dense = [layer for layer in layers if isinstance(layer, Dense)]
        self._first = _stack(dense[0], _weighed(dense[0], models, job))
        self._later = [_stack(layer, models) for layer in dense[1:]]
        self._width = self._first.kernels.shape[1]
        widest = max(stack.kernels.shape[1] for stack in (self._first, *self._later))
        fitting = TILE_BYTES // (4 * widest * BLOCK_EXAMPLES)
        self._rows = max(1, min(fitting, TILE_ROWS))
        self._blocks = list(_blocks(x.reshape(len(x), -1), y, shard))
        self._keep_parts()

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        counts = np.zeros(len(coalitions), np.int64)
        nobody = ~coalitions.any(axis=1)
        skip = nobody & (self._job.empty == task_pb2.EMPTY_COALITION_ZERO)
        places = np.flatnonzero(~skip)
        later_bytes = sum(stack.kernels[0].nbytes for stack in self._later)
        most = max(self._rows, WEIGHTS_BYTES // max(1, later_bytes))
        for begin in range(0, len(places), most):
            part = places[begin : begin + most]
            with np.errstate(all="ignore"):  # what overflows is merely wrong
                counts[part] = self._evaluate_part(coalitions[part])
        return counts

    def _evaluate_part(self, coalitions: Coalitions) -> Counts:
        plan = mixing.plan(self._members(coalitions), self._rows)
        members, clients = plan.members, len(self._job.updates)
        coefficients = coalition_coefficients(
            members[:, :clients], self._job.num_samples, self._job.averaging
        )
        scales = self._scales_of(members)
        later = [_average(stack, coefficients.astype(np.float32)) for stack in self._later]
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
                outputs = self._forward(values, later, rows)
                counts[rows] += _right_answers(outputs, block)
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

    def _forward(self, values: Floats, later: Sequence[_Stack], part: slice) -> Floats:
        """The outputs (coalitions, classes, examples) for the first layer's outputs."""
        stacks = iter(later)
        for layer in self._after:
            if isinstance(layer, Dense):
                stack = next(stacks)
                values = np.matmul(stack.kernels[part], values)
                if stack.biases is not None:
                    values += stack.biases[part, :, None]
            else:
                _apply(layer, values)
        return values

    def _keep_parts(self) -> None:
        """Compute the first layer for each client, once; forget the inputs of what is kept."""
        kept = 0
        for block in self._blocks:
            kept += 4 * len(self._first.kernels) * self._width * len(block.labels)
            if kept > CACHE_BYTES:
                return
            block.parts, block.x = self._parts(block), None
        self._first = _Stack(self._first.kernels[:0], None)

    def _parts(self, block: _Block) -> Floats:
        """The first layer's outputs (n + 1, width * examples) of each part."""
        if block.parts is not None:
            return block.parts
        assert block.x is not None, "neither parts nor inputs"
        x = block.x.copy() if self._before else block.x
        for layer in self._before:
            _apply(layer, x[None])
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


def _stack(layer: Dense, models: Sequence[Weights]) -> _Stack:
    kernels = np.stack([model[layer.kernel].T for model in models]).astype(np.float32)
    if not layer.bias:
        return _Stack(kernels, None)
    return _Stack(kernels, np.stack([model[layer.bias] for model in models]).astype(np.float32))


def _average(stack: _Stack, coefficients: Floats) -> _Stack:
    """Each coalition's weights of one layer."""
    models, width, features = stack.kernels.shape
    kernels = (coefficients @ stack.kernels.reshape(models, -1)).reshape(-1, width, features)
    return _Stack(kernels, None if stack.biases is None else coefficients @ stack.biases)


def _with_scaled_biases(stack: _Stack, scales: Floats) -> _Stack:
    """The layer for inputs still to be multiplied by ``scales``: its outputs are, too."""
    if stack.biases is None:
        return stack
    return _Stack(stack.kernels, stack.biases / scales[:, None])


def _blocks(
    x: npt.NDArray[np.generic], y: npt.NDArray[np.generic], shard: Shard
) -> Iterator[_Block]:
    """The shard's blocks; where the cuts are does not depend on how many shards there are."""
    order = np.argsort(y, kind="stable")
    for start in range(shard.index * BLOCK_EXAMPLES, len(y), shard.count * BLOCK_EXAMPLES):
        chosen = order[start : start + BLOCK_EXAMPLES]
        labels = y[chosen].astype(np.int64)
        ends = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
        segments = [(int(labels[begin]), slice(begin, end)) for begin, end in pairwise(ends)]
        yield _Block(labels, segments, np.ascontiguousarray(x[chosen].T, np.float32))


def _without_last_softmax(layers: Sequence[PlainLayer]) -> Sequence[PlainLayer]:
    """The same order of outputs without the last softmax: it rises with each of them."""
    return layers[:-1] if layers and layers[-1] == Activation("softmax") else layers


def _is_homogeneous(layer: PlainLayer) -> bool:
    """Whether positive multiples of its inputs (and of its bias) give multiples of outputs."""
    if isinstance(layer, Scale):
        return layer.offset == 0
    return isinstance(layer, Dense) or layer == Activation("relu")


def _apply(layer: PlainLayer, values: Floats) -> None:
    """Apply a layer without weights in place; values are (coalitions, features, examples)."""
    if isinstance(layer, Scale):
        values *= np.float32(layer.factor)
        values += np.float32(layer.offset)
        return
    assert isinstance(layer, Activation)
    if layer.name == "relu":
        # Several times as fast as with the number 0.
        np.maximum(values, np.zeros_like(values[:1]), out=values)
    elif layer.name == "tanh":
        np.tanh(values, out=values)
    elif layer.name == "sigmoid":
        # 1 / (1 + exp(-v)) by way of tanh, which cannot overflow.
        values *= np.float32(0.5)
        np.tanh(values, out=values)
        values += 1
        values *= np.float32(0.5)
    else:
        values -= values.max(axis=1, keepdims=True)
        np.exp(values, out=values)
        values /= values.sum(axis=1, keepdims=True)


def _right_answers(outputs: Floats, block: _Block) -> Counts:
    """How many of a block's examples have their highest output, the first of equals, at label."""
    if len(block.segments) > MOST_SEGMENTS:
        own = outputs[:, block.labels, np.arange(len(block.labels))]
        right = (outputs.argmax(axis=1) == block.labels) & ~np.isnan(own)
        found: Counts = right.sum(axis=1, dtype=np.int64)
        return found
    right = np.empty((len(outputs), len(block.labels)), np.bool_)
    for label, where in block.segments:
        values = outputs[:, :, where]
        own = values[:, label]
        if label == 0:
            right[:, where] = ~np.isnan(own)
        else:
            np.less(np.maximum.reduce(values[:, :label], axis=1), own, out=right[:, where])
        if label + 1 < outputs.shape[1]:
            right[:, where] &= np.maximum.reduce(values[:, label + 1 :], axis=1) <= own
    counts: Counts = right.sum(axis=1, dtype=np.int64)
    return counts
