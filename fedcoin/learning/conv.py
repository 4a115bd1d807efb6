"""Right answers of averaged models that begin with convolutions, in NumPy.

Maps lie as (row, column, channel, example), a block of examples innermost, so that every inner loop
runs along the examples. For a convolution the rows that a kernel covers are copied together, to
(row, column, kernel row, channel, example); what lies under a kernel is then a plain matrix, kernel
column after kernel column, without another copy, and the convolution a batch of matrix products of
the size that caches like. Those come out in the order of the fields of the max-pooling that
follows, which is then a maximum of whole arrays. Bias and activation come after it, on a quarter of
the numbers; as activations never fall, the result is the same.

The first convolution's copies are made once. Its outputs for each client are not kept, as those of
``dense`` are: they are many times as large as the images, and adding them up takes as long as
computing them again from one or three channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fedcoin.learning.aggregation import Weights, coalition_coefficients
from fedcoin.learning.architecture import Activation, Conv, Dense, PlainLayer, Pool
from fedcoin.learning.blocks import Block, Floats, blocks_of
from fedcoin.learning.stacks import Stack, apply, average, forward, stack_of, without_last_softmax
from fedcoin.learning.utility import WHOLE, Coalitions, Counts, Shard, UtilityJob
from fedcoin.v1 import task_pb2

BLOCK_BYTES = 2 << 20
"""About the largest layer's outputs for one block."""

FEWEST_EXAMPLES, MOST_EXAMPLES = 16, 256
"""In a block; multiples of 16 suit vector registers."""

WEIGHTS_BYTES = 32 << 20
"""The averaged weights that are kept at a time."""

CACHE_BYTES = 512 << 20
"""The copies for the first convolution that are kept; beyond it they are made again."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """A convolution and what follows it."""

    conv: Conv
    pool: tuple[int, int]
    activations: tuple[Activation, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the maps before pooling."""
        (height, width, _), (tall, wide) = self.conv.shape, self.conv.size
        return (height, width) if self.conv.same else (height - tall + 1, width - wide + 1)


class ConvEvaluator:
    """``utility.Evaluator`` for the models of ``architecture.plain_layers`` with convolutions.

    ``base`` and ``updates`` are float32 weights by name, ``x`` (m, *input_shape) and ``y`` (m,)
    the evaluation set; all were checked before. Counts on the blocks of its ``shard`` alone.
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
        first = next(place for place, layer in enumerate(layers) if isinstance(layer, Conv))
        self._before = layers[:first]
        self._stages, rest = _stages(layers[first:])
        self._after = without_last_softmax(rest)
        self._convs = [_conv_stack(stage.conv, models) for stage in self._stages]
        self._dense = [stack_of(layer, models) for layer in rest if isinstance(layer, Dense)]
        self._blocks = list(blocks_of(x.reshape(len(x), -1), y, self._examples(), shard))
        kept = 0
        for block in self._blocks:
            block.parts, x_of = self._first_columns(block), block.x
            kept += block.parts.nbytes
            if kept > CACHE_BYTES:
                block.parts, block.x = None, x_of
                break
            block.x = None

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        counts = np.zeros(len(coalitions), np.int64)
        nobody = ~coalitions.any(axis=1)
        skip = nobody & (self._job.empty == task_pb2.EMPTY_COALITION_ZERO)
        places = np.flatnonzero(~skip)
        each = sum(stack.kernels[0].nbytes for stack in (*self._convs, *self._dense))
        most = max(1, WEIGHTS_BYTES // max(1, each))
        for begin in range(0, len(places), most):
            part = places[begin : begin + most]
            with np.errstate(all="ignore"):  # what overflows is merely wrong
                counts[part] = self._evaluate_part(coalitions[part])
        return counts

    def _evaluate_part(self, coalitions: Coalitions) -> Counts:
        coefficients = coalition_coefficients(
            coalitions, self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        convs = [average(stack, coefficients) for stack in self._convs]
        dense = [average(stack, coefficients) for stack in self._dense]
        counts = np.zeros(len(coalitions), np.int64)
        rooms: list[_Room] = []
        for block in self._blocks:
            columns = self._first_columns(block) if block.parts is None else block.parts
            if not rooms or rooms[0].fields.shape[-1] != len(block.labels):
                rooms = [_room(stage, len(block.labels)) for stage in self._stages]
            outputs = [
                self._outputs(columns, rooms, convs, dense, place)
                for place in range(len(coalitions))
            ]
            counts += block.right_answers(np.concatenate(outputs))
        return counts

    def _outputs(
        self,
        columns: Floats,
        rooms: Sequence[_Room],
        convs: Sequence[Stack],
        dense: Sequence[Stack],
        place: int,
    ) -> Floats:
        """One coalition's outputs (1, classes, examples) for a block."""
        maps = columns
        for stage, room, stack in zip(self._stages, rooms, convs, strict=True):
            if stage is not self._stages[0]:
                _fill_columns(stage.conv, maps, room.columns)
                columns = room.columns
            maps = _convolve(stage, columns, room.fields, stack, place)
        values = maps.reshape(1, -1, maps.shape[-1])
        return forward(self._after, values, dense, slice(place, place + 1))

    def _first_columns(self, block: Block) -> Floats:
        assert block.x is not None, "neither columns nor inputs"
        x = block.x.copy() if self._before else block.x
        for layer in self._before:
            apply(layer, x[None])
        conv = self._stages[0].conv
        columns = _empty_columns(conv, x.shape[-1])
        _fill_columns(conv, x.reshape(*conv.shape, -1), columns)
        return columns

    def _examples(self) -> int:
        widest = max(stage.shape[0] * stage.shape[1] * stage.conv.filters for stage in self._stages)
        fitting = BLOCK_BYTES // (4 * widest) // 16 * 16
        return max(FEWEST_EXAMPLES, min(fitting, MOST_EXAMPLES))


