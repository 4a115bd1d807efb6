from __future__ import annotations

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.training import datasets
from fedcoin.learning.training.dense_sgd import read_dense_layers
from fedcoin.learning.training.private_sgd import PrivacySettings
from fedcoin.learning.training.sgd import train
from fedcoin.learning.training.training_plan import TrainingPlan
from tests.learning.evaluation.test_dense_evaluator import plain_count
from tests.support.small_models import (
    dense,
    flatten,
    layer,
    mlp_spec,
    random_weights,
    sequential,
    spec_of,
)

ENDS = {
    "softmax": [dense(5, "relu"), dense(3, "softmax")],
    "logits": [dense(5, "tanh"), dense(3)],
    "softmax layer": [dense(5, "sigmoid"), dense(3), layer("Softmax", axis=-1)],
    "relu logits": [dense(5), dense(3, "relu")],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_step_is_that_of_keras(end: str) -> None:
    """With all examples in one batch, their order does not matter."""
    model = sequential((2, 2), layer("Rescaling", scale=0.5, offset=0.1), flatten(), *ENDS[end])
    spec = spec_of(model, (2, 2), 3, [(4, 5), (5,), (5, 3), (3,)])
    assert read_dense_layers(spec) is not None
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 2, 2)).astype(np.float32)
    y = rng.integers(0, 3, 40)
    raw, base = spec.SerializeToString(), random_weights(spec, 0)
    plan = TrainingPlan(epochs=3, batch_size=64, learning_rate=0.5)
    by_numpy = train(raw, base, x, y, plan, 0)
    by_keras = train(raw, base, x, y, plan, 0, allow_numpy=False)
    assert list(by_numpy) == list(by_keras)
    for name, array in by_keras.items():
        assert np.abs(array - base[name]).max() > 1e-3
        np.testing.assert_allclose(by_numpy[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_step_of_a_regression_is_that_of_keras(outputs: int) -> None:
    model = sequential(
        (4,), dense(5, "tanh"), dense(outputs, "sigmoid" if outputs > 1 else "linear")
    )
    spec = spec_of(model, (4,), outputs, [(4, 5), (5,), (5, outputs), (outputs,)])
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 4)).astype(np.float32)
    y = rng.standard_normal((40, outputs)).astype(np.float32)
    targets = y[:, 0] if outputs == 1 else y
    raw, base = spec.SerializeToString(), random_weights(spec, 0)
    plan = TrainingPlan(epochs=3, batch_size=64, learning_rate=0.1)
    numbers = TargetKind.NUMBERS
    assert read_dense_layers(spec, numbers) is not None
    by_numpy = train(raw, base, x, targets, plan, 0, kind=numbers)
    by_keras = train(raw, base, x, targets, plan, 0, kind=numbers, allow_numpy=False)
    for name, array in by_keras.items():
        assert np.abs(array - base[name]).max() > 1e-3
        np.testing.assert_allclose(by_numpy[name], array, rtol=1e-4, atol=1e-5)
    privacy = PrivacySettings(clip=1e6, noise_multiplier=1e-12)
    privately = train(raw, base, x, targets, plan, 0, kind=numbers, privacy=privacy)
    for name, array in by_keras.items():
        np.testing.assert_allclose(privately[name], array, rtol=1e-3, atol=1e-4)


def test_tokens_without_a_label_are_left_out() -> None:
    spec = mlp_spec()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, *spec.input_shape)).astype(np.float32)
    y = np.where(np.arange(8) % 2, np.arange(8) % spec.num_classes, -1)
    raw, base = spec.SerializeToString(), random_weights(spec, 0)
    plan, tokens = TrainingPlan(3, 64, 0.1), TargetKind.TOKENS
    trained = train(raw, base, x, y, plan, 0, kind=tokens)
    expected = train(raw, base, x[y >= 0], y[y >= 0], plan, 0)
    for name, array in expected.items():
        np.testing.assert_allclose(trained[name], array, rtol=1e-5, atol=1e-6)


def test_it_learns_and_repeats() -> None:
    digits = datasets.load_dataset("digits", scale=16)
    raw, weights, _ = keras_import.create_initial_model("mlp", (8, 8), 10, seed=0)
    base, plan = decode_tensors(weights), TrainingPlan(epochs=3)
    data = digits.x_train, digits.y_train
    trained = train(raw, base, *data, plan, 7)
    spec = parse_spec(raw)
    assert plain_count(spec, trained, digits.x_test, digits.y_test) > 270
    again = train(raw, base, *data, plan, 7)
    other = train(raw, base, *data, plan, 8)
    for name, array in trained.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, again[name])
    assert any((other[name] != trained[name]).any() for name in trained)


def test_divergence_is_refused() -> None:
    spec = mlp_spec()
    x = 100 * np.random.default_rng(0).standard_normal((8, 4, 4)).astype(np.float32)
    y = np.arange(8) % spec.num_classes
    raw, base = spec.SerializeToString(), random_weights(spec, 0)
    with pytest.raises(RefusalError) as caught:
        train(raw, base, x, y, TrainingPlan(50, 2, 1000.0), 0)
    assert caught.value.code is LearningCode.NOT_FINITE


def test_other_models_are_left_to_keras() -> None:
    raw, _, _ = keras_import.create_initial_model("cnn", (8, 8), 10, seed=0)
    assert read_dense_layers(parse_spec(raw)) is None
    early = sequential((2, 2), flatten(), dense(3, "softmax"), dense(3))
    assert read_dense_layers(spec_of(early, (2, 2), 3, [(4, 3), (3,), (3, 3), (3,)])) is None
