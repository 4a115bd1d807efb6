"""PyTorch networks as models of a campaign: their graph in ONNX, their weights by name.

`export` writes a network once, when a campaign begins. `weights` turns the state dict of the same
network into weights under the same names, for each update:

    network = export(model, torch.zeros(1, 3, 32, 32))
    update = weights(model.state_dict(), network.spec)

PyTorch's exporters change weights on the way: they drop biases that are zero, join tensors that are
equal, and fold a batch normalisation into the layer before it. They are therefore given a copy of
the network in which all tensors differ, and the graph is refused unless it holds exactly those
tensors, under the state dict's names. With the true weights it must then give the network's
outputs.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.integrations.exported_network import ExportedNetwork, Floats
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.onnx_evaluator import start_session
from fedcoin.learning.model.onnx_files import OnnxNetwork, from_onnx
from fedcoin.learning.model.spec import parse_spec, weight_shapes

OPSET = 18
"""The version of ONNX' operators that graphs are written with."""

OUTPUT_TOLERANCE = 1e-4
"""How far an output of the graph may be from PyTorch's, relative to the larger of 1 and the largest
output. Covers another order of summation in float32."""

Exporter = Callable[[Any, Any, Any], Any]
"""Writes a network as an `onnx.ModelProto`, from the module `torch`, the network and a batch."""

_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and `torch.compile` put before each name of a state dict."""


def export(model: Any, example: Any) -> ExportedNetwork:
    """Describe a PyTorch network as a ModelSpec and its weights.

    Args:
        model: A `torch.nn.Module` whose weights are float32. It is exported as it computes in
            `eval()`, from one input to one output for each class, and is not changed.
        example: A tensor of at least one example, (m, *input_shape), float32, int32 or int64.

    Returns:
        The ModelSpec, the weights by the state dict's names, and what was left out.

    Raises:
        RefusalError: WRONG_DTYPE when the example or a weight has another dtype; BAD_MODEL when
            PyTorch cannot write the network as ONNX, when the graph does not hold the network's
            tensors one to one, or gives other outputs than the network; MODEL_TOO_LARGE or
            FORBIDDEN_LAYER when the graph is too large or uses an operator that is not allowed.
        ImportError: PyTorch is not installed.
    """
    import torch

    if example.dtype not in (torch.float32, torch.int32, torch.int64) or example.ndim < 2:
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"the example is {example.dtype} of shape {tuple(example.shape)}; give a float32, "
            "int32 or int64 tensor of shape (m, *input_shape)",
            field="example",
        )
    original = copy.deepcopy(model).cpu().eval()
    _floating_tensors(torch, original)
    refusals = []
    for write in _list_exporters():
        try:
            return _export_by(torch, write, original, example.detach().cpu())
        except RefusalError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _export_by(torch: Any, write: Exporter, model: Any, example: Any) -> ExportedNetwork:
    """Export a network by one of PyTorch's exporters, and compare the result with the network."""
    tensors = _floating_tensors(torch, model)
    distinct = copy.deepcopy(model)
    _make_distinct(torch, distinct)
    network = from_onnx(_write_graph(torch, write, distinct, example), tensors)
    _check_tensors(network.weights, _floating_tensors(torch, distinct))
    used = {name: _to_numpy(tensors[name]) for name in network.weights}
    for module, arrays in ((distinct, network.weights), (model, used)):
        _check_outputs(torch, module, example, network, arrays)
    return ExportedNetwork(
        network.spec.SerializeToString(deterministic=True),
        used,
        tuple(name for name in model.state_dict() if name not in used),
    )


def weights(state_dict: Mapping[str, Any], spec: bytes) -> dict[str, Floats]:
    """Take a network's weights out of its state dict.

    Args:
        state_dict: Tensors or arrays by name, as `model.state_dict()` has them. What the spec does
            not list is left out, such as the counters `num_batches_tracked`.
        spec: The serialised ModelSpec that `export` made of the network.

    Returns:
        float32 weights in the order of the spec.

    Raises:
        RefusalError: WRONG_NAMES when one is missing; WRONG_SHAPE when one has another shape;
            WRONG_DTYPE when one is not of floating-point numbers; BAD_MODEL or MODEL_TOO_LARGE when
            `spec` is not accepted.
    """
    shapes = weight_shapes(parse_spec(spec))
    prefix = next(
        (prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in state_dict)), ""
    )
    found: dict[str, Floats] = {}
    for name, shape in shapes.items():
        if prefix + name not in state_dict:
            raise RefusalError(
                LearningCode.WRONG_NAMES,
                f"the state dict has no {name}; it must be that of the network that was exported",
                field=name,
            )
        array = _to_numpy(state_dict[prefix + name])
        if array.shape != shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{name} has shape {array.shape}; the exported network's is {shape}",
                field=name,
                limit=str(shape),
            )
        found[name] = array
    return found


