"""ONNX graphs in NumPy and in onnxruntime, against onnx' reference implementation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.evaluation.onnx_evaluator import OnnxEvaluator
from fedcoin.learning.model.spec import check_spec, parse_spec
from fedcoin.learning.workers import jobs
from fedcoin.v1 import artifact_pb2, task_pb2
from tests.support.onnx_graphs import graph_spec, mlp_spec, node
from tests.support.small_models import all_coalitions, evaluation, write_job

CLIENTS, EXAMPLES = 3, 400


def residual() -> artifact_pb2.ModelSpec:
    """Maps of three channels, a padded convolution with strides, a projection beside it."""
    nodes = [
        node("Conv", "x k0 b0", "m0", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "m0 g0 e0 u0 v0", "n0"),
        node("Relu", "n0", "r0"),
        node("Conv", "r0 k1", "m1", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Conv", "r0 k2", "m2", strides=[2, 2]),
        node("Add", "m1 m2", "s"),
        node("Relu", "s", "r1"),
        node("GlobalAveragePool", "r1", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f w c", "y", transB=1),
    ]
    weights = {
        "k0": (4, 3, 3, 3), "b0": (4,), "g0": (4,), "e0": (4,), "u0": (4,), "v0": (4,),
        "k1": (6, 4, 3, 3), "k2": (6, 4, 1, 1), "w": (5, 6), "c": (5,),
    }  # fmt: skip
    return graph_spec(nodes, (3, 7, 6), weights, 5)


def concatenated() -> artifact_pb2.ModelSpec:
    """Maps that are joined, pooled and flattened with the channels first; uneven padding."""
    nodes = [
        node("Mul", "x half", "scaled"),
        node("Conv", "scaled k0 b0", "m0", pads=[0, 2, 1, 0]),
        node("Sigmoid", "m0", "a0"),
        node("MaxPool", "a0", "p0", kernel_shape=[2, 2], strides=[2, 2]),
        node("Tanh", "p0", "a1"),
        node("Concat", "p0 a1", "j", axis=1),
        node("AveragePool", "j", "p1", kernel_shape=[1, 2], strides=[1, 2]),
        node("Reshape", "p1 shape", "f"),
        node("MatMul", "f w", "d"),
        node("Add", "c d", "z"),
        node("LogSoftmax", "z", "y", axis=1),
    ]
    weights = {"k0": (3, 2, 2, 3), "b0": (3,), "w": (36, 4), "c": (4,)}
    constants = {"half": np.float32(0.5), "shape": np.array([0, -1])}
    return graph_spec(nodes, (2, 6, 8), weights, 4, constants)


def transposed() -> artifact_pb2.ModelSpec:
    """Dense layers as scikit-learn's and old PyTorch's exporters write them."""
    nodes = [
        node("Transpose", "w1", "t1", perm=[1, 0]),
        node("MatMul", "x t1", "d1"),
        node("Add", "d1 b1", "h1"),
        node("Tanh", "h1", "a1"),
        node("Dropout", "a1", "o1"),
        node("MatMul", "o1 w2", "d2"),
        node("Add", "d2 b2", "h2"),
        node("Softmax", "h2", "y"),
    ]
    return graph_spec(nodes, (5,), {"w1": (7, 5), "b1": (7,), "w2": (7, 3), "b2": (3,)}, 3)


def shared_product() -> artifact_pb2.ModelSpec:
    """A product that is read with its bias and without."""
    nodes = [
        node("MatMul", "x w", "d"),
        node("Add", "d b", "h"),
        node("Relu", "h", "r"),
        node("Add", "r d", "y"),
    ]
    return graph_spec(nodes, (5,), {"w": (5, 3), "b": (3,)}, 3)


def grouped() -> artifact_pb2.ModelSpec:
    nodes = [
        node("Conv", "x k", "m", group=2),
        node("LeakyRelu", "m", "a", alpha=0.1),
        node("Flatten", "a", "f"),
        node("Gemm", "f w", "y"),
    ]
    return graph_spec(nodes, (4, 4, 4), {"k": (4, 2, 3, 3), "w": (16, 3)}, 3)


def token_ids() -> artifact_pb2.ModelSpec:
    nodes = [
        node("Gather", "e x", "v"),
        node("ReduceMean", "v axes", "m", keepdims=0),
        node("Gemm", "m w", "y"),
    ]
    shapes = {"e": (20, 6), "w": (6, 3)}
    return graph_spec(nodes, (7,), shapes, 3, {"axes": np.array([1])}, TensorProto.INT64)


NUMPY = {"mlp": mlp_spec, "transposed": transposed}
GRAPHS = {"residual": residual, "concatenated": concatenated}
RUNTIME = {"grouped": grouped, "token ids": token_ids, "shared product": shared_product}


def job_for(folder: Path, spec: artifact_pb2.ModelSpec) -> UtilityJob:
    check_spec(spec)
    generator = np.random.default_rng(3)

    def weights() -> dict[str, NDArray[Any]]:
        found = {}
        for weight in spec.weights:
            array = generator.standard_normal(tuple(weight.shape)) / np.sqrt(weight.shape[-1])
            found[weight.name] = (abs(array) if weight.name[0] == "v" else array).astype("f4")
        return found

    x, y = evaluation(spec, EXAMPLES)
    if spec.weights[0].name == "e":
        x = generator.integers(0, 20, x.shape).astype(np.int32)
    base, *updates = (weights() for _ in range(CLIENTS + 1))
    return write_job(folder, spec, base, updates, x, y)


def reference_counts(job: UtilityJob, coalitions: NDArray[Any]) -> NDArray[Any]:
    spec = parse_spec(job.model.read_bytes())
    model = onnx.ModelProto.FromString(spec.onnx)
    evaluator = ReferenceEvaluator(model)
    owners = [decode_tensors(path.read_bytes()) for path in (*job.updates, job.base)]
    tensors = decode_tensors(job.evaluation.read_bytes())
    x, y = tensors["x"], tensors["y"]
    if model.graph.input[0].type.tensor_type.elem_type == TensorProto.INT64:
        x = x.astype(np.int64)
    counts = []
    for row in coalition_coefficients(coalitions, job.num_samples, job.averaging):
        averaged = {
            name: sum(c * o[name] for c, o in zip(row, owners, strict=True)).astype(np.float32)
            for name in owners[0]
        }
        outputs: Any = evaluator.run(None, {"x": x, **averaged})[0]
        counts.append(int((outputs.argmax(axis=1) == y).sum()))
    return np.array(counts)


@pytest.mark.parametrize("name", [*NUMPY, *GRAPHS, *RUNTIME])
def test_counts_are_the_references(name: str, tmp_path: Path) -> None:
    job = job_for(tmp_path, {**NUMPY, **GRAPHS, **RUNTIME}[name]())
    evaluator = jobs.load_evaluator(job)
    expected = DenseEvaluator if name in NUMPY else GraphEvaluator
    assert isinstance(evaluator, OnnxEvaluator if name in RUNTIME else expected)
    coalitions = all_coalitions(CLIENTS)
    counts = reference_counts(job, coalitions)
    assert len(set(counts.tolist())) > 2
    assert evaluator.evaluate(coalitions).tolist() == counts.tolist()


@pytest.mark.parametrize("name", [*NUMPY, *GRAPHS])
def test_onnxruntime_counts_the_same_as_numpy(name: str, tmp_path: Path) -> None:
    job = job_for(tmp_path, {**NUMPY, **GRAPHS}[name]())
    spec = parse_spec(job.model.read_bytes())
    base, *updates = (decode_tensors(p.read_bytes()) for p in (job.base, *job.updates))
    tensors = decode_tensors(job.evaluation.read_bytes())
    runtime = OnnxEvaluator(spec, base, updates, tensors["x"], tensors["y"], job)
    coalitions = all_coalitions(CLIENTS)
    expected = jobs.load_evaluator(job).evaluate(coalitions)
    assert runtime.evaluate(coalitions).tolist() == expected.tolist()


def test_a_row_of_outputs_for_each_position(tmp_path: Path) -> None:
    """A model of the next token: its right answers are those of the reference."""
    nodes = [node("Gather", "e x", "v"), node("MatMul", "v w", "y")]
    spec = graph_spec(nodes, (7,), {"e": (20, 6), "w": (6, 20)}, 20, {}, TensorProto.INT64)
    job = job_for(tmp_path, spec)
    tensors = decode_tensors(job.evaluation.read_bytes())
    x = tensors["x"]
    tokens = np.roll(x, -1, axis=1).astype(np.int32)
    job.evaluation.write_bytes(encode_tensors({"x": x, "y": tokens}))
    job = replace(job, utility=task_pb2.UTILITY_NEXT_TOKEN_ACCURACY)
    base = decode_tensors(job.base.read_bytes())
    right = (base["e"][x] @ base["w"]).argmax(axis=2) == tokens
    alone = all_coalitions(CLIENTS)[:1]
    assert jobs.load_evaluator(job).evaluate(alone).tolist() == [right.sum() * 10**6 // right.size]
    with pytest.raises(RefusalError) as caught:
        jobs.load_evaluator(replace(job, utility=task_pb2.UTILITY_ACCURACY))
    assert caught.value.code in (LearningCode.WRONG_SHAPE, LearningCode.LABEL_OUT_OF_RANGE)


def test_shares_add_up(tmp_path: Path) -> None:
    job, coalitions = job_for(tmp_path, grouped()), all_coalitions(CLIENTS)
    shares = [jobs.load_evaluator(job, ExampleShare(k, 2)).evaluate(coalitions) for k in (0, 1)]
    assert min(share.max() for share in shares) > 0
    assert np.sum(shares, axis=0).tolist() == jobs.load_evaluator(job).evaluate(coalitions).tolist()


def test_numbers_that_are_no_numbers_are_wrong_answers(tmp_path: Path) -> None:
    nodes = [node("Log", "x", "l"), node("Gemm", "l w", "y")]
    job = job_for(tmp_path, graph_spec(nodes, (2,), {"w": (2, 3)}, 3))
    negative = (decode_tensors(job.evaluation.read_bytes())["x"] < 0).any(axis=1).sum()
    assert jobs.load_evaluator(job).evaluate(all_coalitions(CLIENTS)).max() > 0
    assert jobs.load_evaluator(job).evaluate(all_coalitions(CLIENTS)).max() <= EXAMPLES - negative


def test_what_onnxruntime_cannot_compute_is_refused(tmp_path: Path) -> None:
    """A token beyond the vocabulary, which the checks of an evaluation set find before."""
    job = job_for(tmp_path, token_ids())
    base, *updates = (decode_tensors(path.read_bytes()) for path in (job.base, *job.updates))
    tensors = decode_tensors(job.evaluation.read_bytes())
    x = tensors["x"].copy()
    x[3, 0] = 20
    evaluator = OnnxEvaluator(token_ids(), base, updates, x, tensors["y"], job)
    with pytest.raises(RefusalError, match="onnxruntime cannot compute") as caught:
        evaluator.evaluate(all_coalitions(CLIENTS))
    assert caught.value.code is LearningCode.BAD_MODEL


def test_without_onnxruntime_the_task_is_refused_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validator that cannot evaluate a task must not vote for it; NumPy's models need nothing."""
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    for spec, is_refused in ((grouped(), True), (mlp_spec(), False)):
        job = job_for(tmp_path / str(is_refused), spec)
        aggregate = tmp_path / "aggregate"
        aggregate.write_bytes(job.base.read_bytes())
        if is_refused:
            for call in (jobs.check_job, jobs.load_evaluator):
                arguments: Any = (job, aggregate, EXAMPLES) if call is jobs.check_job else (job,)
                with pytest.raises(RefusalError, match=r"fedcoin\[onnx\]") as caught:
                    call(*arguments)
                assert caught.value.code is LearningCode.MISSING_PACKAGE
        else:
            assert isinstance(jobs.load_evaluator(job), DenseEvaluator)
