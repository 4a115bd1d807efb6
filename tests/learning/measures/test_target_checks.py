from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_checks import check_targets
from fedcoin.learning.measures.terms import NAMES

LABELS = np.array([0, 1, 2, 1])
NUMBERS = np.array([[0.5, 1.0], [2.0, -1.0]], np.float32)


@pytest.mark.parametrize(
    ("name", "targets", "classes"),
    [
        ("accuracy", LABELS.astype(np.uint8), 3),
        ("auc", LABELS.astype(np.int32), 100),
        ("perplexity", LABELS, 3),
        ("next-token-accuracy", np.array([[0, -1], [2, 1]]), 3),
        ("r-squared", NUMBERS, 2),
        ("mean-squared-error", NUMBERS[:, 0], 1),
        ("mean-squared-error", NUMBERS[:, :1], 1),
    ],
)
def test_targets_that_fit(name: str, targets: Any, classes: int) -> None:
    check_targets(NAMES[name], targets, classes)


@pytest.mark.parametrize(
    ("name", "targets", "classes", "code", "words"),
    [
        ("accuracy", LABELS[:, None], 3, LearningCode.WRONG_SHAPE, "(4, 1)"),
        ("accuracy", LABELS.astype(np.float32), 3, LearningCode.WRONG_DTYPE, "float32"),
        ("macro-f1", LABELS, 2, LearningCode.LABEL_OUT_OF_RANGE, "label 2"),
        ("macro-f1", LABELS - 1, 3, LearningCode.LABEL_OUT_OF_RANGE, "label -1"),
        ("accuracy", LABELS * 0, 1, LearningCode.UNFIT_MEASURE, "one output"),
        ("auc", LABELS, 101, LearningCode.UNFIT_MEASURE, "101 classes"),
        ("auc", LABELS * 0, 3, LearningCode.UNFIT_MEASURE, "all labels"),
        ("perplexity", LABELS * 0 - 1, 3, LearningCode.UNFIT_MEASURE, "no position"),
        ("perplexity", LABELS - 2, 3, LearningCode.LABEL_OUT_OF_RANGE, "label -2"),
        ("r-squared", LABELS, 1, LearningCode.WRONG_DTYPE, "int64"),
        ("r-squared", NUMBERS, 3, LearningCode.WRONG_SHAPE, "(m, 3)"),
        ("r-squared", NUMBERS * np.float32("nan"), 2, LearningCode.NOT_FINITE, "NaN"),
        ("r-squared", NUMBERS * 0, 2, LearningCode.UNFIT_MEASURE, "equal"),
        ("mean-squared-error", NUMBERS[:1], 2, LearningCode.UNFIT_MEASURE, "equal"),
    ],
)
def test_targets_that_do_not_fit(
    name: str, targets: Any, classes: int, code: LearningCode, words: str
) -> None:
    with pytest.raises(RefusalError) as caught:
        check_targets(NAMES[name], targets, classes)
    assert caught.value.code is code
    assert words in caught.value.message
    assert caught.value.limit
