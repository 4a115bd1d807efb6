"""Decide from an architecture whether NumPy can compute the model, and read it as a graph.

NumPy computes sequences and graphs of dense layers, 2-D convolutions, pooling, batch normalisation,
sums and concatenations of values, and activations. Dropout is accepted and does nothing outside
training. Each layer must be called exactly once. For any other model `read_graph` returns None, and
Keras evaluates it, or onnxruntime if its architecture is an ONNX graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedcoin.learning.model.layer_reader import LayerReader, Value
from fedcoin.learning.model.layers import Graph
from fedcoin.learning.model.onnx_models import graph_checks, layer_graph
from fedcoin.learning.model.spec import is_onnx, parse_architecture
from fedcoin.v1 import artifact_pb2


def read_graph(spec: artifact_pb2.ModelSpec) -> Graph | None:
    """Read a model as a graph of layers that NumPy computes.

    Args:
        spec: The model, checked by `spec.check_spec`.

    Returns:
        The graph from the input to the outputs, or None when NumPy cannot compute the model.

    Raises:
        RefusalError: WRONG_SHAPE when the architecture's weights are not those that the spec lists;
            BAD_MODEL when its width is not `num_classes`; for an ONNX graph BAD_MODEL when its
            operators do not fit together, and WRONG_DTYPE when a value has a type that is not
            allowed.
    """
    if is_onnx(spec):
        return layer_graph.read_layer_graph(graph_checks.read_onnx(spec), spec.num_classes)
    model = parse_architecture(spec.keras_json)
    calls = _list_calls(model)
    if not calls or not _is_input_layer(calls[0], tuple(spec.input_shape)):
        return None
    reader = LayerReader(spec)
    values: dict[str, Value] = {calls[0].layer: reader.input}
    for call in calls[1:]:
        value = reader.read(call.class_name, call.config, [values[name] for name in call.inputs])
        if value is None:
            return None
        values[call.layer] = value
    return reader.finish(values[calls[-1].layer])


@dataclass(frozen=True, slots=True)
class _Call:
    """A layer by name, and the names of the layers whose outputs it reads."""

    layer: str
    class_name: str
    config: dict[str, Any]
    inputs: tuple[str, ...]


def _list_calls(model: Mapping[str, Any]) -> list[_Call] | None:
    """List the layers in the order of the model's weights, the input first, the output last."""
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list) or not all(_is_keras_layer(layer) for layer in layers):
        return None
    if model.get("class_name") == "Sequential":
        names = [str(index) for index in range(len(layers))]
        inputs = [(), *((name,) for name in names[:-1])]
        return [
            _Call(name, layer["class_name"], layer["config"], layer_inputs)
            for name, layer, layer_inputs in zip(names, layers, inputs, strict=False)
        ]
    assert isinstance(config, dict)
    calls = [call for layer in layers if (call := _functional_call(layer)) is not None]
    ends = [_layer_of_output(config.get(key)) for key in ("input_layers", "output_layers")]
    names = [call.layer for call in calls]
    if len(calls) < len(layers) or not names or ends != [names[0], names[-1]]:
        return None
    return calls if _is_in_keras_order(calls) else None


def _is_keras_layer(layer: object) -> bool:
    return (
        isinstance(layer, dict)
        and layer.get("module") == "keras.layers"
        and isinstance(layer.get("class_name"), str)
        and isinstance(layer.get("config"), dict)
    )


def _functional_call(layer: Mapping[str, Any]) -> _Call | None:
    """Read a layer of a Functional model; None unless it is called once, on whole outputs.

    Arguments besides the inputs must have their defaults: with `training=True`, for example, a
    dropout would not be the identity.
    """
    nodes, name = layer.get("inbound_nodes"), layer.get("name")
    if not isinstance(nodes, list) or not isinstance(name, str):
        return None
    class_name, config = layer["class_name"], layer["config"]
    if not nodes and class_name == "InputLayer":
        return _Call(name, class_name, config, ())
    node = nodes[0] if len(nodes) == 1 and isinstance(nodes[0], dict) else {}
    arguments, keywords = node.get("args"), node.get("kwargs")
    if not isinstance(keywords, dict) or not isinstance(arguments, list) or len(arguments) != 1:
        return None
    if any(value not in (None, False) for value in keywords.values()):
        return None
    is_list = isinstance(arguments[0], list)
    sources = [_source_layer(tensor) for tensor in (arguments[0] if is_list else arguments)]
    inputs = tuple(source for source in sources if source is not None)
    if len(inputs) < len(sources) or (len(inputs) > 1) is not is_list:
        return None
    return _Call(name, class_name, config, inputs)


def _source_layer(tensor: object) -> str | None:
    """Return the name of the layer that outputs a tensor in the JSON."""
    config = tensor.get("config") if isinstance(tensor, dict) else None
    return _layer_of_output(config.get("keras_history")) if isinstance(config, dict) else None


def _layer_of_output(history: object) -> str | None:
    """Return the layer's name of [name, 0, 0], the first output of its first call."""
    if isinstance(history, list) and len(history) == 1:
        history = history[0]
    if not isinstance(history, list) or len(history) != 3 or history[1:] != [0, 0]:
        return None
    return history[0] if isinstance(history[0], str) else None


def _is_in_keras_order(calls: Sequence[_Call]) -> bool:
    """Tell whether Keras keeps this order of layers, and so of weights, when it builds the model.

    Keras sorts layers by depth, the farthest from the output first, and layers of one depth in the
    order in which a depth-first search from the output visits them
    (`keras.src.ops.function.map_graph`).
    """
    parents = {call.layer: call.inputs for call in calls}
    known: set[str] = set()
    for call in calls:
        if call.layer in known or not known.issuperset(call.inputs):
            return False
        known.add(call.layer)
    visits, post_order = _depth_first_search(parents, calls[-1].layer)
    depths: dict[str, int] = {}
    for name in reversed(post_order):
        depth = depths.setdefault(name, 0)
        for parent in parents[name]:
            depths[parent] = max(depth + 1, depths.get(parent, 0))
    return sorted(visits, key=lambda name: (-depths[name], visits[name])) == list(parents)


def _depth_first_search(
    parents: Mapping[str, Sequence[str]], output: str
) -> tuple[dict[str, int], list[str]]:
    """Return each layer's position in the order of visits, and the layers in post-order."""
    visits: dict[str, int] = {output: 0}
    post_order: list[str] = []
    stack: list[tuple[str, Iterator[str]]] = [(output, iter(parents[output]))]
    while stack:
        name, remaining = stack[-1]
        parent = next((parent for parent in remaining if parent not in visits), None)
        if parent is None:
            post_order.append(name)
            stack.pop()
        else:
            visits[parent] = len(visits)
            stack.append((parent, iter(parents[parent])))
    return visits, post_order


def _is_input_layer(call: _Call, input_shape: tuple[int, ...]) -> bool:
    return (
        call.class_name == "InputLayer"
        and call.config.get("dtype") == "float32"
        and call.config.get("batch_shape") == [None, *input_shape]
    )
