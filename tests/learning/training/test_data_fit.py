from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.training.data_fit import check_fit, describe_other_scale
from fedcoin.learning.training.datasets import Dataset
from fedcoin.learning.training.input_range import measure_inputs
from fedcoin.v1 import artifact_pb2
from tests.learning.model.test_token_ids import embedding_spec
from tests.support.small_models import mlp_spec

SPEC = mlp_spec()
NUMBERS = 2 * (np.zeros((3, *SPEC.input_shape), np.float32), np.zeros(3, np.float32))


def data(x: Any, y: Any) -> Dataset:
    inputs = np.asarray(x, np.float32)
    labels = np.asarray(y, np.int64)
    return Dataset(inputs, labels, inputs[:0], labels[:0], measure_inputs([inputs]))


def examples(value: float = 0.0) -> Any:
    return np.full((3, *SPEC.input_shape), value)


def code(spec: artifact_pb2.ModelSpec, x: Any, y: Any) -> LearningCode:
    with pytest.raises(RefusalError) as caught:
        check_fit("mine.npz", data(x, y), spec.SerializeToString())
    assert caught.value.message.startswith("mine.npz has ")
    assert isinstance(caught.value.code, LearningCode)
    return caught.value.code


def test_data_that_fit() -> None:
    check_fit("mine.npz", data(examples(), [0, 1, 1]), SPEC.SerializeToString())
    ids = [[0, 9.0], [3, 4]]
    check_fit("mine.npz", data(ids, [0, 1]), embedding_spec(10).SerializeToString())


@pytest.mark.parametrize(
    ("high", "divisor", "evaluation", "advice"),
    [
        (255, 1, (0, 1), "--scale 255"),
        (255, 255, (0, 1), ""),
        (16, 1, (0, 1), "--scale 16"),
        (1, 1, (0, 255), "--scale 0.00392157"),
        (3.5, 1, (-2, 1), ""),
        (5, 1, (0, 0), ""),
    ],
)
def test_other_scales_are_said(
    high: float, divisor: float, evaluation: tuple[float, float], advice: str
) -> None:
    inputs = measure_inputs([np.array([[0, high]])], divisor)
    warning = describe_other_scale("mine.npz", inputs, evaluation)
    assert bool(warning) == bool(advice)
    assert advice in (warning or "")


def test_data_that_do_not_fit() -> None:
    labels = [0, 1, 1]
    assert code(SPEC, examples()[..., :1], labels) is LearningCode.WRONG_SHAPE
    high = [0, 1, SPEC.num_classes]
    assert code(SPEC, examples(), high) is LearningCode.LABEL_OUT_OF_RANGE
    assert code(SPEC, examples(1e10), labels) is LearningCode.OUT_OF_RANGE
    numbers = Dataset(*NUMBERS, measure_inputs([NUMBERS[0]]), TargetKind.NUMBERS)
    with pytest.raises(RefusalError, match="1 number to predict"):
        check_fit("mine.npz", numbers, SPEC.SerializeToString())
    for wrong in (10, -1):
        assert code(embedding_spec(10), [[0, wrong]], [1]) is LearningCode.OUT_OF_RANGE
