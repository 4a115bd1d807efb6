"""Transformers with adapters (LoRA) as ONNX graphs, of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from fedcoin.v1 import artifact_pb2
from tests.support.onnx_graphs import graph_spec, node

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Block:
    """Names the values and weights of one block: `.x` is its `x`."""

    name: str
    shapes: Shapes

    def weigh(self, weight: str, *shape: int) -> None:
        self.shapes[f"{self.name}.{weight}"] = shape

    def make(self, kind: str, inputs: str, output: str, **attributes: Any) -> Any:
        return node(kind, self._full(inputs), self._full(output), **attributes)

    def _full(self, text: str) -> str:
        return " ".join(f"{self.name}{word}" if word[0] == "." else word for word in text.split())


@dataclass(frozen=True)
class Transformer:
    """The sizes of an encoder for texts of a fixed length, and of its adapters."""

    vocabulary: int
    length: int
    width: int
    blocks: int
    heads: int
    rank: int
    classes: int

    @property
    def inner(self) -> int:
        """The width of the layers between two blocks' sums."""
        return 4 * self.width

    def spec(self) -> artifact_pb2.ModelSpec:
        """Describe the network; adapters are named `block*.lora_*`, its last layer `head.*`."""
        nodes = [node("Gather", "words x", "w"), node("Add", "w positions", "h0")]
        shapes: Shapes = {
            "words": (self.vocabulary, self.width),
            "positions": (self.length, self.width),
        }
        for number in range(self.blocks):
            block = _Block(f"block{number}", shapes)
            nodes += [*self._attend(block, f"h{number}"), *self._transform(block, f"h{number + 1}")]
        nodes += [
            node("ReduceMean", f"h{self.blocks} second", "mean", keepdims=0),
            node("MatMul", "mean head.w", "scores"),
            node("Add", "scores head.b", "y"),
        ]
        shapes |= {"head.w": (self.width, self.classes), "head.b": (self.classes,)}
        constants = {
            "second": np.array([1]),
            "split": np.array([0, self.length, self.heads, self.width // self.heads]),
            "join": np.array([0, self.length, self.width]),
            "scale": np.float32((self.width // self.heads) ** -0.5),
            "half": np.float32(0.5),
            "one": np.float32(1),
            "root": np.float32(0.5**0.5),
        }
        return graph_spec(nodes, (self.length,), shapes, self.classes, constants, TensorProto.INT64)

    def _attend(self, block: _Block, before: str) -> Iterator[Any]:
        """Make the attention of a block, with its adapters, from `before` to `.sum`."""
        width = self.width
        block.weigh("n1.g", width)
        block.weigh("n1.b", width)
        yield block.make("LayerNormalization", f"{before} .n1.g .n1.b", ".x", axis=-1)
        for part in "qkv":
            block.weigh(f"{part}.w", width, width)
            block.weigh(f"{part}.b", width)
            yield block.make("MatMul", f".x .{part}.w", f".{part}1")
            yield block.make("Add", f".{part}1 .{part}.b", f".{part}2")
            if part != "k":
                block.weigh(f"lora_{part}.a", width, self.rank)
                block.weigh(f"lora_{part}.b", self.rank, width)
                yield block.make("MatMul", f".x .lora_{part}.a", f".{part}3")
                yield block.make("MatMul", f".{part}3 .lora_{part}.b", f".{part}4")
                yield block.make("Add", f".{part}2 .{part}4", f".{part}5")
            yield block.make("Reshape", f".{part}{2 if part == 'k' else 5} split", f".{part}6")
            order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            yield block.make("Transpose", f".{part}6", f".{part}7", perm=order)
        yield block.make("MatMul", ".q7 .k7", ".pairs")
        yield block.make("Mul", ".pairs scale", ".scaled")
        yield block.make("Softmax", ".scaled", ".attention", axis=-1)
        yield block.make("MatMul", ".attention .v7", ".read")
        yield block.make("Transpose", ".read", ".turned", perm=[0, 2, 1, 3])
        yield block.make("Reshape", ".turned join", ".joined")
        block.weigh("o.w", width, width)
        yield block.make("MatMul", ".joined .o.w", ".out")
        yield block.make("Add", f".out {before}", ".sum")

    def _transform(self, block: _Block, after: str) -> Iterator[Any]:
        """Make the two layers on each position, from `.sum` to `after`."""
        for name, shape in {
            "n2.g": (self.width,),
            "n2.b": (self.width,),
            "f1.w": (self.width, self.inner),
            "f1.b": (self.inner,),
            "f2.w": (self.inner, self.width),
        }.items():
            block.weigh(name, *shape)
        yield block.make("LayerNormalization", ".sum .n2.g .n2.b", ".y", axis=-1)
        yield block.make("MatMul", ".y .f1.w", ".f1")
        yield block.make("Add", ".f1 .f1.b", ".f2")
        yield block.make("Mul", ".f2 root", ".g1")  # the GELU
        yield block.make("Erf", ".g1", ".g2")
        yield block.make("Add", ".g2 one", ".g3")
        yield block.make("Mul", ".f2 .g3", ".g4")
        yield block.make("Mul", ".g4 half", ".g5")
        yield block.make("MatMul", ".g5 .f2.w", ".f3")
        yield block.make("Add", ".f3 .sum", after)

    def weights(self, seed: int) -> dict[str, NDArray[Any]]:
        """Draw weights that keep the size of values from block to block."""
        generator = np.random.default_rng(seed)
        found: dict[str, NDArray[Any]] = {}
        for weight in self.spec().weights:
            shape = tuple(weight.shape)
            if len(shape) == 1:
                found[weight.name] = np.full(shape, float(weight.name.endswith(".g")), np.float32)
            else:
                array = generator.standard_normal(shape, dtype=np.float32)
                found[weight.name] = array / np.float32(shape[0] ** 0.5 if shape[0] < 9000 else 50)
        return found
