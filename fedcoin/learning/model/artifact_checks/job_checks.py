"""Check all files of a job, or one client's update, that came from other machines.

Miners check all files of a job before they evaluate it or vote for it; a coordinator checks each
update.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.mapped_tensors import MappedArray
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import WeightFiles, Weights
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import (
    check_evaluation_set,
    open_evaluation_set,
)
from fedcoin.learning.model.artifact_checks.weight_checks import check_aggregate, check_weights
from fedcoin.learning.model.look_alikes import check_groups, measure_similarities
from fedcoin.learning.model.spec import parse_spec
from fedcoin.v1 import artifact_pb2, task_pb2

Array = npt.NDArray[np.generic]


def check_job_artifacts(
    spec: artifact_pb2.ModelSpec,
    base: Weights,
    aggregate: Weights,
    updates: Sequence[Weights],
    x: MappedArray | Array,
    y: Array,
    *,
    evaluation_size: int | None = None,
    num_samples: Sequence[int] | None = None,
    groups: Sequence[int] = (),
    similarity_limit: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> None:
    """Check that a job's model, weights and evaluation set fit together.

    Args:
        spec: The model, checked by `spec.check_spec`.
        base: The base weights by name, which must be float32.
        aggregate: The averaged weights by name, which must be float32.
        updates: Each client's weights by name, which must be float32.
        x: The evaluation set's inputs; dtype and shape as in `check_evaluation_set`.
        y: The evaluation set's labels; dtype and shape as in `check_evaluation_set`.
        evaluation_size: The number of examples that the set must have; None for any number.
        num_samples: How much each client counts in the aggregate (`client_weights`). With it, the
            aggregate must be the updates' average; without it, only its shapes and numbers are
            checked.
        groups: The groups of look-alikes, one number for each update; empty for none.
        similarity_limit: The smallest similarity within a group, for which the groups must be sound
            (`look_alikes`).
        utility: The `Utility` that the evaluation set is for.

    Raises:
        RefusalError: NO_CLIENTS when there are no updates; WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE,
            NOT_FINITE or OUT_OF_RANGE when weights are invalid (`check_weights`); these,
            WRONG_SIZE, LABEL_OUT_OF_RANGE or UNFIT_MEASURE when the evaluation set is
            (`check_evaluation_set`); WRONG_GROUPS when groups are not sound for the limit;
            WRONG_AGGREGATE or BAD_SAMPLES when the aggregate is not the updates' average.
    """
    if not updates:
        raise RefusalError(LearningCode.NO_CLIENTS, "there are no updates", field="updates")
    check_weights(spec, base, "base")
    check_weights(spec, aggregate, "aggregate")
    for client, update in enumerate(updates):
        check_weights(spec, update, f"updates[{client}]")
    check_evaluation_set(spec, x, y, evaluation_size, utility)
    if groups:
        check_groups(groups, measure_similarities(base, updates), similarity_limit)
    if num_samples is not None:
        check_aggregate(aggregate, updates, num_samples)


def check_job_files(
    model: Path,
    base: Path,
    aggregate: Path,
    updates: Sequence[Path],
    evaluation: Path,
    *,
    evaluation_size: int | None = None,
    num_samples: Sequence[int] | None = None,
    groups: Sequence[int] = (),
    similarity_limit: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> None:
    """Check a job's artifacts that lie in files.

    Args:
        model: The file of a serialised ModelSpec.
        base: The tensors of the base weights.
        aggregate: The tensors of the averaged weights.
        updates: The tensors of each client's weights.
        evaluation: The tensors `x` and `y` of the evaluation set.
        evaluation_size: The number of examples that the set must have; None for any number.
        num_samples: How much each client counts in the aggregate, which is then checked; None for
            only its shapes and numbers.
        groups: The groups of look-alikes, one number for each update; empty for none.
        similarity_limit: The smallest similarity within a group.
        utility: The `Utility` that the evaluation set is for.

    Raises:
        RefusalError: MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted;
            BAD_TENSOR when a file does not hold encoded tensors; a code of `check_job_artifacts`,
            such as WRONG_SHAPE, NOT_FINITE or WRONG_AGGREGATE, when they are invalid or do not fit
            together.
        OSError: A file cannot be read.
    """
    spec = parse_spec(model.read_bytes())
    x, y = open_evaluation_set(evaluation)
    check_job_artifacts(
        spec,
        decode_tensors(base.read_bytes()),
        decode_tensors(aggregate.read_bytes()),
        WeightFiles(updates),
        x,
        y,
        evaluation_size=evaluation_size,
        num_samples=num_samples,
        groups=groups,
        similarity_limit=similarity_limit,
        utility=utility,
    )


def check_update_file(model: Path, update: Path) -> None:
    """Check a client's weights that lie in a file.

    Args:
        model: The file of a serialised ModelSpec.
        update: The tensors of the client's weights.

    Raises:
        RefusalError: MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted;
            BAD_TENSOR, WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or OUT_OF_RANGE when
            weights are invalid.
        OSError: A file cannot be read.
    """
    spec = parse_spec(model.read_bytes())
    check_weights(spec, decode_tensors(update.read_bytes()), "update")
