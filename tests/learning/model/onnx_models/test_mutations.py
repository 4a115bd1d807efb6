"""Graphs that were changed at random are accepted or refused; nothing else happens."""

from __future__ import annotations

import random
from typing import Any

import onnx
import pytest
from onnx import helper

from fedcoin.data.errors import RefusalError
from fedcoin.learning.evaluation.onnx_evaluator import start_session
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.onnx_models.operators import ALLOWED_OPERATORS
from fedcoin.learning.model.spec import check_spec
from fedcoin.learning.model.work import count_work
from fedcoin.v1 import artifact_pb2
from tests.learning.evaluation.test_onnx_evaluator import GRAPHS, NUMPY, RUNTIME

SPECS = [make() for make in (*NUMPY.values(), *GRAPHS.values(), *RUNTIME.values())]
NUMBERS = [-(1 << 63), -1, 0, 1, 2, 3, 7, 1 << 20, 1 << 40]
ATTRIBUTES = ["axis", "axes", "perm", "pads", "strides", "kernel_shape", "to", "group"]
VALUES: list[Any] = [0, 1, -1, [0], [1, 0], [1, 1, 1, 1], [2, 2]]


def change_bytes(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def change_node(raw: bytes, rng: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(raw)
    graph = model.graph
    for _ in range(rng.randint(1, 3)):
        node = rng.choice(graph.node)
        names = [name for other in graph.node for name in other.output]
        names += [value.name for value in (*graph.input, *graph.initializer)]
        kind = rng.randrange(6)
        if kind == 0:
            node.op_type = rng.choice(sorted(ALLOWED_OPERATORS))
        elif kind == 1:
            node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
        elif kind == 2:
            node.input.append(rng.choice(names))
        elif kind == 3 and len(node.input) > 1:
            del node.input[-1]
        elif kind == 4 and node.attribute:
            attribute = rng.choice(node.attribute)
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
            else:
                attribute.i = rng.choice(NUMBERS)
        else:
            made = helper.make_attribute(rng.choice(ATTRIBUTES), rng.choice(VALUES))
            node.attribute.append(made)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("change", [change_bytes, change_node])
def test_changed_graphs(change: Any) -> None:
    rng = random.Random(8)
    num_accepted = 0
    for _ in range(150):
        spec = artifact_pb2.ModelSpec()
        spec.CopyFrom(rng.choice(SPECS))
        spec.onnx = change(spec.onnx, rng)
        try:
            check_spec(spec)
            assert count_work(spec) > 0
            read_graph(spec)
            start_session(spec.onnx)
            num_accepted += 1
        except RefusalError:
            continue
    assert 0 < num_accepted < 150