def _stages(layers: Sequence[PlainLayer]) -> tuple[list[_Stage], Sequence[PlainLayer]]:
    """The convolutions, and what comes from the first Dense on."""
    stages: list[_Stage] = []
    for place, layer in enumerate(layers):
        if isinstance(layer, Conv):
            stages.append(_Stage(layer, (1, 1), ()))
        elif isinstance(layer, Pool):
            stages[-1] = replace(stages[-1], pool=layer.size)
        elif isinstance(layer, Activation) and layer.name != "softmax":
            stages[-1] = replace(stages[-1], activations=(*stages[-1].activations, layer))
        else:
            return stages, layers[place:]
    raise AssertionError("plain layers end with a Dense")


def _conv_stack(conv: Conv, models: Sequence[Weights]) -> Stack:
    """Kernels (models, filters, kernel columns * kernel rows * channels)."""
    kernels = [model[conv.kernel].transpose(3, 1, 0, 2) for model in models]
    flat = np.stack([kernel.reshape(len(kernel), -1) for kernel in kernels]).astype(np.float32)
    if not conv.bias:
        return Stack(flat, None)
    return Stack(flat, np.stack([model[conv.bias] for model in models]).astype(np.float32))


def _empty_columns(conv: Conv, examples: int) -> Floats:
    """(rows, columns, kernel rows, channels, examples), zero where the maps are padded."""
    height, width, channels = conv.shape
    tall, wide = conv.size
    rows, padded = (height, width + wide - 1) if conv.same else (height - tall + 1, width)
    return np.zeros((rows, padded, tall, channels, examples), np.float32)


def _fill_columns(conv: Conv, maps: Floats, columns: Floats) -> None:
    """Copy together what a kernel's height covers; the padding is left as it is."""
    height, width, channels = conv.shape
    tall, wide = conv.size
    above, left = ((tall - 1) // 2, (wide - 1) // 2) if conv.same else (0, 0)
    rows, examples = len(columns), maps.shape[-1]
    source = maps.reshape(height, width, channels, examples)
    for down in range(tall):
        # Row r of the columns covers row r + down - above of the maps.
        first, last = max(0, above - down), min(rows, height + above - down)
        covered = source[first + down - above : last + down - above]
        columns[first:last, left : left + width, down] = covered


@dataclass(frozen=True, slots=True)
class _Room:
    """Where a stage works on a block; used again for each coalition."""

    columns: Floats
    fields: Floats
    """(field rows, field columns, rows, columns, filters, examples)."""


def _room(stage: _Stage, examples: int) -> _Room:
    (height, width), (tall, wide) = stage.shape, stage.pool
    shape = (tall, wide, height // tall, width // wide, stage.conv.filters, examples)
    return _Room(_empty_columns(stage.conv, examples), np.empty(shape, np.float32))


def _convolve(stage: _Stage, columns: Floats, fields: Floats, stack: Stack, place: int) -> Floats:
    """A stage's maps (rows, columns, filters, examples), which lie in ``fields``."""
    height, width = stage.shape
    tall, wide = stage.pool
    down, right, _, channel, each = columns.strides
    _, _, covered, channels, examples = columns.shape
    under = as_strided(
        columns,
        (
            tall,
            wide,
            height // tall,
            width // wide,
            stage.conv.size[1] * covered * channels,
            examples,
        ),
        # Under a kernel, one column follows another as in memory.
        (down, right, tall * down, wide * right, channel, each),
        writeable=False,
    )
    np.matmul(stack.kernels[place], under, out=fields)
    flat = fields.reshape(tall * wide, -1)
    highest = flat[0]
    for other in flat[1:]:
        np.maximum(highest, other, out=highest)
    maps: Floats = highest.reshape(height // tall, width // wide, -1, examples)
    if stack.biases is not None:
        maps += stack.biases[place][:, None]
    for activation in stage.activations:
        apply(activation, maps.reshape(height // tall, -1, examples))
    return maps
