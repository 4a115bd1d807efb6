"""PyTorch networks as models: every coalition's right answers are those that PyTorch counts."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: make test-integrations")

from fedcoin.data.errors import RefusalError  # noqa: E402
from fedcoin.integrations.torch import export, weights  # noqa: E402
from fedcoin.learning.errors import LearningCode  # noqa: E402
from fedcoin.learning.evaluation.onnx_evaluator import OnnxEvaluator  # noqa: E402
from fedcoin.learning.model import onnx_files  # noqa: E402
from fedcoin.learning.model.spec import parse_spec  # noqa: E402
from fedcoin.learning.workers import jobs  # noqa: E402
from fedcoin.v1 import task_pb2  # noqa: E402
from tests.integrations.torch_coalitions import job_for, torch_counts  # noqa: E402
from tests.integrations.torch_networks import NEWER, NUMPY, REFUSED, RUNTIME, VOCABULARY  # noqa: E402
from tests.support.small_models import all_coalitions  # noqa: E402

pytestmark = pytest.mark.slow

CLIENTS, EXAMPLES = 4, 200


def trained(network: Any, seed: int) -> dict[str, Any]:
    """Return a state dict as if the network had been trained: all numbers differ from the base."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            state[name] = tensor + seed
            continue
        noise = torch.randn(tensor.shape, generator=generator) * 0.3
        state[name] = (tensor * (1 + noise)).abs() if "var" in name else tensor + noise
    if "head.weight" in state:
        state["head.weight"] = state["embedding.weight"]
    return state


@pytest.mark.parametrize("name", [*NUMPY, *RUNTIME, *NEWER])
def test_all_coalitions_count_as_in_pytorch(name: str, tmp_path: Path) -> None:
    if name in NEWER:
        pytest.importorskip("onnxscript")
    make, draw = (NUMPY | RUNTIME | NEWER)[name]
    torch.manual_seed(7)
    network, x = make(), draw(EXAMPLES)
    exported = export(network, draw(2))
    states = [trained(network, seed) for seed in range(CLIENTS + 1)]
    with torch.no_grad():
        outputs = copy.deepcopy(network).eval()(x)
        labels = torch.where(torch.rand(EXAMPLES) < 0.7, outputs.argmax(1), outputs.argmin(1))
    job = job_for(tmp_path, exported, states, x, labels)
    evaluator = jobs.load_evaluator(job)
    assert isinstance(evaluator, OnnxEvaluator) is (name not in NUMPY)
    counts = evaluator.evaluate(all_coalitions(CLIENTS)).tolist()
    assert len(set(counts)) > 3
    assert counts == torch_counts(network, states, job, x, labels)
    aggregate = tmp_path / "aggregate"
    aggregate.write_bytes(job.base.read_bytes())
    with pytest.raises(RefusalError) as caught:  # the base is not the average of the updates
        jobs.check_job(job, aggregate, EXAMPLES)
    assert caught.value.code is LearningCode.WRONG_AGGREGATE


@pytest.mark.parametrize("name", [*NUMPY, *RUNTIME])
def test_the_weights_are_those_of_the_state_dict(name: str, tmp_path: Path) -> None:
    make, draw = (NUMPY | RUNTIME)[name]
    network = make()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    exported = export(network, draw(1))
    assert network.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    found = weights(network.state_dict(), exported.spec)
    assert list(found) == [weight.name for weight in parse_spec(exported.spec).weights]
    assert set(found) | set(exported.left_out) == set(before)
    allowed = {"head.weight", "auxiliary.weight", "auxiliary.bias"}
    assert all("num_batches" in key or key in allowed for key in exported.left_out)
    for key, array in found.items():
        assert np.array_equal(array, before[key].numpy())
        assert np.array_equal(array, exported.weights[key])
    exported.write(tmp_path / "net.onnx")
    again = onnx_files.read_onnx_file(str(tmp_path / "net.onnx"))
    assert again.spec.SerializeToString(deterministic=True) == exported.spec
    assert all(np.array_equal(again.weights[key], found[key]) for key in found)


def test_a_language_model_gives_a_row_of_outputs_for_each_position(tmp_path: Path) -> None:
    network = torch.nn.Sequential(
        torch.nn.Embedding(VOCABULARY, 16),
        torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        torch.nn.Linear(16, VOCABULARY),
    )
    x = torch.randint(0, VOCABULARY, (EXAMPLES, 12))
    exported = export(network, x[:2])
    states = [trained(network, seed) for seed in range(CLIENTS + 1)]
    with torch.no_grad():
        y = copy.deepcopy(network).eval()(x).argmax(2)
    job = job_for(tmp_path, exported, states, x, y.int())
    job = dataclasses.replace(job, utility=task_pb2.UTILITY_NEXT_TOKEN_ACCURACY)
    expected = torch_counts(network, states, job, x, y, axis=2)
    found = jobs.load_evaluator(job).evaluate(all_coalitions(CLIENTS)).tolist()
    assert found == [count * 10**6 // y.numel() for count in expected]


@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_are_refused(name: str) -> None:
    (make, draw), sentence = REFUSED[name]
    with pytest.raises(RefusalError, match=sentence):
        export(make(), draw(4))


@pytest.mark.parametrize("name", NEWER)
def test_networks_that_need_the_newer_exporter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda module: find(module) if module != "onnxscript" else None
    )
    make, draw = NEWER[name]
    with pytest.raises(RefusalError, match="its newer exporter, which may, needs `onnxscript`"):
        export(make(), draw(2))


def test_state_dicts_of_other_networks_are_refused() -> None:
    exported = export(torch.nn.Linear(16, 5), torch.zeros(1, 16))
    for network, code in (
        (torch.nn.Linear(16, 5, bias=False), LearningCode.WRONG_NAMES),
        (torch.nn.Linear(15, 5), LearningCode.WRONG_SHAPE),
    ):
        with pytest.raises(RefusalError) as caught:
            weights(network.state_dict(), exported.spec)
        assert caught.value.code is code
    whole = {name: tensor.int() for name, tensor in torch.nn.Linear(16, 5).state_dict().items()}
    with pytest.raises(RefusalError) as caught:
        weights(whole, exported.spec)
    assert caught.value.code is LearningCode.WRONG_DTYPE


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_state_dicts_of_wrapped_networks_and_other_dtypes_are_read(dtype: Any) -> None:
    network = torch.nn.Linear(16, 5)
    exported = export(network, torch.zeros(1, 16))
    state = {f"module.{name}": tensor.to(dtype) for name, tensor in network.state_dict().items()}
    found = weights(state, exported.spec)
    for name, array in found.items():
        assert np.array_equal(array, state[f"module.{name}"].float().numpy())
    arrays = {name: tensor.float().numpy() for name, tensor in state.items()}
    assert all(np.array_equal(weights(arrays, exported.spec)[name], found[name]) for name in found)


def test_an_example_of_another_dtype_is_refused() -> None:
    with pytest.raises(RefusalError, match="float32, int32 or int64"):
        export(torch.nn.Linear(16, 5), torch.zeros(1, 16, dtype=torch.float64))
    with pytest.raises(RefusalError, match=r"\(m, \*input_shape\)"):
        export(torch.nn.Linear(16, 5), torch.zeros(16))
