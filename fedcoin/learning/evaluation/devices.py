"""The devices that TensorFlow evaluates models on: the processor, or a GPU where a node wants one.

Counts of right answers must not depend on the device. On a GPU, TensorFlow rounds the factors of
float32 products to 10 bits (TensorFloat-32) unless it is told not to, which changes one answer in
some thousands; `find_gpu` tells it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from fedcoin.learning.model import keras_runtime

GPU_VARIABLE = "FEDCOIN_GPU"
"""The environment variable by which workers are told to evaluate models on a GPU."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device, and how many examples it should evaluate at a time."""

    name: str
    """TensorFlow's name for it."""
    max_value_bytes: int
    """About how many bytes the widest layer's outputs for one batch may take."""
    max_batch_size: int
    """The most examples in a batch."""

    def choose_batch_size(self, width: int) -> int:
        """Choose how many examples to evaluate at a time.

        Args:
            width: How many numbers the widest layer outputs for one example.

        Returns:
            At least `MIN_BATCH_SIZE`.
        """
        fitting = self.max_value_bytes // (4 * width)
        return max(MIN_BATCH_SIZE, min(self.max_batch_size, fitting))


MIN_BATCH_SIZE = 16
"""The fewest examples in a batch, but for the last."""

PROCESSOR = Device("/CPU:0", 4 << 20, 512)
"""The processor. Its limits were chosen by hand; `scripts/benchmarks/bench_shapley.py --case
general` and `--case embedding` show the effect of a change."""

GPU = Device("/GPU:0", 256 << 20, 16_384)
"""The first GPU. Its batches are large, because each call of TensorFlow takes about as long as some
thousands of examples."""


def wants_gpu() -> bool:
    """Tell whether the environment asks for a GPU (`GPU_VARIABLE`)."""
    return bool(os.environ.get(GPU_VARIABLE))


def find_gpu() -> Device | None:
    """Set up TensorFlow for exact float32 products on the first GPU, if there is one.

    Returns:
        `GPU`; None where TensorFlow finds no GPU, for want of one, of its driver or of a TensorFlow
        that was built for it.
    """
    tf = keras_runtime.load_tensorflow()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            # Several workers share a GPU, so that none may take all of its memory.
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # TensorFlow has started, as an earlier call set it up
    return GPU if gpus else None


def compute_product() -> str:
    """Import TensorFlow and multiply two matrices with it, to see whether it works here.

    Returns:
        TensorFlow's version.
    """
    tf = keras_runtime.load_tensorflow()
    ones = tf.ones((8, 8))
    tf.linalg.matmul(ones, ones).numpy()
    return str(tf.__version__)
