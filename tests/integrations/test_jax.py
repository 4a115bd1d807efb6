"""Networks of JAX, exported by jax2onnx: all coalitions count as JAX counts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("jax2onnx", reason="needs jax2onnx: make test-integrations")

import jax
import onnx
from flax import nnx
from jax2onnx import to_onnx

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.model.onnx_files import read_onnx_file
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.model.weight_files import read_weights_file
from fedcoin.learning.workers.jobs import load_evaluator
from tests.support.small_models import all_coalitions, write_job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    # Flax and jax2onnx use what Flax and JAX call deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CLIENTS, CLASSES, EXAMPLES = 4, 5, 200
Network = Any


class Dense(nnx.Module):
    shape = (12,)

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first, self.last = nnx.Linear(12, 16, rngs=rngs), nnx.Linear(16, CLASSES, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.last(nnx.tanh(self.first(x)))


class Convolution(nnx.Module):
    shape = (8, 8, 1)

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(1, 6, (3, 3), rngs=rngs)
        self.last = nnx.Linear(6 * 16, CLASSES, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        maps = nnx.avg_pool(nnx.relu(self.first(x)), window_shape=(2, 2), strides=(2, 2))
        return self.last(maps.reshape(maps.shape[0], -1))


def exported(network: Network, path: Path) -> dict[str, Any]:
    """Export a network, and return the arrays of the file, as a client does with its own."""
    model = to_onnx(network, [("B", *network.shape)])
    onnx.save(model, str(path))
    return {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}


def moved(network: Network, seed: int) -> list[NDArray[Any]]:
    """Return the network's arrays as a client would train them: with noise."""
    rng = np.random.default_rng(seed)
    return [
        np.asarray(array + 0.3 * rng.standard_normal(array.shape), np.float32)
        for array in jax.tree.leaves(nnx.state(network))
    ]


def with_arrays(network: Network, arrays: list[Any]) -> Network:
    """Put arrays into a network."""
    shape = jax.tree.structure(nnx.state(network))
    nnx.update(network, jax.tree.unflatten(shape, [jax.numpy.asarray(a) for a in arrays]))
    return network


@pytest.mark.parametrize("kind", [Dense, Convolution])
def test_all_coalitions_count_as_in_jax(kind: Any, tmp_path: Path) -> None:
    network = kind(nnx.Rngs(0))
    owners = [moved(network, seed) for seed in range(CLIENTS + 1)]
    model = tmp_path / "model.onnx"
    spec_raw = b""
    weights = []
    for number, arrays in enumerate(owners):
        held = exported(with_arrays(network, arrays), model)
        spec_raw = spec_raw or read_onnx_file(str(model)).spec.SerializeToString()
        path = tmp_path / f"{number}.npz"
        np.savez(path, **held)
        weights.append(decode_tensors(read_weights_file(path, spec_raw).tensors))
    rng = np.random.default_rng(9)
    x = rng.standard_normal((EXAMPLES, *network.shape)).astype(np.float32)
    y = rng.integers(0, CLASSES, EXAMPLES)
    job = write_job(tmp_path / "job", parse_spec(spec_raw), weights[0], weights[1:], x, y)
    counts = load_evaluator(job).evaluate(all_coalitions(CLIENTS))
    expected = []
    for row in coalition_coefficients(all_coalitions(CLIENTS), job.num_samples, job.averaging):
        models = zip(*(*owners[1:], owners[0]), strict=True)
        averaged = [sum(c * a for c, a in zip(row, arrays, strict=True)) for arrays in models]
        outputs = with_arrays(network, [np.float32(a) for a in averaged])(x)
        expected.append(int((outputs.argmax(1) == y).sum()))
    assert counts.tolist() == expected
    assert len(set(expected)) > 1
