"""Import Keras on TensorFlow when it is needed: it takes seconds and hundreds of megabytes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def load_keras() -> Any:
    """Import Keras with the TensorFlow backend and without its informational log lines.

    TensorFlow gets as many threads as the environment variable OMP_NUM_THREADS says, if the
    process has not used it yet.

    Returns:
        The module `keras`.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_garbage_collection():
        import keras
        import tensorflow as tf

    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit():
        try:
            tf.config.threading.set_intra_op_parallelism_threads(int(threads))
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # TensorFlow has started, with the threads of an earlier call
    return keras


def load_tensorflow() -> Any:
    """Import TensorFlow, set up as by `load_keras`.

    Returns:
        The module `tensorflow`.
    """
    load_keras()
    import tensorflow as tf

    return tf


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Let the collector not go through all the functions and classes that an import makes.

    It would do so several times, which takes a tenth of the import's time, and find no garbage.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
