"""Which models NumPy can compute, read from their architecture alone.

Chains and graphs of dense layers, 2-D convolutions, pooling, batch normalisation, sums and joins of
values, activations and dropout (nothing, outside training), each called once. For anything else
``plain_graph`` says None, and Keras does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedcoin.learning.model.layer_reader import LayerReader, Value
from fedcoin.learning.model.layers import Graph, Layer, is_sequential
from fedcoin.learning.model.spec import parse_architecture
from fedcoin.v1 import artifact_pb2


def read_graph(spec: artifact_pb2.ModelSpec) -> Graph | None:
    """The model from its input to its outputs, or None when it is not plain.

    Raises Refusal WRONG_SHAPE when the architecture's weights are not those that the spec lists,
    BAD_MODEL when its width is not ``num_classes``.
    """
    model = parse_architecture(spec.keras_json)
    calls = _calls(model)
    if not calls or not _takes(calls[0], tuple(spec.input_shape)):
        return None
    reader = LayerReader(spec)
    values: dict[str, Value] = {calls[0].layer: reader.input}
    for call in calls[1:]:
        value = reader.read(call.kind, call.config, [values[name] for name in call.inputs])
        if value is None:
            return None
        values[call.layer] = value
    return reader.finish(values[calls[-1].layer])


def plain_layers(spec: artifact_pb2.ModelSpec) -> tuple[Layer, ...] | None:
    """The layers of a plain graph that is a chain; None for any other. Raises the same."""
    graph = read_graph(spec)
    return tuple(node.layer for node in graph) if graph and is_sequential(graph) else None


@dataclass(frozen=True, slots=True)
class _Call:
    """A layer, and the names of the layers whose outputs it takes."""

    layer: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]


def _calls(model: Mapping[str, Any]) -> list[_Call] | None:
    """The layers in the order of the model's weights, the input first, the output last."""
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list) or not all(_is_plain(layer) for layer in layers):
        return None
    if model.get("class_name") == "Sequential":
        names = [str(place) for place in range(len(layers))]
        inputs = [(), *((name,) for name in names[:-1])]
        return [
            _Call(name, layer["class_name"], layer["config"], before)
            for name, layer, before in zip(names, layers, inputs, strict=False)
        ]
    assert isinstance(config, dict)
    calls = [call for layer in layers if (call := _graph_call(layer)) is not None]
    ends = [_end(config.get(key)) for key in ("input_layers", "output_layers")]
    names = [call.layer for call in calls]
    if len(calls) < len(layers) or not names or ends != [names[0], names[-1]]:
        return None
    return calls if _is_in_order(calls) else None


def _is_plain(layer: object) -> bool:
    return (
        isinstance(layer, dict)
        and layer.get("module") == "keras.layers"
        and isinstance(layer.get("class_name"), str)
        and isinstance(layer.get("config"), dict)
    )


def _graph_call(layer: Mapping[str, Any]) -> _Call | None:
    """A layer of a Functional model; None unless it is called once, on whole outputs.

    And as Keras calls it by itself: ``training=True`` would be another layer.
    """
    nodes, name = layer.get("inbound_nodes"), layer.get("name")
    if not isinstance(nodes, list) or not isinstance(name, str):
        return None
    kind, config = layer["class_name"], layer["config"]
    if not nodes and kind == "InputLayer":
        return _Call(name, kind, config, ())
    node = nodes[0] if len(nodes) == 1 and isinstance(nodes[0], dict) else {}
    arguments, named = node.get("args"), node.get("kwargs")
    if not isinstance(named, dict) or any(value not in (None, False) for value in named.values()):
        return None
    if not isinstance(arguments, list) or len(arguments) != 1:
        return None
    several = isinstance(arguments[0], list)
    found = [_source(tensor) for tensor in (arguments[0] if several else arguments)]
    inputs = tuple(source for source in found if source is not None)
    plain = len(inputs) == len(found) and (len(inputs) > 1) is several
    return _Call(name, kind, config, inputs) if plain else None


def _source(tensor: object) -> str | None:
    """Whose output a tensor in the JSON is."""
    config = tensor.get("config") if isinstance(tensor, dict) else None
    return _end(config.get("keras_history")) if isinstance(config, dict) else None


def _end(place: object) -> str | None:
    """The layer of [name, 0, 0]: its only call, its only output."""
    if isinstance(place, list) and len(place) == 1:
        place = place[0]
    plain = isinstance(place, list) and len(place) == 3 and place[1:] == [0, 0]
    return place[0] if plain and isinstance(place[0], str) else None  # type: ignore[index]


def _is_in_order(calls: Sequence[_Call]) -> bool:
    """Whether the layers stand as Keras lists them, and their weights, once it rebuilt the model.

    The farthest from the output come first; of equals, the one that a depth-first search from the
    output meets first (``keras.src.ops.function.map_graph``).
    """
    parents = {call.layer: call.inputs for call in calls}
    known: set[str] = set()
    for call in calls:
        if call.layer in known or not known.issuperset(call.inputs):
            return False
        known.add(call.layer)
    met, left = _search(parents, calls[-1].layer)
    depths: dict[str, int] = {}
    for name in reversed(left):
        depth = depths.setdefault(name, 0)
        for parent in parents[name]:
            depths[parent] = max(depth + 1, depths.get(parent, 0))
    return sorted(met, key=lambda name: (-depths[name], met[name])) == list(parents)


def _search(parents: Mapping[str, Sequence[str]], output: str) -> tuple[dict[str, int], list[str]]:
    """A depth-first search: when each layer is met, and the order in which they are left."""
    met: dict[str, int] = {output: 0}
    left: list[str] = []
    under_way: list[tuple[str, Iterator[str]]] = [(output, iter(parents[output]))]
    while under_way:
        name, rest = under_way[-1]
        parent = next((parent for parent in rest if parent not in met), None)
        if parent is None:
            left.append(name)
            under_way.pop()
        else:
            met[parent] = len(met)
            under_way.append((parent, iter(parents[parent])))
    return met, left


def _takes(call: _Call, shape: tuple[int, ...]) -> bool:
    batch_shape = call.config.get("batch_shape")
    return (
        call.kind == "InputLayer"
        and call.config.get("dtype") == "float32"
        and batch_shape == [None, *shape]
    )
