"""Right answers of averaged models of plain dense layers, in NumPy.

What makes it fast, and stays exact but for the order of float32 sums:

* The first layer is linear in its weights, so the pre-activations of an averaged model are the
  average of the clients' pre-activations. Those are computed once for each client; a coalition
  costs a weighted sum.
* Examples go in blocks, and a tile of (some coalitions) x (one block) is small enough to stay in
  a core's cache through all layers.
* All coalitions of a tile share each matrix product.
* Examples are sorted by label, and a block holds one label: an answer is right if its output is
  above those of the lower classes and not below those of the higher ones, which needs no arg-max
  (and makes NaN wrong).

Within a block arrays lie as (features, examples), so that every product and every comparison
runs along the examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fedcoin.learning.aggregation import Weights, coalition_coefficients
from fedcoin.learning.architecture import Activation, Dense, PlainLayer, Scale
from fedcoin.learning.utility import Coalitions, Counts, UtilityJob
from fedcoin.v1 import task_pb2

Floats = npt.NDArray[np.float32]

BLOCK_EXAMPLES = 256
TILE_BYTES = 2 << 20
"""A tile of the widest layer's outputs: what fits a core's second-level cache, about."""

WEIGHTS_BYTES = 32 << 20
"""The averaged weights of the later layers that are kept at a time."""

CACHE_BYTES = 512 << 20
"""The clients' first-layer outputs that are kept; beyond it they are computed again."""


@dataclass(slots=True)
class _Block:
    """Examples of one label: inputs (features, examples), first-layer outputs when kept."""

    label: int
    x: Floats
    first: Floats | None = None


@dataclass(frozen=True, slots=True)
class _Stack:
    """One Dense layer of all clients and, last, the base: kernels (n + 1, out, in)."""

    kernels: Floats
    biases: Floats | None


class DenseEvaluator:
    """``utility.Evaluator`` for the models that ``architecture.plain_layers`` reads.

    ``base`` and ``updates`` are float32 weights by name, ``x`` (m, ...) is flattened, ``y`` (m,)
    holds labels below the number of classes; all were checked before.
    """

    def __init__(
        self,
        layers: Sequence[PlainLayer],
        base: Weights,
        updates: Sequence[Weights],
        x: npt.NDArray[np.generic],
        y: npt.NDArray[np.generic],
        job: UtilityJob,
    ) -> None:
        self._job = job
        models = [*updates, base]
        start = next(place for place, layer in enumerate(layers) if isinstance(layer, Dense))
        self._before = layers[:start]
        self._after = _without_last_softmax(layers[start + 1 :])
        self._stacks = [_stack(layer, models) for layer in layers if isinstance(layer, Dense)]
        self._blocks = list(_blocks(x.reshape(len(x), -1), y))
        self._kept_bytes = 0

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        counts = np.zeros(len(coalitions), np.int64)
        nobody = ~coalitions.any(axis=1)
        skip = nobody & (self._job.empty == task_pb2.EMPTY_COALITION_ZERO)
        places = np.flatnonzero(~skip)
        coefficients = coalition_coefficients(
            coalitions[places], self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        rows = max(1, WEIGHTS_BYTES // max(1, 4 * self._later_size()))
        for begin in range(0, len(places), rows):
            part = slice(begin, begin + rows)
            with np.errstate(all="ignore"):  # what overflows is merely wrong
                counts[places[part]] = self._evaluate_part(coefficients[part])
        return counts

    def _evaluate_part(self, coefficients: Floats) -> Counts:
        later = [_average(stack, coefficients) for stack in self._stacks[1:]]
        counts = np.zeros(len(coefficients), np.int64)
        widest = max(stack.kernels.shape[1] for stack in self._stacks)
        for block in self._blocks:
            first = self._first_outputs(block)
            size = block.x.shape[1]
            rows = max(1, TILE_BYTES // (4 * widest * size))
            tile = np.empty((min(rows, len(coefficients)), first[0].size), np.float32)
            for begin in range(0, len(coefficients), rows):
                part = slice(begin, min(begin + rows, len(coefficients)))
                mixed = coefficients[part]
                values = np.matmul(mixed, first.reshape(len(first), -1), out=tile[: len(mixed)])
                outputs = self._forward(values.reshape(len(mixed), -1, size), later, part)
                counts[part] += _right_answers(outputs, block.label)
        return counts

    def _forward(self, values: Floats, later: Sequence[_Stack], part: slice) -> Floats:
        """The outputs (coalitions, classes, examples) for the first layer's pre-activations."""
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

    def _first_outputs(self, block: _Block) -> Floats:
        """The first layer's pre-activations (n + 1, width, examples) for each client and base."""
        if block.first is not None:
            return block.first
        x = block.x.copy() if self._before else block.x
        for layer in self._before:
            _apply(layer, x[None])
        stack = self._stacks[0]
        models, width, features = stack.kernels.shape
        flat = stack.kernels.reshape(models * width, features) @ x
        first = flat.reshape(models, width, -1)
        if stack.biases is not None:
            first += stack.biases[:, :, None]
        if self._kept_bytes + first.nbytes <= CACHE_BYTES:
            self._kept_bytes += first.nbytes
            block.first = first
        return first

    def _later_size(self) -> int:
        return sum(stack.kernels[0].size for stack in self._stacks[1:])


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


def _blocks(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> Iterator[_Block]:
    order = np.argsort(y, kind="stable")
    labels = y[order]
    starts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    for begin, end in pairwise(starts):
        for start in range(begin, end, BLOCK_EXAMPLES):
            chosen = order[start : min(start + BLOCK_EXAMPLES, end)]
            columns = np.ascontiguousarray(x[chosen].T, np.float32)
            yield _Block(int(labels[begin]), columns)


def _without_last_softmax(layers: Sequence[PlainLayer]) -> Sequence[PlainLayer]:
    """The same order of outputs without the last softmax: it rises with each of them."""
    return layers[:-1] if layers and layers[-1] == Activation("softmax") else layers


def _apply(layer: PlainLayer, values: Floats) -> None:
    """Apply a layer without weights in place; values are (coalitions, features, examples)."""
    if isinstance(layer, Scale):
        values *= np.float32(layer.factor)
        values += np.float32(layer.offset)
        return
    assert isinstance(layer, Activation)
    if layer.name == "relu":
        np.maximum(values, 0, out=values)
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


def _right_answers(outputs: Floats, label: int) -> Counts:
    """How many of a block's examples have their highest output, the first of equals, at label."""
    own = outputs[:, label]
    right = ~np.isnan(own)
    if label > 0:
        right &= outputs[:, :label].max(axis=1) < own
    if label + 1 < outputs.shape[1]:
        right &= outputs[:, label + 1 :].max(axis=1) <= own
    counts: Counts = right.sum(axis=1, dtype=np.int64)
    return counts
