"""How much work a model is: multiply-adds to compute its outputs for one example.

Counted from the architecture before anything is evaluated, so that a task whose model would take
for ever is refused and not begun. The number is exact for the matrix products of the layers that
NumPy computes, and an estimate from above for other Keras layers and ONNX operators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.keras_models import KerasCall
from fedcoin.learning.model.layers import Conv, Dense, Graph, GraphNode
from fedcoin.learning.model.onnx_models import graph_checks, node_work, value_shapes
from fedcoin.learning.model.spec import is_onnx, weight_shapes
from fedcoin.v1 import artifact_pb2

MAX_COALITION_WORK = 500_000_000_000
"""The default limit on the multiply-adds of one coalition's model on a whole evaluation set: 100 s
on one core at 5 thousand million a second."""

TASK_WORK_PER_SECOND = 10_000_000_000_000
"""Multiply-adds a second up to which a task is believed to be computable in its commit window:
those of 2,000 such cores. A task that needs more cannot be meant to be mined."""


STEP_WORK = 20_000
"""The fewest multiply-adds that a step of a recurrent layer counts for: TensorFlow was measured to
take 55 us for a step, however small, of a batch, which has 16 examples when a model's values are
large."""

_PRODUCTS = frozenset({"Matmul", "Dot", "Tensordot", "Einsum", "Outer", "DotProductAttention"})
"""Operations of `keras.ops` that multiply their inputs with each other."""


def max_coalition_work(window_s: float, num_coalitions: int, limit: int) -> int:
    """Compute how much work one coalition of a task may be.

    Args:
        window_s: The task's commit window, in seconds.
        num_coalitions: The smallest number of coalitions that a miner must evaluate.
        limit: The number of multiply-adds that this node accepts for one coalition.

    Returns:
        The largest number of multiply-adds on the whole evaluation set, at most `limit`.
    """
    return min(limit, int(window_s * TASK_WORK_PER_SECOND) // max(1, num_coalitions))


def check_work(spec: artifact_pb2.ModelSpec, num_examples: int, max_work: int) -> None:
    """Refuse a model that takes too long on an evaluation set.

    Args:
        spec: The model, checked by `spec.check_spec`.
        num_examples: The number of examples in the evaluation set.
        max_work: The largest number of multiply-adds of one coalition on the whole set.

    Raises:
        RefusalError: TOO_SLOW when it takes more than `max_work`; a code of `count_work` when the
            model cannot be built.
    """
    work = count_work(spec) * num_examples
    if work > max_work:
        raise RefusalError(
            LearningCode.TOO_SLOW,
            f"one coalition takes {work:.3g} multiply-adds on {num_examples} examples; at most "
            f"{max_work:.3g} are allowed: use a smaller model, fewer examples or a longer window",
            field="model",
            limit=str(max_work),
        )


def count_work(spec: artifact_pb2.ModelSpec) -> int:
    """Count the multiply-adds of a model for one example.

    Args:
        spec: The model, checked by `spec.check_spec`.

    Returns:
        The number of multiply-adds, plus one for each number that a layer makes.

    Raises:
        RefusalError: WRONG_SHAPE or BAD_MODEL when the architecture does not fit the spec's weights
            and classes; for a model that NumPy cannot compute, also WRONG_DTYPE or MODEL_TOO_LARGE,
            as `keras_models.model_from_spec` and `value_shapes.shape_graph` say.
    """
    graph = read_graph(spec)
    if graph is not None:
        return _count_graph(graph, weight_shapes(spec))
    if is_onnx(spec):
        shaped = value_shapes.shape_graph(graph_checks.read_onnx(spec), spec.num_classes)
        return node_work.count_graph(shaped)
    from fedcoin.learning.model import keras_models

    model = keras_models.model_from_spec(spec.SerializeToString(deterministic=True))
    return max(1, sum(_count_keras_call(call) for call in keras_models.list_calls(model)))


def _count_graph(graph: Graph, shapes: dict[str, tuple[int, ...]]) -> int:
    return max(1, sum(_count_node(node, shapes) for node in graph))


def _count_node(node: GraphNode, shapes: dict[str, tuple[int, ...]]) -> int:
    made = math.prod(node.shape)
    if isinstance(node.layer, Dense):
        return math.prod(shapes[node.layer.kernel]) + made
    if isinstance(node.layer, Conv):
        # Also when pooling behind it keeps fewer numbers, all of them are computed.
        covered = math.prod(shapes[node.layer.kernel]) // node.layer.filters
        return math.prod(node.layer.output_shape) * (covered + 1)
    return made


def _count_keras_call(call: KerasCall) -> int:
    """Estimate a call from above: all weights at each position, and pairs where values meet."""
    made, taken = _shapes_of(call.made), _shapes_of(call.taken)
    positions = max((math.prod(shape[:-1]) for shape in (*made, *taken)), default=1)
    numbers = sum(math.prod(shape) for shape in (*made, *taken))
    if not hasattr(call.operation, "weights"):
        name = type(call.operation).__name__
        sums = max((math.prod(shape) for shape in taken), default=1) if name in _PRODUCTS else 1
        return int(numbers * sums)
    if hasattr(call.operation, "operations") or hasattr(call.operation, "layers"):
        return numbers  # the layers of a nested model are calls of their own
    weights = sum(math.prod(weight.shape) for weight in call.operation.weights)
    pairs = positions * numbers if "Attention" in type(call.operation).__name__ else 0
    is_recurrent = any("return_sequences" in str(key) for key in call.operation.get_config())
    steps = STEP_WORK * positions if is_recurrent else 0
    return int(weights * positions + numbers + pairs + steps)


def _shapes_of(tensors: Sequence[Any]) -> Sequence[tuple[int, ...]]:
    # Without the batch; an unknown length counts as 1, since inputs have fixed shapes.
    return [tuple(int(side or 1) for side in tensor.shape[1:]) for tensor in tensors]
