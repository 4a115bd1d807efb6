from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.v1 import task_pb2
from tests.support.small_models import all_coalitions, mlp_spec, random_weights

RENORMALISED = task_pb2.AVERAGING_RENORMALISED
FIXED = task_pb2.AVERAGING_FIXED_DENOMINATOR
EQUAL = task_pb2.AVERAGING_EQUAL


def test_the_average_weighs_by_samples() -> None:
    first = {"a": np.array([1.0, 2.0], np.float32)}
    second = {"a": np.array([5.0, 6.0], np.float32)}
    average = federated_average([first, second], [1, 3])
    assert average["a"].dtype == np.float32
    np.testing.assert_array_equal(average["a"], [4.0, 5.0])


def test_the_average_of_equals_is_the_same() -> None:
    weights = random_weights(mlp_spec(), 1)
    average = federated_average([weights] * 7, [3, 1, 4, 1, 5, 9, 2])
    for name, array in weights.items():
        np.testing.assert_allclose(average[name], array, rtol=1e-6)


def test_coefficients_by_hand() -> None:
    rows = np.array([[True, False], [False, True], [True, True], [False, False]])
    np.testing.assert_allclose(
        coalition_coefficients(rows, [1, 3], RENORMALISED),
        np.array([[1, 0, 0], [0, 1, 0], [0.25, 0.75, 0], [0, 0, 1]]),
    )
    np.testing.assert_allclose(
        coalition_coefficients(rows, [1, 3], FIXED),
        np.array([[0.25, 0, 0.75], [0, 0.75, 0.25], [0.25, 0.75, 0], [0, 0, 1]]),
    )
    np.testing.assert_allclose(
        coalition_coefficients(rows, [1, 3], EQUAL),
        np.array([[0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0], [0, 0, 1]]),
    )


@given(
    st.lists(st.integers(1, 1_000_000_000), min_size=1, max_size=6),
    st.sampled_from([RENORMALISED, FIXED, EQUAL]),
)
def test_coefficients_are_an_average(num_samples: list[int], averaging: int) -> None:
    coalitions = all_coalitions(len(num_samples))
    rows = coalition_coefficients(coalitions, num_samples, averaging)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)
    assert (rows >= 0).all()
    assert (rows[:, :-1] > 0).tolist() == coalitions.tolist()
    assert rows[-1, -1] == 0.0  # The grand coalition leaves no weight to the base.


def refusal_of(*arguments: object) -> LearningCode:
    with pytest.raises(RefusalError) as caught:
        federated_average(*arguments)  # type: ignore[arg-type]
    assert isinstance(caught.value.code, LearningCode)
    return caught.value.code


def test_bad_input_is_refused() -> None:
    good = {"a": np.ones(2, np.float32)}
    assert refusal_of([], []) is LearningCode.NO_CLIENTS
    assert refusal_of([good], [0]) is LearningCode.BAD_SAMPLES
    assert refusal_of([good], [1_000_000_001]) is LearningCode.BAD_SAMPLES
    assert refusal_of([good], [1, 2]) is LearningCode.BAD_SAMPLES
    assert refusal_of([good, {"b": good["a"]}], [1, 1]) is LearningCode.WRONG_NAMES
    assert refusal_of([good, {"a": np.ones(3, np.float32)}], [1, 1]) is LearningCode.WRONG_SHAPE


def test_coalitions_of_another_width_are_refused() -> None:
    with pytest.raises(RefusalError) as caught:
        coalition_coefficients(np.ones((2, 3), np.bool_), [1, 2], RENORMALISED)
    assert caught.value.code is LearningCode.BAD_COALITIONS
    with pytest.raises(ValueError):
        coalition_coefficients(np.ones((2, 2), np.bool_), [1, 2], 0)
