"""Every evaluator agrees with `model.set_weights` and the model's own predictions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.learning.evaluation import keras_evaluator
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.devices import PROCESSOR, Device, find_gpu
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import ALL_EXAMPLES, ExampleShare, UtilityJob
from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.training import datasets
from fedcoin.learning.workers import jobs
from fedcoin.v1 import task_pb2
from tests.support.small_models import all_coalitions, write_job

LARGE_BATCHES = Device("/CPU:0", 256 << 20, 16_384)
"""The batches of a GPU, on the processor."""


def plain_counts(job: UtilityJob, coalitions: NDArray[Any]) -> list[int]:
    """Set the averaged weights and count right answers, coalition by coalition."""
    return [
        int((np.asarray(model(x)).argmax(axis=1) == y).sum())
        for model, x, y in plain_models(job, coalitions)
    ]


def evaluated_counts(job: UtilityJob, coalitions: NDArray[Any]) -> list[int]:
    """Set the averaged weights and have Keras measure the accuracy, coalition by coalition."""
    counts = []
    for model, x, y in plain_models(job, coalitions):
        if not model.compiled:
            model.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy")
        _, accuracy = model.evaluate(x, y, batch_size=2_000, verbose=0)
        counts.append(round(accuracy * len(y)))
    return counts


def plain_models(
    job: UtilityJob, coalitions: NDArray[Any]
) -> Iterator[tuple[Any, NDArray[Any], NDArray[Any]]]:
    """Yield for each coalition the model with the averaged weights, the inputs and the labels."""
    model = keras_models.model_from_spec(job.model.read_bytes())
    owners = [decode_tensors(path.read_bytes()) for path in (*job.updates, job.base)]
    tensors = decode_tensors(job.evaluation.read_bytes())
    for row in coalition_coefficients(coalitions, job.num_samples, job.averaging):
        mixed = [sum(c * o[name] for c, o in zip(row, owners, strict=True)) for name in owners[0]]
        model.set_weights(mixed)
        yield model, tensors["x"], tensors["y"].astype(np.int64)


def job_for(folder: Path, name: str, dataset: datasets.Dataset, clients: int, **kinds: Any) -> Any:
    """A job whose clients' weights are the base plus noise that grows with the client's number."""
    raw, weights, _ = keras_import.create_initial_model(
        name, dataset.input_shape, dataset.num_classes, seed=1
    )
    base = decode_tensors(weights)
    generator = np.random.default_rng(2)

    def changed(key: str, array: NDArray[Any], much: float) -> NDArray[Any]:
        moved = array + generator.standard_normal(array.shape) * much
        return (abs(moved) if "variance" in key else moved).astype(np.float32)

    updates = [
        {key: changed(key, array, 0.05 * (k + 1)) for key, array in base.items()}
        for k in range(clients)
    ]
    return write_job(
        folder, parse_spec(raw), base, updates, dataset.x_test, dataset.y_test, **kinds
    )


@pytest.mark.parametrize(
    "averaging", [task_pb2.AVERAGING_RENORMALISED, task_pb2.AVERAGING_FIXED_DENOMINATOR]
)
def test_the_dense_path_on_the_digits(tmp_path: Path, averaging: int) -> None:
    job = job_for(
        tmp_path, "mlp", datasets.load_dataset("digits", scale=16), 4, averaging=averaging
    )
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, DenseEvaluator)
    counts = evaluator.evaluate(all_coalitions(4))
    assert abs(counts - plain_counts(job, all_coalitions(4))).max() <= 1


def test_convolutions_on_the_digits(tmp_path: Path) -> None:
    job = job_for(tmp_path, "cnn", datasets.load_dataset("digits", scale=16), 3)
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, GraphEvaluator)
    counts = evaluator.evaluate(all_coalitions(3))
    assert abs(counts - plain_counts(job, all_coalitions(3))).max() <= 1
    assert abs(counts[5:] - evaluated_counts(job, all_coalitions(3)[5:])).max() <= 1
    assert len(set(counts.tolist())) > 3
    assert abs(keras_path(job).evaluate(all_coalitions(3)) - counts).max() <= 1


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("mlp", 8),
        pytest.param("mlp", 1, marks=pytest.mark.slow),
        pytest.param("cnn", 1, marks=pytest.mark.slow),
        pytest.param("residual", 1, marks=pytest.mark.slow),
    ],
)
def test_all_coalitions_of_ten(tmp_path: Path, name: str, step: int) -> None:
    """Keras evaluates every `step`-th of them."""
    architecture = built(residual).to_json() if name == "residual" else name
    job = job_for(tmp_path, architecture, datasets.load_dataset("digits", scale=16), 10)
    counts = jobs.load_evaluator(job).evaluate(all_coalitions(10)[1:])
    model = keras_models.model_from_spec(job.model.read_bytes())
    owners = [decode_tensors(path.read_bytes()) for path in job.updates]
    tensors = decode_tensors(job.evaluation.read_bytes())
    rows = coalition_coefficients(all_coalitions(10)[1:], job.num_samples, job.averaging)
    for row, count in zip(rows[::step], counts[::step], strict=True):
        mixed = [
            np.tensordot(row[:-1].astype(np.float32), np.stack([o[name] for o in owners]), 1)
            for name in owners[0]
        ]
        model.set_weights(mixed)
        outputs = np.asarray(model(tensors["x"], training=False))
        assert abs(int((outputs.argmax(axis=1) == tensors["y"]).sum()) - int(count)) <= 1


def keras_path(
    job: UtilityJob, shard: ExampleShare = ALL_EXAMPLES, device: Device = PROCESSOR
) -> KerasEvaluator:
    tensors = decode_tensors(job.evaluation.read_bytes())
    return KerasEvaluator(
        parse_spec(job.model.read_bytes()),
        decode_tensors(job.base.read_bytes()),
        [decode_tensors(path.read_bytes()) for path in job.updates],
        tensors["x"],
        tensors["y"],
        job,
        shard,
        device=device,
    )


def residual(k: Any, x: Any) -> Any:
    maps = k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(k.Reshape((8, 8, 1))(x)))
    maps = k.MaxPooling2D()(k.ReLU()(maps))
    inner = k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(maps))
    return k.GlobalAveragePooling2D()(k.ReLU()(k.Add()([maps, inner])))


def built(body: Any) -> Any:
    keras = keras_runtime.load_keras()
    inputs = keras.Input((8, 8))
    return keras.Model(inputs, keras.layers.Dense(10)(body(keras.layers, inputs)))


def skips(k: Any, x: Any) -> Any:
    flat = k.Dropout(0.3)(k.Flatten()(k.LayerNormalization()(x)))
    hidden = k.Dense(12, activation="gelu")(flat)
    skip = k.Concatenate()([hidden, k.Dense(6)(hidden)])
    return k.BatchNormalization()(skip)


def embeddings(k: Any, x: Any) -> Any:
    """Each pixel's brightness and position are tokens."""
    shades = k.Embedding(17, 3)(k.Rescaling(16.0)(k.Flatten()(x)))
    words = k.Dropout(0.2)(k.BatchNormalization()(shades))
    return k.Flatten()(k.Conv1D(2, 5, activation="elu")(words))


