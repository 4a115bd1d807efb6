from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.model.keras_format.output_kind import OutputKind, find_output_kind
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.training import datasets
from fedcoin.learning.training.sgd import train
from fedcoin.learning.training.training_plan import TrainingPlan
from tests.learning.evaluation.test_dense_evaluator import plain_count
from tests.support.small_models import mlp_spec, random_weights, sequential, spec_of


def test_training_learns_and_repeats() -> None:
    digits = datasets.load_dataset("digits", scale=16)
    raw, weights, _ = keras_import.create_initial_model(
        "mlp", digits.input_shape, digits.num_classes, seed=0
    )
    base = decode_tensors(weights)
    plan = TrainingPlan(epochs=3, batch_size=32, learning_rate=0.1)

    def train_by_keras(examples: slice, seed: int) -> dict[str, NDArray[Any]]:
        x, y = digits.x_train[examples], digits.y_train[examples]
        return train(raw, base, x, y, plan, seed, allow_numpy=False)

    trained = train_by_keras(slice(None), 7)
    spec = parse_spec(raw)
    before, after = (plain_count(spec, w, digits.x_test, digits.y_test) for w in (base, trained))
    assert after > 270 > before + 100
    again = train_by_keras(slice(None), 7)
    assert list(trained) == list(base)
    for name, array in trained.items():
        np.testing.assert_array_equal(array, again[name])
        assert array.dtype == np.float32
    other = train_by_keras(slice(200), 8)
    assert any((other[name] != trained[name]).any() for name in trained)


@pytest.mark.parametrize("last", ["softmax", "linear", "layer"])
def test_probabilities_and_logits_are_distinguished(last: str) -> None:
    from tests.support.small_models import dense, flatten, layer

    ends = {"softmax": [dense(3, "softmax")], "linear": [dense(3)]}
    ends["layer"] = [dense(3), layer("Softmax", axis=-1)]
    spec = spec_of(sequential((2, 2), flatten(), *ends[last]), (2, 2), 3, [(4, 3), (3,)])
    generator = np.random.default_rng(0)
    x = generator.standard_normal((300, 2, 2)).astype(np.float32)
    y = x.reshape(300, 4)[:, :3].argmax(axis=1)
    raw, plan = spec.SerializeToString(), TrainingPlan(6, 16, 0.5)
    weights = train(raw, random_weights(spec, 0), x, y, plan, 0, allow_numpy=False)
    right = ((x.reshape(300, 4) @ weights["w0"] + weights["w1"]).argmax(axis=1) == y).mean()
    assert right > 0.9


def test_averaged_heads_of_probabilities_are_trained_with_their_loss() -> None:
    """Their last layer is no softmax. With the loss of logits they learn far less."""
    keras = keras_runtime.load_keras()
    inputs = keras.Input((8, 8))
    flat = keras.layers.Flatten()(inputs)
    heads = [keras.layers.Dense(10, activation="softmax")(flat) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Average()(heads))
    digits = datasets.load_dataset("digits", scale=16)
    raw, weights, _ = keras_import.create_initial_model(model.to_json(), (8, 8), 10, seed=0)
    data = digits.x_train, digits.y_train
    trained = train(raw, decode_tensors(weights), *data, TrainingPlan(8, 16, 0.2), seed=1)
    built = keras_models.model_from_spec(raw)
    keras_models.set_weights(built, trained)
    assert (np.asarray(built(digits.x_test)).argmax(axis=1) == digits.y_test).mean() > 0.9


def test_outputs_are_known_by_evaluating() -> None:
    keras = keras_runtime.load_keras()
    k = keras.layers
    ends = {
        OutputKind.PROBABILITIES: [
            [k.Dense(3, activation="softmax")],
            [k.Dense(3, activation="softmax"), k.Reshape((3,))],
            [k.Dense(3, activation="sigmoid"), k.Identity()],
        ],
        OutputKind.LOGITS: [
            [k.Dense(3)],
            [k.Dense(3, activation="relu")],
            [k.Dense(3, activation="log_softmax")],
            [k.Dense(3, activation="softmax"), k.Dense(3)],
        ],
    }
    for kind, models in ends.items():
        for layers in models:
            model = keras.Sequential([keras.Input((6,)), k.BatchNormalization(), *layers])
            before = model.get_weights()
            assert find_output_kind(model) is kind
            for array, kept in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(array, kept)


def test_bad_plans() -> None:
    for bad in ({"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": np.nan}):
        with pytest.raises(RefusalError) as caught:
            TrainingPlan(**bad)  # type: ignore[arg-type]
        assert caught.value.code is LearningCode.BAD_PLAN


def test_bad_data_and_divergence() -> None:
    spec = mlp_spec()
    raw, base = spec.SerializeToString(), random_weights(spec, 0)
    x: NDArray[Any] = np.ones((8, 4, 4), np.float32)
    y = np.zeros(8, np.int64)
    for arguments, code in (
        ((base, x[:, :2], y), LearningCode.WRONG_SHAPE),
        ((base, x, y + 3), LearningCode.LABEL_OUT_OF_RANGE),
        (({**base, "w1": base["w0"]}, x, y), LearningCode.WRONG_SHAPE),
    ):
        with pytest.raises(RefusalError) as caught:
            train(raw, *arguments, TrainingPlan(), seed=0)
        assert caught.value.code is code
    x, y = x * 1e8, np.arange(8) % 3
    with pytest.raises(RefusalError) as caught:
        train(raw, base, x, y, TrainingPlan(5, 1, 1000), seed=0)
    assert caught.value.code is LearningCode.NOT_FINITE
