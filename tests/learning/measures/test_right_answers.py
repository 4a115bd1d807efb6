"""Accuracy: which answers count as right."""

from __future__ import annotations

import numpy as np

from fedcoin.learning.measures.right_answers import ACCURACY, explain_by_commonest

NAN = float("nan")


def test_right_answers_are_counted_for_each_model() -> None:
    outputs = np.array(
        [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[0.0, 2.0, 0.0], [1.0, 2.0, 1.0]],
        ],
        np.float32,
    )
    statistics = ACCURACY.summarise(outputs, np.array([0, 1, 1]))
    # Of equal outputs the lowest class is the answer.
    assert ACCURACY.finish(statistics).tolist() == [2, 1]


def test_a_nan_among_the_outputs_is_a_wrong_answer() -> None:
    outputs = np.array([[[NAN, 2.0], [0.0, NAN]]], np.float32)
    statistics = ACCURACY.summarise(outputs, np.array([0, 0]))
    assert ACCURACY.finish(statistics).tolist() == [0]


def test_a_base_model_no_better_than_the_most_frequent_label_is_explained() -> None:
    labels = np.array([2] * 7 + [0] * 3)
    assert "answering 2" in explain_by_commonest(labels, 7)
    assert "70.0 %" in explain_by_commonest(labels, 5)
    assert not explain_by_commonest(labels, 8)
    # Of ten classes of similar size an untrained model knows no more than any one answer.
    similar = np.repeat(np.arange(10), [19] + 9 * [10])
    assert not explain_by_commonest(similar, 5)
    assert explain_by_commonest(np.repeat(np.arange(10), [30] + 9 * [10]), 5)
