"""Measure averaged models that are ONNX graphs, by onnxruntime.

The averaged weights are inputs of the graph, so that one session serves all coalitions. It runs in
one thread and in a fixed order, as several workers share a machine's cores. Of a model with frozen
weights, what does not depend on a trained one is computed once for each batch (`frozen_part`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.example_batches import (
    ExampleBatch,
    Floats,
    Inputs,
    make_batches,
)
from fedcoin.learning.evaluation.float_mode import are_subnormals_flushed
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    ExampleShare,
    UtilityJob,
)
from fedcoin.learning.evaluation.summing_evaluator import SummingEvaluator
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.right_answers import ACCURACY
from fedcoin.learning.measures.target_checks import check_positions
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.onnx_models import frozen_part, graph_checks, value_shapes
from fedcoin.v1 import artifact_pb2

MAX_CACHE_BYTES = 256 << 20
"""How many bytes of what does not depend on trained weights are kept; batches beyond it are
computed for each coalition."""

Values = Mapping[str, npt.NDArray[np.generic]]
"""Values of a graph by name."""

_INPUT_DTYPES: dict[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "INT32": np.int32,
    "INT64": np.int64,
}


class OnnxEvaluator(SummingEvaluator):
    """Evaluates any model whose architecture is an ONNX graph. Implements `job.Evaluator`.

    Args:
        spec: The model, checked by `spec.check_spec`.
        base: float32 weights by name, of the base model; the trained ones only.
        updates: float32 weights by name, of each client's model.
        x: Inputs float32 or int32 (m, *input_shape).
        y: Integer labels (m,).
        job: Gives numbers of samples, averaging, and the utility of the empty coalition. Its files
            are not read; the caller must have checked all arrays.
        share: The part of the examples to count on.
        measure: The job's measure, for the whole evaluation set.
        frozen: float32 weights by name that all models share; each is held once.

    Attributes:
        measure: The job's measure, for the whole evaluation set.
        max_coalitions: The most coalitions to evaluate at a time: there is no limit, because one
            coalition's weights are averaged at a time.

    Raises:
        RefusalError: MISSING_PACKAGE without onnxruntime; BAD_MODEL when it cannot load the graph;
            WRONG_SHAPE when there are labels for positions and the model has a row of outputs for
            an example, or the reverse; BAD_MODEL, WRONG_DTYPE or MODEL_TOO_LARGE when the graph's
            shapes or types do not fit together (`value_shapes.shape_graph`).
    """

    max_coalitions = sys.maxsize

    def __init__(
        self,
        spec: artifact_pb2.ModelSpec,
        base: Weights,
        updates: Sequence[Weights],
        x: Inputs,
        y: npt.NDArray[np.generic],
        job: UtilityJob,
        share: ExampleShare = ALL_EXAMPLES,
        measure: Measure = ACCURACY,
        frozen: Weights = NO_WEIGHTS,
    ) -> None:
        model = graph_checks.read_onnx(spec)
        shaped = value_shapes.shape_graph(model, spec.num_classes)
        check_positions(shaped.output_shape, y)
        super().__init__(job, measure)
        examples = model.graph.input[0]
        dtype = _INPUT_DTYPES[graph_checks.type_name(examples.type.tensor_type.elem_type)]
        divided = frozen_part.divide_graph(model, shaped, list(base)) if frozen else None
        self._first = _Part(divided.frozen, frozen) if divided else None
        self._rest = _Part(divided.trained if divided else spec.onnx, frozen)
        # One matrix (n + 1, numbers) for each name: the clients' weights and, last, the base's.
        models = [*updates, base]
        self._stacks = {
            name: np.stack([weights[name].ravel() for weights in models]) for name in base
        }
        self._shapes = {name: array.shape for name, array in base.items()}
        self._batches: list[tuple[ExampleBatch, Values]] = []
        free_bytes = MAX_CACHE_BYTES
        for batch in make_batches(x, y, shaped.batch_size, share):
            assert batch.inputs is not None
            inputs = batch.inputs.T.reshape(-1, *spec.input_shape)
            batch.inputs = None
            values = {examples.name: np.ascontiguousarray(inputs, dtype)}
            if self._first is not None:
                computed = {**values, **self._first.run(values)}
                free_bytes -= sum(array.nbytes for array in computed.values())
                values = computed if free_bytes >= 0 else values
            self._batches.append((batch, values))

    def _sum_up(self, coalitions: Coalitions) -> Statistics:
        coefficients = coalition_coefficients(
            coalitions, self._job.num_samples, self._job.averaging
        ).astype(np.float32)
        statistics = np.zeros((len(coalitions), self.measure.num_statistics), np.int64)
        for coalition, row in enumerate(coefficients):
            weights = {
                name: (row @ stack).reshape(self._shapes[name])
                for name, stack in self._stacks.items()
            }
            for batch, values in self._batches:
                outputs = self._compute_outputs({**values, **weights})[None]
                statistics[coalition] += batch.summarise(self.measure, outputs)[0]
        return statistics

    def _compute_outputs(self, values: Values) -> Floats:
        """Compute the outputs ([positions,] classes, examples) for a batch."""
        if self._first is not None and not self._first.outputs <= values.keys():
            values = {**values, **self._first.run(values)}
        (outputs,) = self._rest.run(values).values()
        return np.ascontiguousarray(np.moveaxis(outputs, 0, -1), np.float32)


class _Part:
    """A graph or a part of one, loaded into onnxruntime, with its frozen weights."""

    def __init__(self, onnx_model: bytes, frozen: Weights) -> None:
        self._session = start_session(onnx_model)
        names = {info.name for info in self._session.get_inputs()}
        self._frozen = {name: array for name, array in frozen.items() if name in names}
        self._inputs = names - self._frozen.keys()
        self.outputs = {info.name for info in self._session.get_outputs()}

    def run(self, values: Values) -> dict[str, npt.NDArray[np.generic]]:
        """Compute the outputs by name; values that the part does not read are left out."""
        feed = {**{name: values[name] for name in self._inputs}, **self._frozen}
        names = [info.name for info in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, feed), strict=True))
        except Exception as error:  # onnxruntime raises classes of its own
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"onnxruntime cannot compute the model: {_first_line(error)}",
                field="onnx",
            ) from error


def start_session(onnx_model: bytes) -> Any:
    """Load a graph into onnxruntime, for computing in one thread on the CPU.

    Args:
        onnx_model: A serialised ModelProto that `graph_checks.read_onnx` accepts.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        RefusalError: MISSING_PACKAGE without onnxruntime; BAD_MODEL when onnxruntime refuses the
            graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RefusalError(
            LearningCode.MISSING_PACKAGE,
            "onnxruntime is not installed on this machine, and NumPy does not compute this "
            "model's operators; install it with pip install 'fedcoin[onnx]'",
            field="model",
            limit="onnxruntime",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # The first session of a process sets its mode, and would undo that of a worker.
    flushed = str(int(are_subnormals_flushed()))
    options.add_session_config_entry("session.set_denormal_as_zero", flushed)
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(onnx_model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"onnxruntime cannot load the model: {_first_line(error)}",
            field="onnx",
        ) from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
