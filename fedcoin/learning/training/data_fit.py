"""Check that a client's own data fit a campaign's model, before the client joins it.

The words are about the client's file: what it holds, and what the model takes.
"""

from __future__ import annotations

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.artifact_checks.weight_checks import MAX_MAGNITUDE
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.model.token_ids import vocabulary_size
from fedcoin.learning.training.datasets import Dataset
from fedcoin.learning.training.input_range import InputRange

MAX_SCALE_RATIO = 8.0
"""How far the largest absolute inputs of two data sets may differ without a warning, as a factor.
Pixels from 0 to 1 differ by 16 or more from those with 4 bits or more."""


def check_fit(name: str, dataset: Dataset, spec_raw: bytes) -> None:
    """Refuse training data that a model cannot be trained on.

    Args:
        name: The name or path of the data, for messages.
        dataset: The data; only the arrays for training are checked.
        spec_raw: The serialised ModelSpec.

    Raises:
        RefusalError: WRONG_SHAPE when examples have another shape than the model's;
            LABEL_OUT_OF_RANGE when there are more classes; WRONG_SHAPE when an example has another
            number of numbers to predict than the model has outputs, or several labels that are no
            tokens; OUT_OF_RANGE when inputs are beyond plus
            or minus `MAX_MAGNITUDE`, or ids beyond the model's vocabulary; MODEL_TOO_LARGE,
            BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted.
    """
    spec = parse_spec(spec_raw)
    shape = tuple(spec.input_shape)
    if dataset.input_shape != shape:
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            f"{name} has examples of shape {dataset.input_shape}; the campaign's model takes "
            f"examples of shape {shape}: bring your data into that shape, with the same features "
            "in the same order as the other clients",
            str(shape),
        )
    _check_targets(name, dataset, spec.num_classes)
    low, high = float(dataset.x_train.min()), float(dataset.x_train.max())
    if max(-low, high) > MAX_MAGNITUDE:
        raise _refusal(
            LearningCode.OUT_OF_RANGE,
            f"{name} has inputs from {low:g} to {high:g}; they must be within "
            f"{MAX_MAGNITUDE:.0e}: divide them by --scale, as all clients do",
            f"{MAX_MAGNITUDE:.0e}",
        )
    vocabulary = vocabulary_size(spec)
    if vocabulary is not None and not (low > -1 and high < vocabulary):
        raise _refusal(
            LearningCode.OUT_OF_RANGE,
            f"{name} has ids from {np.floor(low):g} to {np.floor(high):g}; the campaign's model "
            f"knows the ids 0 to {vocabulary - 1}: encode your data with its vocabulary",
            str(vocabulary - 1),
        )


def _check_targets(name: str, dataset: Dataset, outputs: int) -> None:
    """Refuse targets that the model's outputs cannot be compared with."""
    given = dataset.num_classes
    if dataset.kind is TargetKind.NUMBERS:
        if given != outputs:
            raise _refusal(
                LearningCode.WRONG_SHAPE,
                f"{name} has {format_count(given, 'number')} to predict for each example; the "
                f"campaign's model predicts {outputs}: give the same targets in the same order as "
                "the other clients",
                str(outputs),
            )
        return
    low, highest = int(dataset.y_train.min()), int(dataset.y_train.max())
    # A model with one output has no classes to count.
    if highest < outputs or outputs == 1:
        return
    if dataset.kind is TargetKind.TOKENS:
        advice = "encode your data with its vocabulary"
        held, known = "next tokens with ids", f"knows the ids 0 to {outputs - 1}"
    else:
        held, known = "labels", f"has {outputs} classes, numbered from 0"
        advice = (
            "number yours in the same way (`fedcoin-node convert --first-label 1` shifts labels "
            "that count from 1)"
        )
    raise _refusal(
        LearningCode.LABEL_OUT_OF_RANGE,
        f"{name} has {held} from {low} to {highest}; the campaign's model {known}: {advice}",
        str(outputs - 1),
    )


def describe_other_scale(
    name: str, inputs: InputRange, evaluation: tuple[float, float]
) -> str | None:
    """Warn when a client's inputs are on another scale than those that models are measured on.

    The same measurements in other units are no fault that can be proved: a client could hold
    other examples. So this is said, and not refused.

    Args:
        name: The name or path of the data.
        inputs: The range of the client's inputs.
        evaluation: The smallest and the largest input of the evaluation set, as models see them;
            both 0 when they are not known.

    Returns:
        A sentence, or None when the largest absolute inputs differ by less than a factor of
        `MAX_SCALE_RATIO`.
    """
    magnitude = max(abs(number) for number in evaluation)
    own = inputs.magnitude
    if not magnitude or not own or 1 / MAX_SCALE_RATIO < own / magnitude < MAX_SCALE_RATIO:
        return None
    low, high = inputs.low / inputs.divisor, inputs.high / inputs.divisor
    return (
        f"{name} has inputs from {low:g} to {high:g}, but the evaluation set from "
        f"{evaluation[0]:g} to {evaluation[1]:g}: if these are the same measurements in other "
        f"units, bring yours to the same scale, such as with --scale "
        f"{own * inputs.divisor / magnitude:g}; otherwise your update will be worth little"
    )


def _refusal(code: LearningCode, sentence: str, limit: str) -> RefusalError:
    return RefusalError(code, sentence, field="data", limit=limit)
