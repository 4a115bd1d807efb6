from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.targets import guess_target_kind, read_targets
from fedcoin.learning.measures.target_kind import TargetKind, count_outputs, find_target_kind
from fedcoin.v1 import task_pb2

PATH = Path("file")
CLASSES, NUMBERS, TOKENS = TargetKind.CLASSES, TargetKind.NUMBERS, TargetKind.TOKENS


@pytest.mark.parametrize(
    ("array", "kind", "shape", "dtype"),
    [
        ([[1.5], [2.25]], NUMBERS, (2,), np.float32),
        ([3, -4], NUMBERS, (2,), np.float32),
        ([[1.5, 2], [3, 4]], NUMBERS, (2, 2), np.float32),
        ([[5, -1], [0, 2]], TOKENS, (2, 2), np.int64),
        ([[5], [0]], TOKENS, (2,), np.int64),
        ([0.0, 3.0], TOKENS, (2,), np.int64),
        ([0.0, 3.0], CLASSES, (2,), np.int64),
    ],
)
def test_targets_of_each_kind(
    array: Any, kind: TargetKind, shape: tuple[int, ...], dtype: Any
) -> None:
    targets, remarks = read_targets(PATH, "y", np.array(array), kind)
    assert (targets.shape, targets.dtype) == (shape, dtype)
    np.testing.assert_array_equal(targets, np.array(array).reshape(shape))
    assert ("targets y from" in " ".join(remarks)) == (kind is NUMBERS)


@pytest.mark.parametrize(
    ("array", "kind", "code", "words"),
    [
        (np.array(["a"]), NUMBERS, LearningCode.WRONG_DTYPE, "text in y"),
        (np.array([1.0, np.nan]), NUMBERS, LearningCode.NOT_FINITE, "missing targets"),
        (np.array([1e39]), NUMBERS, LearningCode.NOT_FINITE, "beyond float32"),
        (np.zeros((2, 3, 4)), NUMBERS, LearningCode.WRONG_SHAPE, "(2, 3, 4)"),
        (np.zeros((2, 3, 4), int), TOKENS, LearningCode.WRONG_SHAPE, "(m, positions)"),
        (np.array([[0, -2]]), TOKENS, LearningCode.LABEL_OUT_OF_RANGE, "from -2 to 0"),
        (np.array([1.5]), TOKENS, LearningCode.WRONG_DTYPE, "whole numbers"),
        (np.array([1.5]), CLASSES, LearningCode.WRONG_DTYPE, "--utility r-squared"),
    ],
)
def test_targets_that_do_not_fit(
    array: Any, kind: TargetKind, code: LearningCode, words: str
) -> None:
    with pytest.raises(RefusalError) as caught:
        read_targets(PATH, "y", array, kind)
    assert caught.value.code is code
    assert words in caught.value.message


def test_what_targets_look_like() -> None:
    guesses: dict[TargetKind, list[Any]] = {
        CLASSES: [[0, 1, 2], [[0, 1], [1, 0]], [0.0, 2.0]],
        NUMBERS: [[0.5, 1], [[0.5, 1], [2, 3]], [-3, 4]],
        TOKENS: [[[5, -1], [0, 2]]],
    }
    for kind, arrays in guesses.items():
        for array in arrays:
            assert guess_target_kind(PATH, "y", np.array(array)) is kind
    with pytest.raises(RefusalError, match="'cat'"):
        guess_target_kind(PATH, "y", np.array(["cat", "dog"]))


def test_kinds_and_outputs() -> None:
    assert find_target_kind(task_pb2.UTILITY_R_SQUARED) is NUMBERS
    assert find_target_kind(task_pb2.UTILITY_PERPLEXITY) is TOKENS
    assert find_target_kind(task_pb2.UTILITY_AUC) is CLASSES
    assert find_target_kind(0) is CLASSES
    assert count_outputs(NUMBERS, [np.zeros(3), np.zeros((0,))]) == 1
    assert count_outputs(NUMBERS, [np.zeros((3, 4))]) == 4
    assert count_outputs(TOKENS, [np.array([[7, -1]]), np.array([3])]) == 8
    assert count_outputs(CLASSES, [np.array([0]), np.array([], int)]) == 2
