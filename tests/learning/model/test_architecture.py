from __future__ import annotations

from typing import Any

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.layers import Activation, Dense, Scale
from tests.support.small_models import (
    dense,
    flatten,
    layer,
    mlp_spec,
    read_layers,
    sequential,
    spec_of,
)

SHAPES = [(16, 5), (5,), (5, 3)]


def test_the_mlp_is_plain() -> None:
    assert read_layers(mlp_spec()) == (
        Dense("w0", "w1"),
        Activation("relu"),
        Dense("w2", "w3"),
        Activation("softmax"),
    )


def test_every_plain_layer() -> None:
    model = sequential(
        (4, 4),
        layer("Rescaling", scale=2.0, offset=-1),
        flatten(),
        layer("Dropout", rate=0.5),
        dense(5),
        layer("Activation", activation="tanh"),
        layer("GaussianNoise", stddev=0.1),
        dense(3, use_bias=False),
    )
    assert read_layers(spec_of(model, (4, 4), 3, SHAPES)) == (
        Scale(2.0, -1.0),
        Dense("w0", "w1"),
        Activation("tanh"),
        Dense("w2", ""),
    )


@pytest.mark.parametrize(
    "layers",
    [
        [dense(3)],  # On the last axis of an image.
        [layer("Flatten", data_format="channels_first"), dense(3)],
        [flatten(), dense(3, "gelu")],
        [flatten(), layer("BatchNormalization"), dense(3)],
        [flatten(), layer("Rescaling", scale=[1.0, 2.0], offset=0), dense(3)],
        [flatten(), layer("Dense", units=3, activation="relu", use_bias=True, lora_rank=4)],
        [flatten()],
        [layer("Conv2D", filters=3)],
    ],
)
def test_other_models_are_left_to_keras(layers: list[dict[str, Any]]) -> None:
    model = sequential((4, 4), *layers)
    assert read_layers(spec_of(model, (4, 4), 3, [(16, 3), (3,)])) is None


def test_a_model_of_other_inputs_is_left_to_keras() -> None:
    model = sequential((5, 5), flatten(), dense(3))
    assert read_layers(spec_of(model, (4, 4), 3, [(16, 3), (3,)])) is None
    functional = {**sequential((4, 4), flatten(), dense(3)), "class_name": "Functional"}
    functional["module"] = "keras.models"
    assert read_layers(spec_of(functional, (4, 4), 3, [(16, 3), (3,)])) is None


@pytest.mark.parametrize(
    "shapes", [[(16, 3)], [(16, 3), (4,)], [(15, 3), (3,)], [(16, 3), (3,), (1,)]]
)
def test_weights_must_be_the_architectures(shapes: list[tuple[int, ...]]) -> None:
    model = sequential((4, 4), flatten(), dense(3))
    with pytest.raises(RefusalError) as caught:
        read_layers(spec_of(model, (4, 4), 3, shapes))
    assert caught.value.code is LearningCode.WRONG_SHAPE


def test_the_width_must_be_the_classes() -> None:
    model = sequential((4, 4), flatten(), dense(3))
    with pytest.raises(RefusalError) as caught:
        read_layers(spec_of(model, (4, 4), 4, [(16, 3), (3,)]))
    assert caught.value.code is LearningCode.BAD_MODEL
