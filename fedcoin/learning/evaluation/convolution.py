"""A convolution of one coalition on a block of examples, and what follows it.

Maps lie as (row, column, channel, example), a block of examples innermost, so that every inner loop
runs along the examples. The rows that a kernel covers are copied together, to (row, column, kernel
row, channel, example); what lies under a kernel is then a plain matrix, kernel column after kernel
column, without another copy, and the convolution a batch of matrix products of the size that caches
like. Max-pooling is the maximum over the convolutions at each place in its fields, taken one after
the other, so that there is never more of them than one. Bias and activation come after it, on a
quarter of the numbers; as activations never fall, the result is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fedcoin.learning.evaluation.example_batches import Floats
from fedcoin.learning.evaluation.stacked_weights import StackedLayer, apply_in_place
from fedcoin.learning.model.layers import Activation, Conv


@dataclass(frozen=True, slots=True)
class ConvolutionStage:
    """A convolution, max-pooling (of 1 x 1 for none), and activations that never fall."""

    conv: Conv
    pool: tuple[int, int] = (1, 1)
    activations: tuple[Activation, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the maps that it makes."""
        height, width, filters = self.conv.maps
        return height // self.pool[0], width // self.pool[1], filters


@dataclass(frozen=True, slots=True)
class ConvolutionBuffers:
    """Where a stage works on a block; used again for each coalition."""

    columns: Floats
    """(rows, columns, kernel rows, channels, examples), zero where the maps are padded."""
    other: Floats
    """The maps at another place in the fields of pooling; empty without it."""
    maps: Floats
    """(rows, columns, filters, examples)."""


def allocate_buffers(stage: ConvolutionStage, examples: int) -> ConvolutionBuffers:
    """Room for blocks of so many examples."""
    shape = (*stage.shape, examples)
    return ConvolutionBuffers(
        _empty_columns(stage.conv, examples),
        np.empty(shape if stage.pool != (1, 1) else 0, np.float32),
        np.empty(shape, np.float32),
    )


def copy_kernel_rows(conv: Conv, maps: Floats) -> Floats:
    """The columns of maps (..., examples), which may be the same for many coalitions."""
    columns = _empty_columns(conv, maps.shape[-1])
    _fill(conv, maps, columns)
    return columns


def run_stage(
    stage: ConvolutionStage, maps: Floats, room: ConvolutionBuffers, stack: StackedLayer, place: int
) -> Floats:
    """A stage's maps (rows, columns, filters, examples), which lie in ``room``.

    ``maps`` are the maps that it takes (..., examples), or their ``columns_of``. The weights are
    those of coalition ``place`` in ``stack``.
    """
    columns, kernel, made = maps, stack.kernels[place], room.maps
    if maps.ndim != len(room.columns.shape):
        columns = room.columns
        _fill(stage.conv, maps, columns)
    first, *others = _under(stage, columns)
    np.matmul(kernel, first, out=made)
    for under in others:
        np.matmul(kernel, under, out=room.other)
        np.maximum(made, room.other, out=made)
    if stack.biases is not None:
        # Spelled out, it is added along rows of all filters rather than of one.
        made += np.repeat(stack.biases[place][:, None], made.shape[-1], axis=1)
    for activation in stage.activations:
        apply_in_place(activation, made.reshape(len(made), -1, made.shape[-1]))
    return made


def _empty_columns(conv: Conv, examples: int) -> Floats:
    padded = conv.shape[1] + conv.padding[1]
    return np.zeros((conv.maps[0], padded, conv.size[0], conv.shape[2], examples), np.float32)


def _fill(conv: Conv, maps: Floats, columns: Floats) -> None:
    """Copy together what a kernel's height covers; the padding is left as it is."""
    height, width, channels = conv.shape
    above, left = (padding // 2 for padding in conv.padding)
    rows, step = len(columns), conv.steps[0]
    source = maps.reshape(height, width, channels, maps.shape[-1])
    for down in range(conv.size[0]):
        # Row r of the columns covers row r * step + shift of the maps.
        shift = down - above
        first, last = max(0, -(shift // step)), min(rows - 1, (height - 1 - shift) // step)
        if first <= last:
            covered = source[first * step + shift : last * step + shift + 1 : step]
            columns[first : last + 1, left : left + width, down] = covered


def _under(stage: ConvolutionStage, columns: Floats) -> list[Floats]:
    """What lies under the kernel, as matrices: for each place in the fields of pooling.

    (rows of fields, columns of fields, inputs of the kernel, examples).
    """
    (tall, wide), (height, width, _) = stage.pool, stage.shape
    across = stage.conv.steps[1]
    down, right, _, channel, each = columns.strides
    _, _, covered, channels, examples = columns.shape
    inputs = stage.conv.size[1] * covered * channels
    at_once = as_strided(
        columns,
        (tall, wide, height, width, inputs, examples),
        # Under a kernel, one column follows another as in memory.
        (down, across * right, tall * down, wide * across * right, channel, each),
        writeable=False,
    )
    return [at_once[row, column] for row in range(tall) for column in range(wide)]
