"""A job whose model only Keras can evaluate."""

from __future__ import annotations

from pathlib import Path

from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.spec import parse_spec
from fedcoin.v1 import task_pb2
from tests.support.small_models import evaluation, write_job


def write_keras_job(folder: Path) -> None:
    """Write a model with a layer that only Keras evaluates, and three clients; needs TensorFlow."""
    keras = keras_runtime.load_keras()
    inputs = keras.Input((8, 8))
    hidden = keras.layers.LayerNormalization()(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10)(hidden))
    spec = parse_spec(keras_models.spec_from_model(model))
    weights = keras_models.named_weights(model, spec)
    updates = [{name: array * (1 + k) for name, array in weights.items()} for k in range(3)]
    x, y = evaluation(spec, 200)
    write_job(folder, spec, weights, updates, x, y, job_id=b"keras")


def read_keras_job(folder: Path) -> UtilityJob:
    """Name the files that `write_keras_job` wrote."""
    return UtilityJob(
        job_id=b"keras",
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / f"update{number}" for number in range(3)),
        num_samples=(10, 11, 12),
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_ZERO,
    )
