from __future__ import annotations

import json
from typing import Any

import pytest

from fedcoin.learning.model.keras_format.keras_json import normalise_json
from fedcoin.learning.model.spec import parse_architecture
from tests.support.small_models import dense, flatten, sequential


def changed(model: Any, shape: tuple[int, ...] = ()) -> tuple[dict[str, Any], str]:
    normalised = normalise_json(json.dumps(model), shape)
    return json.loads(normalised.keras_json), "; ".join(normalised.changes)


def model() -> dict[str, Any]:
    return sequential((4, 4), flatten(), dense(3))


def input_shape(whole: dict[str, Any]) -> list[int | None]:
    shape: list[int | None] = whole["config"]["layers"][0]["config"]["batch_shape"]
    return shape


def test_what_needs_no_change_stays_as_it_is() -> None:
    text = json.dumps(model(), indent=3)
    assert normalise_json(text).keras_json == text
    assert normalise_json(text).changes == ()


def test_how_a_model_was_compiled_is_left_out() -> None:
    plain, said = changed({**model(), "compile_config": {"optimizer": "adam"}})
    assert plain == model()
    assert "compiled" in said


def test_a_batch_size_is_left_out() -> None:
    sized = model()
    sized["config"]["layers"][0]["config"]["batch_shape"] = [32, 4, 4]
    plain, said = changed(sized)
    assert input_shape(plain) == [None, 4, 4]
    assert "batch size 32" in said


def test_an_open_input_gets_the_shape_of_the_data() -> None:
    opened = model()
    opened["config"]["layers"][0]["config"]["batch_shape"] = [None, None, 4]
    assert input_shape(changed(opened)[0]) == [None, None, 4]
    plain, said = changed(opened, (4, 4))
    assert input_shape(plain) == [None, 4, 4]
    assert "(4, 4)" in said
    for other in ((4, 5), (4,)):
        assert changed(opened, other) == (opened, "")


def test_keras_2_is_rewritten() -> None:
    layer = {
        "class_name": "Dense",
        "config": {
            "name": "dense",
            "dtype": "float32",
            "batch_input_shape": [None, 5],
            "units": 3,
            "activation": "relu",
            "use_bias": True,
            "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
        },
    }
    norm = {"class_name": "BatchNormalization", "config": {"axis": [1], "dtype": "float32"}}
    old = {
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [layer, norm]},
        "keras_version": "2.8.0",
        "backend": "tensorflow",
    }
    plain, said = changed(old)
    assert parse_architecture(json.dumps(plain)) == plain
    assert "Keras 2.8.0" in said
    first, second, third = plain["config"]["layers"]
    assert (first["class_name"], first["config"]["batch_shape"]) == ("InputLayer", [None, 5])
    assert second["module"] == "keras.layers"
    assert second["config"]["kernel_initializer"]["module"] == "keras.initializers"
    assert third["config"]["axis"] == 1


@pytest.mark.parametrize("text", ["", "no json", "[]", "3", "[" * 100_000, '{"a": ' * 200, "{}"])
def test_what_is_no_model_is_left_to_the_checks(text: str) -> None:
    assert isinstance(normalise_json(text).keras_json, str)


def test_a_forbidden_class_is_not_hidden_by_the_rewriting() -> None:
    old = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Lambda", "config": {}}]},
    }
    plain, _ = changed(old)
    assert "module" not in plain["config"]["layers"][0]
