"""Clients train the weights that a model names, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.frozen_weights import freeze_weights
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.training.sgd import train
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.jobs import load_evaluator
from tests.support.frozen_jobs import freeze_job
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    write_job,
)

PLAN = TrainingPlan(epochs=2, batch_size=64, learning_rate=0.5)
SPEC = mlp_spec()
X, Y = evaluation(SPEC, 40)


def train_partly(patterns: list[str], *, allow_numpy: bool) -> dict[str, NDArray[Any]]:
    whole = random_weights(SPEC, 0)
    divided = freeze_weights(SPEC.SerializeToString(), encode_tensors(whole), patterns)
    base, frozen = decode_tensors(divided.trained), decode_tensors(divided.frozen)
    trained = train(divided.spec, base, X, Y, PLAN, 0, allow_numpy=allow_numpy, frozen=frozen)
    assert list(trained) == list(base)
    assert all(np.abs(trained[name] - base[name]).max() > 1e-3 for name in base)
    assert all(np.array_equal(frozen[name], whole[name]) for name in frozen)
    return trained


@pytest.mark.parametrize("patterns", [["w2", "w3"], ["w1"], ["w0", "w3"]])
def test_numpy_trains_the_named_weights(patterns: list[str]) -> None:
    trained = train_partly(patterns, allow_numpy=True)
    whole = train(SPEC.SerializeToString(), random_weights(SPEC, 0), X, Y, PLAN, 0)
    # The first step is the same, the later ones are not, since others changed meanwhile.
    assert any(np.abs(trained[name] - whole[name]).max() > 1e-4 for name in trained)


@pytest.mark.slow
@pytest.mark.parametrize("patterns", [["w2", "w3"], ["w1"], ["w0", "w3"]])
def test_keras_trains_as_numpy(patterns: list[str]) -> None:
    by_keras = train_partly(patterns, allow_numpy=False)
    for name, array in train_partly(patterns, allow_numpy=True).items():
        np.testing.assert_allclose(by_keras[name], array, rtol=1e-4, atol=1e-5)


def adapted(keras: Any) -> Any:
    """Return a model with a frozen trunk that has a batch normalisation, and LoRA behind it."""
    k = keras.layers
    layers = [k.Dense(6, activation="elu"), k.BatchNormalization(), k.Dense(5), k.Dense(3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    layers[2].enable_lora(2)
    return model


@pytest.mark.slow
def test_keras_trains_lora_and_leaves_the_trunk(tmp_path: Path) -> None:
    model = adapted(keras_runtime.load_keras())
    raw = keras_models.spec_from_model(model)
    spec = parse_spec(raw)
    names = [weight.name for weight in spec.weights]
    whole = keras_models.named_weights(model, spec)
    x, y = evaluation(spec, 80)
    base, *others = (
        {name: array + 0.1 * owner for name, array in whole.items()} for owner in range(4)
    )
    job = write_job(tmp_path, spec, base, others, x, y)
    frozen, full = freeze_job(job, ["*lora*", names[-1]])
    assert isinstance(load_evaluator(frozen), KerasEvaluator)
    rows = all_coalitions(3)
    assert np.array_equal(
        load_evaluator(frozen).evaluate(rows), load_evaluator(full).evaluate(rows)
    )
    assert frozen.frozen is not None
    start, rest = (
        decode_tensors(frozen.base.read_bytes()),
        decode_tensors(frozen.frozen.read_bytes()),
    )
    assert sum("lora" in name for name in start) == 2
    trained = train(frozen.model.read_bytes(), start, x, y, PLAN, 1, frozen=rest)
    assert list(trained) == list(start)
    assert any(np.abs(trained[name] - start[name]).max() > 1e-4 for name in start)
