"""Plain graphs in NumPy against Keras on the same averaged weights."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.learning.evaluation import graph_evaluator as graph_module
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.workers import jobs
from tests.support.small_models import all_coalitions, evaluation, write_job

CLIENTS, EXAMPLES, CLASSES = 3, 400, 5


def job_for(folder: Path, model: Any) -> UtilityJob:
    """A job whose clients have weights of both signs; variances, which come last, are positive."""
    spec = parse_spec(keras_models.spec_from_model(model))
    generator = np.random.default_rng(5)

    def weights() -> dict[str, NDArray[Any]]:
        found = {}
        for weight in spec.weights:
            fan = max(1, int(np.prod(weight.shape[:-1])))
            array = generator.standard_normal(tuple(weight.shape)) / np.sqrt(fan)
            found[weight.name] = (abs(array) if "variance" in weight.name else array).astype("f4")
        return found

    base, *updates = (weights() for _ in range(CLIENTS + 1))
    return write_job(folder, spec, base, updates, *evaluation(spec, EXAMPLES))


def keras_counts(job: UtilityJob, coalitions: NDArray[Any]) -> NDArray[Any]:
    """Return the counts of a model whose weights are set to the average."""
    model = keras_models.model_from_spec(job.model.read_bytes())
    owners = [decode_tensors(path.read_bytes()) for path in (*job.updates, job.base)]
    tensors = decode_tensors(job.evaluation.read_bytes())
    counts = []
    for row in coalition_coefficients(coalitions, job.num_samples, job.averaging):
        model.set_weights(
            [sum(c * o[name] for c, o in zip(row, owners, strict=True)) for name in owners[0]]
        )
        outputs = np.asarray(model(tensors["x"], training=False))
        counts.append(int((outputs.argmax(axis=1) == tensors["y"]).sum()))
    return np.array(counts)


def residual(k: Any, x: Any) -> Any:
    """As in the benchmark: normalised convolutions with a skip connection."""
    maps = k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(k.Reshape((8, 8, 1))(x)))
    maps = k.MaxPooling2D()(k.ReLU()(maps))
    inner = k.BatchNormalization()(k.Conv2D(4, 3, padding="same", use_bias=False)(maps))
    maps = k.ReLU()(k.Add()([maps, inner]))
    return k.GlobalAveragePooling2D()(maps)


def downsampling(k: Any, x: Any) -> Any:
    """Strided convolutions with a projection beside them, then global max pooling."""
    maps = k.Conv2D(3, 3, padding="same", activation="relu")(k.Reshape((8, 8, 1))(x))
    inner = k.Conv2D(6, 3, strides=2, padding="same")(maps)
    inner = k.BatchNormalization(scale=False)(inner)
    beside = k.BatchNormalization(center=False)(k.Conv2D(6, 1, strides=2)(maps))
    maps = k.Activation("tanh")(k.Add()([inner, beside]))
    return k.GlobalMaxPooling2D()(k.SpatialDropout2D(0.2)(maps))


def branches(k: Any, x: Any) -> Any:
    """Convolutions of several kernel sizes in parallel, all on the input."""
    lifted = k.Reshape((8, 8, 1))(x)
    small = k.Conv2D(2, 1, padding="same")(lifted)
    large = k.Conv2D(3, (5, 4), padding="same", activation="sigmoid")(lifted)
    joined = k.Concatenate()([small, large, lifted])
    pooled = k.AveragePooling2D((3, 2))(joined)
    return k.Flatten()(k.Dropout(0.5)(pooled))


def out_of_the_usual_order(k: Any, x: Any) -> Any:
    """Normalisation after pooling, of inputs and of flattened maps; rescaling in the middle."""
    maps = k.BatchNormalization()(k.Reshape((8, 8, 1))(k.Rescaling(0.5, 0.1)(x)))
    maps = k.MaxPooling2D()(k.Conv2D(3, 3, strides=(2, 1), padding="valid")(maps))
    maps = k.ReLU()(k.BatchNormalization()(maps))
    flat = k.BatchNormalization()(k.Flatten()(k.Rescaling(-2.0, 0.3)(maps)))
    again = k.Softmax()(k.BatchNormalization()(k.Dense(6)(flat)))
    return k.Concatenate()([again, k.Activation("tanh")(flat), k.Identity()(again)])


def several_reads(k: Any, x: Any) -> Any:
    """Values that are read again after an in-place operation used them."""
    flat = k.Flatten()(x)
    first = k.Dense(7)(flat)
    bent, scaled = k.ReLU()(first), k.Rescaling(3.0)(first)
    doubled = k.Add()([first, first, bent])
    return k.Add()([k.Activation("sigmoid")(doubled), bent, scaled, k.ReLU()(scaled)])


def scaled_input(k: Any, x: Any) -> Any:
    """An activation directly on the scaled inputs, which all coalitions share."""
    return k.BatchNormalization()(k.Activation("tanh")(k.Flatten()(k.Rescaling(2.0, -1.0)(x))))


GRAPHS = [residual, downsampling, branches, out_of_the_usual_order, several_reads, scaled_input]


def built(body: Callable[[Any, Any], Any]) -> Any:
    keras = keras_runtime.load_keras()
    inputs = keras.Input((8, 8))
    outputs = keras.layers.Dense(CLASSES, activation="softmax")(body(keras.layers, inputs))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("body", GRAPHS)
def test_it_counts_as_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Callable[[Any, Any], Any]
) -> None:
    job = job_for(tmp_path, built(body))
    rows = all_coalitions(CLIENTS)
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, GraphEvaluator)
    counts = evaluator.evaluate(rows)
    assert abs(counts - keras_counts(job, rows)).max() <= 1
    assert len(set(counts.tolist())) > 3
    # Again in smaller batches; kept values are unchanged.
    assert (evaluator.evaluate(rows[::-1])[::-1] == counts).all()
    parts = [jobs.load_evaluator(job, ExampleShare(k, 2)).evaluate(rows) for k in range(2)]
    np.testing.assert_array_equal(sum(parts), counts)
    for limit in ("MAX_VALUE_BYTES", "MAX_WEIGHT_BYTES", "MAX_CACHE_BYTES"):
        monkeypatch.setattr(graph_module, limit, 1)
        assert abs(jobs.load_evaluator(job).evaluate(rows) - counts).max() <= 1


def test_normalisation_in_a_row_of_layers(tmp_path: Path) -> None:
    keras = keras_runtime.load_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Flatten(),
            layers.Dense(9),
            layers.BatchNormalization(epsilon=0.1),
            layers.Dropout(0.4),
            layers.ReLU(),
            layers.Dense(CLASSES),
        ]
    )
    job = job_for(tmp_path, model)
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, GraphEvaluator)
    rows = all_coalitions(CLIENTS)
    assert abs(evaluator.evaluate(rows) - keras_counts(job, rows)).max() <= 1


def test_a_functional_row_of_dense_layers_is_as_fast_as_a_sequential(tmp_path: Path) -> None:
    job = job_for(tmp_path, built(lambda k, x: k.Dense(6, activation="tanh")(k.Flatten()(x))))
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, DenseEvaluator)
    rows = all_coalitions(CLIENTS)
    assert abs(evaluator.evaluate(rows) - keras_counts(job, rows)).max() <= 1


@pytest.mark.parametrize(
    "body",
    [
        lambda k, x: k.Flatten()(k.LayerNormalization()(x)),
        lambda k, x: k.Dense(4, activation="gelu")(k.Flatten()(x)),
        lambda k, x: k.Flatten()(k.BatchNormalization(axis=1)(x)),
        lambda k, x: k.LeakyReLU()(k.Flatten()(x)),
        lambda k, x: k.Flatten()(k.Conv2D(2, 3, dilation_rate=2)(k.Reshape((8, 8, 1))(x))),
        lambda k, x: k.Flatten()(k.MaxPooling2D(3, 2)(k.Reshape((8, 8, 1))(x))),
        lambda k, x: k.Flatten()(k.Softmax()(x)),
        lambda k, x: k.Flatten()(k.Concatenate(axis=1)([x, x])),
        lambda k, x: k.Dropout(0.5)(k.Flatten()(x), training=True),
        lambda k, x: k.Multiply()([k.Flatten()(x), k.Flatten()(x)]),
    ],
)
def test_other_layers_are_left_to_keras(body: Callable[[Any, Any], Any]) -> None:
    assert read_graph(parse_spec(keras_models.spec_from_model(built(body)))) is None


def test_a_layer_that_is_called_twice_is_left_to_keras() -> None:
    def twice(k: Any, x: Any) -> Any:
        layer = k.Dense(64)
        return layer(layer(k.Flatten()(x)))

    assert read_graph(parse_spec(keras_models.spec_from_model(built(twice)))) is None


def test_layers_in_another_order_are_left_to_keras() -> None:
    """Keras reorders such layers, and their weights, when it rebuilds the model."""
    spec = parse_spec(keras_models.spec_from_model(built(several_reads)))
    assert read_graph(spec) is not None
    config = json.loads(spec.keras_json)
    layers = config["config"]["layers"]
    places = [place for place, layer in enumerate(layers) if layer["class_name"] != "InputLayer"]
    changed = 0
    for first, second in itertools.pairwise(places):
        swapped = list(layers)
        swapped[first], swapped[second] = layers[second], layers[first]
        config["config"]["layers"] = swapped
        spec.keras_json = json.dumps(config)
        changed += read_graph(spec) is None
    assert changed == len(places) - 1