def attention(k: Any, x: Any) -> Any:
    mixed = k.MultiHeadAttention(2, 4)(x, x)
    return k.GlobalAveragePooling1D()(k.GRU(5, return_sequences=True)(k.Add()([x, mixed])))


@pytest.mark.parametrize("body", [skips, embeddings, attention])
def test_any_keras_model(tmp_path: Path, body: Any) -> None:
    job = job_for(
        tmp_path,
        built(body).to_json(),
        datasets.load_dataset("digits", scale=16),
        3,
        empty=task_pb2.EMPTY_COALITION_ZERO,
    )
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, KerasEvaluator)
    counts = evaluator.evaluate(all_coalitions(3))
    plain = plain_counts(job, all_coalitions(3))
    assert counts[0] == 0
    assert abs(counts[1:] - plain[1:]).max() <= 1


def test_both_paths_agree(tmp_path: Path) -> None:
    job = job_for(tmp_path, "mlp", datasets.load_dataset("digits", scale=16), 4)
    fast = jobs.load_evaluator(job).evaluate(all_coalitions(4))
    assert abs(keras_path(job).evaluate(all_coalitions(4)) - fast).max() <= 1


def test_shards_of_the_keras_path_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_evaluator, "PROCESSOR", replace(PROCESSOR, max_batch_size=100))
    job = job_for(tmp_path, "mlp", datasets.load_dataset("digits", scale=16), 2)
    rows = all_coalitions(2)
    # There are more shards than blocks, so the last ones are empty.
    parts = [keras_path(job, ExampleShare(index, 5)).evaluate(rows) for index in range(5)]
    assert parts[4].tolist() == [0] * 4
    assert abs(sum(parts) - jobs.load_evaluator(job).evaluate(rows)).max() <= 1
    # A worker whose device takes larger batches has the same share.
    large = keras_path(job, ExampleShare(0, 2), LARGE_BATCHES).evaluate(rows)
    other = keras_path(job, ExampleShare(1, 2)).evaluate(rows)
    assert abs(large + other - sum(parts)).max() <= 1


