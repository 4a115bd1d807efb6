from __future__ import annotations

import json
from typing import Any

import pytest

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.model.spec import parse_spec
from tests.support.small_models import (
    dense,
    flatten,
    layer,
    mlp_spec,
    read_layers,
    sequential,
    spec_of,
)


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_runtime.load_keras()


def code_of(function: Any, *arguments: Any) -> LearningCode:
    with pytest.raises(RefusalError) as caught:
        function(*arguments)
    assert isinstance(caught.value.code, LearningCode)
    return caught.value.code


def test_ones_own_json(keras: Any) -> None:
    inputs = keras.Input((8, 8))
    hidden = keras.layers.Dense(6, activation="gelu")(keras.layers.Flatten()(inputs))
    again = keras.layers.Dense(6)(hidden)
    normal = keras.layers.BatchNormalization()(keras.layers.Add()([hidden, again]) * 0.5)
    model = keras.Model(inputs, keras.layers.Dense(10)(normal))
    raw, weights, _ = keras_import.create_initial_model(model.to_json(), (8, 8), 10, seed=3)
    spec = parse_spec(raw)
    assert read_layers(spec) is None
    assert len(decode_tensors(weights)) == len(model.weights)
    assert (
        code_of(keras_import.create_initial_model, model.to_json(), (28, 28), 10, 0)
        is LearningCode.BAD_MODEL
    )
    assert (
        code_of(keras_import.create_initial_model, model.to_json(), (8, 8), 9, 0)
        is LearningCode.BAD_MODEL
    )


def test_a_compiled_model_is_stripped(keras: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    assert "compile_config" not in json.loads(
        parse_spec(keras_models.spec_from_model(model)).keras_json
    )


def test_a_model_that_no_node_could_load_makes_no_spec(keras: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
    assert code_of(keras_models.spec_from_model, model) in (
        LearningCode.FORBIDDEN_LAYER,
        LearningCode.BAD_MODEL,
    )


def test_specs_that_keras_cannot_build() -> None:
    too_deep = sequential((4,), layer("Conv2D", filters=3, kernel_size=[9, 9]))
    raw = spec_of(too_deep, (4,), 3, [(16, 3)]).SerializeToString()
    assert code_of(keras_models.model_from_spec, raw) is LearningCode.BAD_MODEL
    open_ended = sequential((None,), layer("Embedding", input_dim=4, output_dim=2))  # type: ignore[arg-type]
    raw = spec_of(open_ended, (4,), 3, [(4, 2)]).SerializeToString()
    assert code_of(keras_models.model_from_spec, raw) is LearningCode.BAD_MODEL


def test_specs_with_other_weights_or_shapes_are_refused() -> None:
    spec = mlp_spec()
    spec.weights[0].shape[:] = [8, 16]
    assert (
        code_of(keras_models.model_from_spec, spec.SerializeToString()) is LearningCode.WRONG_SHAPE
    )
    model = sequential((4, 4), flatten(), dense(3))
    for shape, classes in (((16,), 3), ((4, 4), 4)):
        raw = spec_of(model, shape, classes, [(16, 3), (3,)]).SerializeToString()
        assert code_of(keras_models.model_from_spec, raw) is LearningCode.BAD_MODEL
