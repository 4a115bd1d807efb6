"""Check that the targets of an evaluation set fit a model and a measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.ranking import MAX_AUC_CLASSES
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.measures.terms import TARGET_UTILITIES, TERMS, TOKEN_UTILITIES
from fedcoin.v1 import task_pb2

LABEL_DTYPES = (np.uint8, np.int32, np.int64)
"""The dtypes of labels."""


def check_targets(utility: int, targets: Targets, num_classes: int) -> None:
    """Check the shape, dtype and range of targets.

    Args:
        utility: A value of the enum `Utility`, one that `terms.TERMS` lists.
        targets: Labels (m,) from 0 to num_classes - 1; for `TOKEN_UTILITIES` also (m, positions),
            where -1 marks a position without a label; for `TARGET_UTILITIES` float32 (m,) or
            (m, num_classes).
        num_classes: How many outputs the model has.

    Raises:
        RefusalError: WRONG_SHAPE when the targets do not have one of these shapes; WRONG_DTYPE when
            labels are not of `LABEL_DTYPES` or regression targets not float32; NOT_FINITE when a
            target is NaN or infinite; LABEL_OUT_OF_RANGE when a label is no class of the model;
            UNFIT_MEASURE when the measure says nothing on such a set, for example because it has
            one class.
    """
    if utility not in TARGET_UTILITIES:
        _check_labels(utility, targets, num_classes)
        return
    _check_numbers(utility, targets, num_classes)
    if bool((targets == targets[:1]).all()):
        raise _refusal(
            LearningCode.UNFIT_MEASURE,
            f"all targets of the evaluation set are equal; the {TERMS[utility].title} needs "
            "different ones",
            "2 values",
        )


def check_training_targets(kind: TargetKind, targets: Targets, num_classes: int) -> None:
    """Check targets that a model is trained on, which may all be equal.

    Args:
        kind: What they are.
        targets: Targets (m, ...), as `TargetKind` describes them.
        num_classes: How many outputs the model has.

    Raises:
        RefusalError: WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or LABEL_OUT_OF_RANGE as `check_targets`
            raises them; UNFIT_MEASURE for classes or tokens when the model has one output, or no
            position has a label.
    """
    if kind is TargetKind.NUMBERS:
        _check_numbers(task_pb2.UTILITY_MEAN_SQUARED_ERROR, targets, num_classes)
    elif kind is TargetKind.TOKENS:
        _check_labels(task_pb2.UTILITY_NEXT_TOKEN_ACCURACY, targets, num_classes)
    else:
        _check_labels(task_pb2.UTILITY_ACCURACY, targets, num_classes)


def check_positions(output_shape: Sequence[int | None], targets: Targets) -> None:
    """Check that a model has a row of outputs for each target of an example.

    Args:
        output_shape: The shape of the outputs for a batch, (examples, classes) or (examples,
            positions, classes); None for a size that is not fixed.
        targets: The targets (m, ...) of the evaluation set.

    Raises:
        RefusalError: WRONG_SHAPE when there are labels for positions and the model has a row of
            outputs for an example, or has a row for each position and there is one label for an
            example.
    """
    if len(output_shape) == 2 and (targets.ndim == 1 or targets.dtype.kind == "f"):
        return
    if len(output_shape) == 3 and targets.ndim == 2 and output_shape[1] in (None, targets.shape[1]):
        return
    raise _refusal(
        LearningCode.WRONG_SHAPE,
        f"the model gives outputs of shape {tuple(output_shape)}, and the evaluation set has y of "
        f"shape {targets.shape}; a label for each position needs a row of outputs for each, and a "
        "row of outputs one label",
        "",
    )


def _check_labels(utility: int, labels: Targets, num_classes: int) -> None:
    title = TERMS[utility].title
    is_token = utility in TOKEN_UTILITIES
    if labels.ndim != 1 and not (is_token and labels.ndim == 2):
        shapes = "(m,) or (m, positions)" if is_token else "(m,)"
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            f"the evaluation set has y of shape {labels.shape}; for the {title} it is {shapes}",
            shapes,
        )
    if labels.dtype not in LABEL_DTYPES:
        raise _refusal(
            LearningCode.WRONG_DTYPE,
            f"the evaluation set has y of {labels.dtype}; for the {title} y must be uint8, int32 "
            "or int64",
            "uint8, int32 or int64",
        )
    if num_classes < 2:
        raise _refusal(
            LearningCode.UNFIT_MEASURE,
            f"the model has one output; the {title} takes one for each class: give it two outputs, "
            "or use a measure of regression",
            "2 outputs",
        )
    low, high = int(labels.min()), int(labels.max())
    lowest = -1 if is_token else 0
    if low < lowest or high >= num_classes:
        raise _refusal(
            LearningCode.LABEL_OUT_OF_RANGE,
            f"the evaluation set has the label {low if low < lowest else high}; the model's "
            f"classes are 0 to {num_classes - 1}",
            str(num_classes - 1),
        )
    if high < 0:
        raise _refusal(
            LearningCode.UNFIT_MEASURE, "no position of the evaluation set has a label", "1"
        )
    if utility == task_pb2.UTILITY_AUC:
        _check_ranking(labels, num_classes)


def _check_ranking(labels: Targets, num_classes: int) -> None:
    if num_classes > MAX_AUC_CLASSES:
        raise _refusal(
            LearningCode.UNFIT_MEASURE,
            f"the model has {num_classes} classes; the area under the ROC curve takes up to "
            f"{MAX_AUC_CLASSES}: use another utility",
            str(MAX_AUC_CLASSES),
        )
    if labels.min() == labels.max():
        raise _refusal(
            LearningCode.UNFIT_MEASURE,
            f"all labels of the evaluation set are {labels.min()}; the area under the ROC curve "
            "compares two classes: use a set with both, or another utility",
            "2 classes",
        )


def _check_numbers(utility: int, targets: Targets, num_classes: int) -> None:
    title = TERMS[utility].title
    fits = targets.ndim == 1 and num_classes == 1
    fits = fits or (targets.ndim == 2 and targets.shape[1] == num_classes)
    if not fits:
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            f"the evaluation set has y of shape {targets.shape}; for the {title} it has one number "
            f"for each of the model's outputs: (m, {num_classes})",
            f"(m, {num_classes})",
        )
    if targets.dtype != np.float32:
        raise _refusal(
            LearningCode.WRONG_DTYPE,
            f"the evaluation set has y of {targets.dtype}; for the {title} y must be float32",
            "float32",
        )
    if not np.isfinite(targets).all():
        raise _refusal(
            LearningCode.NOT_FINITE,
            "the evaluation set has a target that is NaN or infinite; every number must be finite",
            "finite",
        )


def _refusal(code: LearningCode, message: str, limit: str) -> RefusalError:
    return RefusalError(code, message, field="evaluation.y", limit=limit)