@pytest.mark.parametrize("utility", [task_pb2.UTILITY_ACCURACY, task_pb2.UTILITY_LOG_LOSS])
def test_large_batches_of_a_device_change_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utility: int
) -> None:
    job = job_for(tmp_path, "mlp", datasets.load_dataset("digits", scale=16), 3)
    job = replace(job, utility=utility)
    monkeypatch.setenv("FEDCOIN_GPU", "1")
    monkeypatch.setattr(jobs, "find_gpu", lambda: LARGE_BATCHES)
    monkeypatch.setattr(keras_evaluator, "MAX_PENDING", 3)
    large = jobs.load_evaluator(job)
    assert isinstance(large, KerasEvaluator)
    monkeypatch.delenv("FEDCOIN_GPU")
    rows = all_coalitions(3)
    tolerance = large.measure.tolerance(len(datasets.load_dataset("digits").y_test), 10)
    assert abs(large.evaluate(rows) - jobs.load_evaluator(job).evaluate(rows)).max() <= tolerance


def test_a_machine_without_a_gpu_evaluates_by_tensorflow_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its share must be the one that a worker with a GPU would leave to it."""
    monkeypatch.setenv("FEDCOIN_GPU", "1")
    monkeypatch.setattr(jobs, "find_gpu", lambda: None)
    job = job_for(tmp_path, "mlp", datasets.load_dataset("digits", scale=16), 2)
    assert isinstance(jobs.load_evaluator(job), KerasEvaluator)
    assert "finds no GPU" in caplog.text


def test_products_are_exact_on_gpus_that_could_round_them() -> None:
    find_gpu()
    tf = keras_runtime.load_tensorflow()
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_gpu_counts_as_the_processor(tmp_path: Path) -> None:
    gpu = find_gpu()
    if gpu is None:
        pytest.skip("TensorFlow finds no GPU on this machine")
    job = job_for(tmp_path, built(residual).to_json(), datasets.load_dataset("digits"), 4)
    counts = keras_path(job, device=gpu).evaluate(all_coalitions(4))
    assert abs(counts - jobs.load_evaluator(job).evaluate(all_coalitions(4))).max() <= 1


@pytest.mark.slow
def test_mnist(tmp_path: Path) -> None:
    if not Path(os.environ.get(datasets.MNIST_VARIABLE) or "missing").is_file():
        pytest.skip(f"{datasets.MNIST_VARIABLE} names no mnist.npz")
    job = job_for(tmp_path, "mlp", datasets.load_dataset("mnist", scale=255), 10)
    rows = all_coalitions(10)[np.random.default_rng(0).permutation(1024)[:8]]
    evaluator = jobs.load_evaluator(job)
    assert abs(evaluator.evaluate(rows) - plain_counts(job, rows)).max() <= 1
    before = time.process_time()
    evaluator.evaluate(all_coalitions(10)[:512])
    assert time.process_time() - before < 5  # 0.8 s on an idle machine.
