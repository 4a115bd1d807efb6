"""Small models and weights without TensorFlow."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.files.weight_names import is_variance
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.layers import Layer, sequential_layers
from fedcoin.v1 import artifact_pb2, task_pb2

FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}


def layer(name: str, **config: Any) -> dict[str, Any]:
    config = {"dtype": FLOAT32, "trainable": True, **config}
    return {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}


def dense(units: int, activation: str = "linear", use_bias: bool = True) -> dict[str, Any]:
    return layer("Dense", units=units, activation=activation, use_bias=use_bias)


def flatten() -> dict[str, Any]:
    return layer("Flatten", data_format="channels_last")


def conv(
    filters: int,
    size: Sequence[int],
    padding: str = "same",
    activation: str = "linear",
    use_bias: bool = True,
    steps: Sequence[int] = (1, 1),
) -> dict[str, Any]:
    return layer(
        "Conv2D",
        filters=filters,
        kernel_size=list(size),
        strides=list(steps),
        padding=padding,
        data_format="channels_last",
        dilation_rate=[1, 1],
        groups=1,
        activation=activation,
        use_bias=use_bias,
    )


def pool(*size: int) -> dict[str, Any]:
    fields = list(size)
    return layer(
        "MaxPooling2D",
        pool_size=fields,
        strides=fields,
        padding="valid",
        data_format="channels_last",
    )


def sequential(input_shape: Sequence[int], *layers: dict[str, Any]) -> dict[str, Any]:
    first = layer("InputLayer", batch_shape=[None, *input_shape], dtype="float32")
    names = [
        {**item, "config": {**item["config"], "name": f"l{number}"}}
        for number, item in enumerate((first, *layers))
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "small", "trainable": True, "dtype": FLOAT32, "layers": names},
        "registered_name": None,
    }


def spec_of(
    model: dict[str, Any],
    input_shape: Sequence[int],
    classes: int,
    shapes: Sequence[Sequence[int]],
) -> artifact_pb2.ModelSpec:
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(model), input_shape=input_shape, num_classes=classes
    )
    for number, shape in enumerate(shapes):
        spec.weights.add(name=f"w{number}", dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=shape)
    return spec


def mlp_spec(
    input_shape: Sequence[int] = (4, 4),
    hidden: Sequence[int] = (8,),
    classes: int = 3,
    activation: str = "relu",
) -> artifact_pb2.ModelSpec:
    widths = [math.prod(input_shape), *hidden, classes]
    layers = [dense(width, activation) for width in hidden]
    shapes = [
        shape
        for before, after in itertools.pairwise(widths)
        for shape in ((before, after), (after,))
    ]
    model = sequential(input_shape, flatten(), *layers, dense(classes, "softmax"))
    return spec_of(model, input_shape, classes, shapes)


def recurrent_spec(steps: int, units: int = 8) -> artifact_pb2.ModelSpec:
    """Return a model of few weights, whose work grows with its number of steps."""
    repeat = layer("RepeatVector", n=steps)
    recurrent = layer("SimpleRNN", units=units, activation="tanh")
    model = sequential((6,), repeat, recurrent, dense(3))
    return spec_of(model, (6,), 3, [(6, units), (units, units), (units,), (units, 3), (3,)])


def read_layers(spec: artifact_pb2.ModelSpec) -> tuple[Layer, ...] | None:
    """Return the layers of a sequential model that NumPy can evaluate, or None."""
    graph = read_graph(spec)
    return None if graph is None else sequential_layers(graph)


def random_weights(spec: artifact_pb2.ModelSpec, seed: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    weights = {
        weight.name: generator.standard_normal(tuple(weight.shape)).astype(np.float32)
        for weight in spec.weights
    }
    return {name: np.abs(array) if is_variance(name) else array for name, array in weights.items()}


def evaluation(
    spec: artifact_pb2.ModelSpec, examples: int, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((examples, *spec.input_shape)).astype(np.float32)
    return x, generator.integers(0, spec.num_classes, examples)


def write_job(
    folder: Path,
    spec: artifact_pb2.ModelSpec,
    base: dict[str, NDArray[Any]],
    updates: Sequence[dict[str, NDArray[Any]]],
    x: NDArray[Any],
    y: NDArray[Any],
    num_samples: Sequence[int] = (),
    averaging: int = task_pb2.AVERAGING_RENORMALISED,
    empty: int = task_pb2.EMPTY_COALITION_BASE_MODEL,
    job_id: bytes = b"job",
) -> UtilityJob:
    """Write a job's files into a folder; returns the job."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model").write_bytes(spec.SerializeToString(deterministic=True))
    (folder / "base").write_bytes(encode_tensors(base))
    (folder / "evaluation").write_bytes(encode_tensors({"x": x, "y": y}))
    for number, update in enumerate(updates):
        (folder / f"update{number}").write_bytes(encode_tensors(update))
    return UtilityJob(
        job_id=job_id,
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / f"update{number}" for number in range(len(updates))),
        num_samples=tuple(num_samples) or tuple(range(10, 10 + len(updates))),
        evaluation=folder / "evaluation",
        averaging=averaging,
        empty=empty,
    )


def all_coalitions(clients: int) -> NDArray[Any]:
    masks = np.arange(1 << clients)[:, None]
    return (masks >> np.arange(clients) & 1).astype(np.bool_)
