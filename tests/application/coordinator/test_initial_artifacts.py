from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.coordinator.initial_artifacts import build_initial_artifacts
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.array_files import write_arrays
from fedcoin.v1 import task_pb2

SCRIPT = """
import sys, keras, numpy as np
model = keras.Sequential([
    keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.BatchNormalization(),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
weights = model.get_weights()
model.set_weights([np.arange(w.size, dtype=np.float32).reshape(w.shape) for w in weights])
model.fit(np.zeros((2, 8, 8)), np.zeros(2), verbose=0)
model.set_weights([np.arange(w.size, dtype=np.float32).reshape(w.shape) for w in weights])
model.save(sys.argv[1])
"""


async def test_what_is_no_keras_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with pytest.raises(RefusalError) as caught:
        await build_initial_artifacts("digits", str(path), 0)
    assert caught.value.code is LearningCode.NO_FILE
    np.savez(path, w=np.zeros(3))
    (tmp_path / "model.keras.npz").rename(path)
    with pytest.raises(RefusalError) as caught:
        await build_initial_artifacts("digits", str(path), 0)
    assert caught.value.code is LearningCode.UNREADABLE_FILE


async def test_an_evaluation_set_that_does_not_fit_the_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "constant.csv"
    path.write_text("a,target\n1,2.5\n2,2.5\n")
    with pytest.raises(RefusalError) as caught:
        await build_initial_artifacts(str(path), "mlp", 0, utility=task_pb2.UTILITY_R_SQUARED)
    assert caught.value.code is LearningCode.UNFIT_MEASURE
    with pytest.raises(RefusalError) as caught:
        await build_initial_artifacts(str(path), "mlp", 0)
    assert caught.value.code is LearningCode.BAD_DATASET
    assert "--utility r-squared" in caught.value.message
    with pytest.raises(RefusalError) as caught:
        await build_initial_artifacts("digits", "mlp", 0, utility=task_pb2.UTILITY_PERPLEXITY)
    assert "begins with an Embedding" in caught.value.message


@pytest.mark.slow
async def test_a_trained_keras_model_begins_with_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT, str(path)]
    await asyncio.to_thread(
        subprocess.run, command, check=True, env=environment, capture_output=True
    )
    built = await build_initial_artifacts("digits", str(path), 0)
    weights = decode_tensors(built.weights)
    assert "dense/kernel" in weights
    for array in weights.values():
        np.testing.assert_array_equal(array.ravel(), np.arange(array.size))


async def test_a_file_of_weights_replaces_the_models_own(tmp_path: Path) -> None:
    own = await build_initial_artifacts("digits", "mlp", 0)
    weights = {name: array + 1 for name, array in decode_tensors(own.weights).items()}
    average = tmp_path / "average"
    average.write_bytes(encode_tensors(weights))
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    write_arrays(tmp_path / "half.npz", halves)
    built = await build_initial_artifacts("digits", "mlp", 0, initial_weights=str(average))
    assert (built.model, built.weights) == (own.model, average.read_bytes())
    assert built.describe() == (*own.describe(), f"initial weights: read from {average}")
    path = str(tmp_path / "half.npz")
    built = await build_initial_artifacts("digits", "mlp", 0, initial_weights=path)
    for name, array in decode_tensors(built.weights).items():
        np.testing.assert_array_equal(array, halves[name].astype(np.float32))
    assert "initial weights: float16 read as float32" in built.describe()


async def test_trained_weights_alone_are_enough(tmp_path: Path) -> None:
    own = await build_initial_artifacts("digits", "mlp", 0, trained=["*bias"])
    assert own.frozen
    trained = {name: array + 1 for name, array in decode_tensors(own.weights).items()}
    whole = {**{name: array + 2 for name, array in decode_tensors(own.frozen).items()}, **trained}
    for held, frozen in ((trained, decode_tensors(own.frozen)), (whole, whole)):
        (tmp_path / "average").write_bytes(encode_tensors(held))
        built = await build_initial_artifacts(
            "digits", "mlp", 0, trained=["*bias"], initial_weights=str(tmp_path / "average")
        )
        assert decode_tensors(built.weights).keys() == trained.keys()
        for name, array in decode_tensors(built.weights).items():
            np.testing.assert_array_equal(array, trained[name])
        for name, array in decode_tensors(built.frozen).items():
            np.testing.assert_array_equal(array, frozen[name])


async def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "average"
    own = decode_tensors((await build_initial_artifacts("digits", "mlp", 0)).weights)
    first = next(iter(own))
    cases = (
        ({**own, first: own[first][:1]}, LearningCode.WRONG_SHAPE),
        ({**own, first: own[first] * np.nan}, LearningCode.NOT_FINITE),
        ({"other": own[first]}, LearningCode.WRONG_NAMES),
    )
    for held, code in cases:
        path.write_bytes(encode_tensors(held))
        for trained in ((), ("*bias",)):
            with pytest.raises(RefusalError) as caught:
                await build_initial_artifacts(
                    "digits", "mlp", 0, trained=trained, initial_weights=str(path)
                )
            assert caught.value.code is code
            assert str(path) in caught.value.message
    with pytest.raises(RefusalError) as caught:
        await build_initial_artifacts("digits", "mlp", 0, initial_weights=str(tmp_path / "none"))
    assert caught.value.code is LearningCode.NO_FILE
