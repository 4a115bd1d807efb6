"""A 2-D convolution of one coalition's weights on a batch of examples, with pooling behind it.

Notation: feature maps of a batch have the shape (rows, columns, channels, examples), so that every
inner loop runs along the examples. A kernel covers `kh` rows and `kw` columns of the maps.

The convolution is computed as matrix products (im2col; Chellapilla, Puri, Simard, "High performance
convolutional neural networks for document processing", 2006), but with each input copied at most kh
times rather than kh * kw times:

* `copy_kernel_rows` copies the rows that a kernel covers next to each other: the array
  (out rows, padded columns, kh, channels, examples).
* In that array, what a kernel covers at one position is one contiguous range of kw * kh * channels
  numbers for each example, so a strided view gives the matrices (kw * kh * channels, examples) of
  all positions without another copy.
* The maps are the kernel matrix (filters, kw * kh * channels) times those matrices: one product
  for each position, small enough for the cache.

Max-pooling with fields of `ph` x `pw` is the maximum over ph * pw convolutions, one for each offset
within the fields. They are computed one after the other, so that only two of them exist at a time.
Bias and activations follow the pooling, on a fraction 1 / (ph * pw) of the numbers. Because the
bias is constant within a field and the activations never decrease, the result is the same.
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
    """A convolution, the max-pooling of its maps, and activations: what is computed in one go."""

    conv: Conv
    """The convolution, which comes first."""
    pool_size: tuple[int, int] = (1, 1)
    """Rows and columns of a pooling field; (1, 1) for no pooling."""
    activations: tuple[Activation, ...] = ()
    """Applied in order after the pooling; each must never decrease, so no softmax."""

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """The maps that the stage computes: (rows, columns, filters)."""
        height, width, filters = self.conv.output_shape
        return height // self.pool_size[0], width // self.pool_size[1], filters


@dataclass(frozen=True, slots=True)
class ConvolutionBuffers:
    """The work space of a stage for batches of one size, used again for each coalition."""

    kernel_rows: Floats
    """float32 (out rows, padded columns, kh, channels, examples); the padding is zero."""
    candidate: Floats
    """Like `maps`: the convolution at another offset within the pooling fields. Empty without."""
    maps: Floats
    """float32 (rows, columns, filters, examples): the stage's output."""


def allocate_buffers(stage: ConvolutionStage, batch_size: int) -> ConvolutionBuffers:
    """Allocate the work space of a stage.

    Args:
        stage: The convolution with its pooling and activations.
        batch_size: The number of examples in a batch.

    Returns:
        The buffers; their padding is zero.
    """
    shape = (*stage.output_shape, batch_size)
    return ConvolutionBuffers(
        _allocate_kernel_rows(stage.conv, batch_size),
        np.empty(shape if stage.pool_size != (1, 1) else 0, np.float32),
        np.empty(shape, np.float32),
    )


def copy_kernel_rows(conv: Conv, maps: Floats) -> Floats:
    """Copy next to each other the rows of the maps that the kernel covers at each output row.

    Args:
        conv: The sizes of the maps and of the kernel.
        maps: float32 (..., examples), the maps that it takes.

    Returns:
        float32 (out rows, padded columns, kh, channels, examples): input of `run_stage`, and the
        same for all coalitions when the maps are.
    """
    kernel_rows = _allocate_kernel_rows(conv, maps.shape[-1])
    _fill_kernel_rows(conv, maps, kernel_rows)
    return kernel_rows


def run_stage(
    stage: ConvolutionStage,
    maps: Floats,
    buffers: ConvolutionBuffers,
    weights: StackedLayer,
    coalition: int,
) -> Floats:
    """Compute a stage for one coalition and one batch.

    Args:
        stage: The convolution with its pooling and activations.
        maps: float32 (..., examples), the maps that it takes, or what `copy_kernel_rows` made of
            them.
        buffers: Work space for this batch size.
        weights: The convolution's weights in the averaged models of several coalitions.
        coalition: The index, within `weights`, of the coalition's averaged model.

    Returns:
        `buffers.maps`, float32 (rows, columns, filters, examples).
    """
    kernel_rows, kernel, output = maps, weights.kernels[coalition], buffers.maps
    if maps.ndim != buffers.kernel_rows.ndim:
        kernel_rows = buffers.kernel_rows
        _fill_kernel_rows(stage.conv, maps, kernel_rows)
    first, *others = _covered_inputs(stage, kernel_rows)
    np.matmul(kernel, first, out=output)
    for covered in others:
        np.matmul(kernel, covered, out=buffers.candidate)
        np.maximum(output, buffers.candidate, out=output)
    if weights.biases is not None:
        # Repeated to (filters, examples), so that NumPy's inner loop runs over all filters.
        output += np.repeat(weights.biases[coalition][:, None], output.shape[-1], axis=1)
    for activation in stage.activations:
        apply_in_place(activation, output.reshape(len(output), -1, output.shape[-1]))
    return output


def _allocate_kernel_rows(conv: Conv, batch_size: int) -> Floats:
    padded_columns = conv.input_shape[1] + conv.padding[1]
    shape = (conv.output_shape[0], padded_columns, conv.kernel_size[0], conv.input_shape[2])
    return np.zeros((*shape, batch_size), np.float32)


def _fill_kernel_rows(conv: Conv, maps: Floats, kernel_rows: Floats) -> None:
    """Copy the maps into `kernel_rows`, whose padding stays zero."""
    height, width, channels = conv.input_shape
    above, left = conv.leading_padding
    num_rows, stride = len(kernel_rows), conv.strides[0]
    source = maps.reshape(height, width, channels, maps.shape[-1])
    for kernel_row in range(conv.kernel_size[0]):
        # At output row r this row of the kernel covers row r * stride + shift of the maps.
        shift = kernel_row - above
        first = max(0, -(shift // stride))
        last = min(num_rows - 1, (height - 1 - shift) // stride)
        if first <= last:
            covered = source[first * stride + shift : last * stride + shift + 1 : stride]
            kernel_rows[first : last + 1, left : left + width, kernel_row] = covered


def _covered_inputs(stage: ConvolutionStage, kernel_rows: Floats) -> list[Floats]:
    """View the inputs that the kernel covers, once for each offset within the pooling fields.

    Each view has the shape (rows of fields, columns of fields, kw * kh * channels, examples).
    """
    (pool_rows, pool_columns), (height, width, _) = stage.pool_size, stage.output_shape
    column_stride = stage.conv.strides[1]
    row_step, column_step, _, channel_step, example_step = kernel_rows.strides
    _, _, kernel_height, channels, batch_size = kernel_rows.shape
    num_inputs = stage.conv.kernel_size[1] * kernel_height * channels
    views = as_strided(
        kernel_rows,
        (pool_rows, pool_columns, height, width, num_inputs, batch_size),
        # The columns under a kernel follow each other in memory, so its inputs are one range.
        (
            row_step,
            column_stride * column_step,
            pool_rows * row_step,
            pool_columns * column_stride * column_step,
            channel_step,
            example_step,
        ),
        writeable=False,
    )
    return [views[row, column] for row in range(pool_rows) for column in range(pool_columns)]