def _to_numpy(tensor: Any) -> Floats:
    is_tensor = hasattr(tensor, "detach")
    if not (tensor.is_floating_point() if is_tensor else np.issubdtype(tensor.dtype, np.floating)):
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"a weight is {tensor.dtype}; weights must be floating-point numbers",
            field="weights",
            limit="float32",
        )
    array = tensor.detach().cpu().float().numpy() if is_tensor else tensor
    return np.array(array, np.float32)


def _floating_tensors(torch: Any, model: Any) -> dict[str, Any]:
    """List a network's floating-point tensors, which must be float32."""
    tensors = {
        name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()
    }
    wrong = next((name for name in tensors if tensors[name].dtype != torch.float32), None)
    if wrong is not None:
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"{wrong} is {tensors[wrong].dtype}; export the network in float32 (`model.float()`)",
            field=wrong,
            limit="float32",
        )
    return tensors


def _make_distinct(torch: Any, model: Any) -> None:
    """Give a network random weights, all of them positive, so that no two tensors are equal."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in _floating_tensors(torch, model).values():
            noise = torch.rand(tensor.shape, generator=generator)
            fan_in = max(1, tensor[0].numel() if tensor.ndim > 1 else 1)
            tensor.copy_((noise + 0.5) / fan_in)


@contextmanager
def _plain_attention(torch: Any) -> Iterator[None]:
    """Let attention compute by operators that can be exported, not by its fast path."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


def _list_exporters() -> list[Exporter]:
    """List PyTorch's exporters: the older one, which is quicker, and the newer one if it works."""
    has_newer = importlib.util.find_spec("onnxscript") is not None
    return [_write_traced, *([_write_captured] if has_newer else [])]


def _write_graph(torch: Any, write: Exporter, model: Any, example: Any) -> Any:
    """Write a network as an `onnx.ModelProto` with its tensors as initializers."""
    batch = torch.cat([example, example, example])[:3]
    try:
        with warnings.catch_warnings(), _plain_attention(torch), torch.no_grad():
            warnings.simplefilter("ignore")
            return write(torch, model, batch)
    except Exception as error:  # PyTorch and the network raise any class of exception
        reason = " ".join(str(error).split())[:300]
        has_newer = len(_list_exporters()) > 1
        advice = "" if has_newer else "; its newer exporter, which may, needs `onnxscript`"
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"PyTorch cannot write the network as ONNX: {reason}{advice}",
            field="model",
        ) from error


def _write_traced(torch: Any, model: Any, batch: Any) -> Any:
    """Export by tracing (PyTorch's older exporter)."""
    import onnx

    target = io.BytesIO()
    torch.onnx.export(
        model,
        (batch,),
        target,
        dynamo=False,
        input_names=["x"],
        output_names=["outputs"],
        dynamic_axes={"x": {0: "batch"}},
        opset_version=OPSET,
        # In EVAL mode the exporter folds batch normalisations.
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        keep_initializers_as_inputs=False,
    )
    return onnx.load_model_from_string(target.getvalue())


def _write_captured(torch: Any, model: Any, batch: Any) -> Any:
    """Export by `torch.export` (PyTorch's newer exporter), without its optimiser."""
    program = torch.onnx.export(
        model,
        (batch,),
        dynamo=True,
        optimize=False,
        verbose=False,
        input_names=["x"],
        output_names=["outputs"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
    )
    return program.model_proto


def _check_tensors(held: Mapping[str, Floats], expected: Mapping[str, Any]) -> None:
    for name, array in held.items():
        tensor = _to_numpy(expected[name])
        if array.shape != tensor.shape or not np.array_equal(array, tensor):
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"PyTorch's exporter changed {name}, so that clients' state dicts would not match "
                "the graph; report this with the network",
                field=name,
            )


def _check_outputs(
    torch: Any, model: Any, example: Any, network: OnnxNetwork, arrays: Mapping[str, Floats]
) -> None:
    """Compare the outputs of graph and network, for two sizes of batches."""
    session = start_session(network.spec.onnx)
    input_name = session.get_inputs()[0].name
    for batch in (torch.cat([example, example, example])[:3], example[:1]):
        with torch.no_grad(), _plain_attention(torch):
            expected = model(batch).numpy()
        inputs = {input_name: batch.numpy(), **arrays}
        outputs = session.run(None, inputs)[0]
        scale = max(1.0, float(np.abs(expected).max()))
        is_equal = outputs.shape == expected.shape and np.allclose(
            outputs, expected, rtol=0, atol=OUTPUT_TOLERANCE * scale
        )
        if not is_equal:
            distance = (
                f"outputs that differ by {np.abs(outputs - expected).max():.3g}"
                if outputs.shape == expected.shape
                else f"outputs of shape {outputs.shape} instead of {expected.shape}"
            )
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"the exported graph gives {distance} for "
                f"{format_count(len(batch), 'example')}; the network must compute the same "
                "operations for every input and batch",
                field="model",
            )
