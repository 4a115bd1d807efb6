"""Keras, imported when it is needed: TensorFlow takes seconds and hundreds of megabytes."""

from __future__ import annotations

import os
from typing import Any


def load_keras() -> Any:
    """The keras module on TensorFlow, quiet, with as many threads as OMP_NUM_THREADS says."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit():
        try:
            tf.config.threading.set_intra_op_parallelism_threads(int(threads))
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # set before, by the first call
    return keras


def load_tensorflow() -> Any:
    """The tensorflow module, set up as for ``load``."""
    load_keras()
    import tensorflow as tf

    return tf
