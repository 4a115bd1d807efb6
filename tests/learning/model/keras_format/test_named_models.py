from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.keras_format import keras_draws
from fedcoin.learning.model.keras_format.keras_import import create_initial_model
from fedcoin.learning.model.keras_format.named_models import create_named_model
from fedcoin.learning.model.spec import parse_spec, weight_shapes
from tests.support.small_models import read_layers

CLASSES, NUMBERS = TargetKind.CLASSES, TargetKind.NUMBERS


def built_by_keras(
    name: str, shape: tuple[int, ...], outputs: int, seed: int, divisor: float, activation: str
) -> Any:
    keras = keras_runtime.load_keras()
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    keras.backend.clear_session()
    first = [layers.Rescaling(1 / divisor)] if divisor != 1 else []
    hidden = {
        "mlp": lambda: [layers.Flatten(), layers.Dense(128, activation="relu")],
        "cnn": lambda: [
            *([layers.Reshape((*shape, 1))] if len(shape) == 2 else []),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ],
    }[name]()
    last = layers.Dense(outputs, activation=activation)
    return keras.Sequential([keras.Input(shape), *first, *hidden, last], name=name)


@pytest.mark.parametrize(
    ("name", "shape", "seed", "divisor", "kind"),
    [
        ("mlp", (30,), 0, 1.0, NUMBERS),
        ("mlp", (8, 8), 1, 16.0, CLASSES),
        ("cnn", (8, 9), 2, 1.0, CLASSES),
        ("cnn", (16, 12, 3), 3, 255.0, CLASSES),
    ],
)
def test_it_is_the_model_that_keras_makes(
    name: str, shape: tuple[int, ...], seed: int, divisor: float, kind: TargetKind
) -> None:
    spec, weights = create_named_model(name, shape, 7, seed, divisor, kind)
    activation = "linear" if kind is NUMBERS else "softmax"
    model = built_by_keras(name, shape, 7, seed, divisor, activation)
    expected = keras_models.named_weights(model, spec)
    assert list(weights) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(weights[key], array)
    raw = spec.SerializeToString(deterministic=True)
    rebuilt = keras_models.model_from_spec(raw)
    # Keras adds the settings that have their default values.
    assert keras_models.spec_from_model(rebuilt) == keras_models.spec_from_model(model)
    keras_models.set_weights(rebuilt, weights)
    x = np.random.default_rng(0).uniform(0, divisor, (2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(rebuilt(x)), np.asarray(model(x)))


def test_the_paper_s_network_is_made_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, module, None)
    raw, encoded, changes = create_initial_model("mlp", (28, 28), 10, 0)
    spec, weights = parse_spec(raw), decode_tensors(encoded)
    shapes = [(784, 128), (128,), (128, 10), (10,)]
    assert list(weight_shapes(spec).values()) == shapes
    assert [array.shape for array in weights.values()] == shapes
    assert list(spec.input_shape) == [28, 28]
    assert spec.num_classes == 10
    assert read_layers(spec) is not None
    assert changes == ()


def test_the_seed_fixes_the_weights() -> None:
    first, same, other = (create_initial_model("mlp", (8, 8), 10, seed) for seed in (5, 5, 2**62))
    assert first == same
    assert first[0] == other[0]
    assert first[1] != other[1]
    assert list(decode_tensors(first[1])) == list(weight_shapes(parse_spec(first[0])))


def test_a_kernel_of_more_numbers_than_are_drawn_at_once() -> None:
    keras = keras_runtime.load_keras()
    by_keras = keras.initializers.GlorotUniform(seed=9)((1100, 1000))
    drawn = keras_draws.draw_glorot_uniform((1100, 1000), 9)
    np.testing.assert_array_equal(drawn, np.asarray(by_keras))


@pytest.mark.parametrize(
    ("name", "shape", "kind", "code"),
    [
        ("resnet", (8, 8), CLASSES, LearningCode.UNKNOWN_MODEL),
        ("cnn", (64,), CLASSES, LearningCode.BAD_MODEL),
        ("cnn", (2, 8), CLASSES, LearningCode.BAD_MODEL),
        ("mlp", (16,), TargetKind.TOKENS, LearningCode.BAD_MODEL),
        ("mlp", (40_000, 40_000), CLASSES, LearningCode.MODEL_TOO_LARGE),
    ],
)
def test_bad_names_and_shapes(
    name: str, shape: tuple[int, ...], kind: TargetKind, code: LearningCode
) -> None:
    with pytest.raises(RefusalError) as caught:
        create_named_model(name, shape, 10, kind=kind)
    assert caught.value.code is code
