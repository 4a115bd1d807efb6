from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.federation import FederationValuation, value_federation
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.learning.training.training_plan import TrainingPlan

Array = NDArray[np.generic]
CLIENTS = 5


def parts() -> dict[str, Any]:
    """Digits of five clients, of whom the last has random labels."""
    digits = load_dataset("digits", scale=16)
    rng = np.random.default_rng(3)
    shares = np.array_split(rng.permutation(len(digits.y_train)), CLIENTS)
    labels = [digits.y_train[share] for share in shares]
    labels[-1] = rng.integers(0, 10, len(labels[-1]))
    return {
        "x_parts": [digits.x_train[share] for share in shares],
        "y_parts": labels,
        "x_test": digits.x_test,
        "y_test": digits.y_test,
    }


def value(**changes: Any) -> FederationValuation:
    return value_federation(**{**parts(), "plan": TrainingPlan(epochs=2), **changes})


def test_values_of_rounds_add_up_to_what_the_federation_gained() -> None:
    found = value(rounds=3, seed=1)
    assert [estimate.method for estimate in found.rounds] == ["exact"] * 3
    assert len(found.accuracies) == 4
    gains = np.diff(found.accuracies)
    sums = [estimate.values.sum() for estimate in found.rounds]
    np.testing.assert_allclose(sums, gains, atol=1e-12)
    assert found.total.values.sum() == pytest.approx(found.accuracies[-1] - found.accuracies[0])
    assert found.accuracies[-1] > 0.8
    assert found.total.values.argmin() == CLIENTS - 1


def test_training_that_diverges_is_refused() -> None:
    huge = [np.full((4, 2), 1e38), np.full((4, 2), -1e38)]
    y = np.array([0, 1, 0, 1])
    with pytest.raises(RefusalError, match="client 0 diverged with a learning rate"):
        value_federation(huge, [y, y], huge[0], y)


def test_equal_arguments_give_equal_values_and_other_seeds_others() -> None:
    one, two, other = value(seed=4), value(seed=4), value(seed=5)
    np.testing.assert_array_equal(one.total.values, two.total.values)
    assert (one.total.values != other.total.values).any()


def test_a_budget_samples() -> None:
    found = value(method="complementary", budget=8, hidden_units=())
    assert found.rounds[0].evaluations == 8
    assert found.utilities[0].evaluations().num_counted == 8
    assert (found.total.std_errors > 0).all()


def test_the_utility_is_the_accuracy_of_the_average() -> None:
    """Two clients with one example each, told apart by the sign of their only input."""
    x = np.array([[3.0], [-3.0]])
    y = np.array([0, 1])
    found = value_federation(
        [x[:1], x[1:]], [y[:1], y[1:]], x, y,
        hidden_units=(), plan=TrainingPlan(epochs=50, learning_rate=1.0),
    )  # fmt: skip
    assert found.accuracies[-1] == 1
    single = found.utilities[0](np.eye(2, dtype=np.bool_))
    assert set(single.tolist()) <= {0.5, 1.0}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"x_parts": []}, LearningCode.NO_CLIENTS),
        ({"y_parts": [np.zeros(3, np.int64)]}, LearningCode.NO_CLIENTS),
        ({"x_test": np.zeros((360, 3))}, LearningCode.WRONG_SHAPE),
        ({"y_test": np.zeros((360, 1), np.int64)}, LearningCode.WRONG_SHAPE),
        ({"y_test": np.zeros(360)}, LearningCode.WRONG_DTYPE),
        ({"y_test": np.full(360, -1)}, LearningCode.LABEL_OUT_OF_RANGE),
        ({"y_test": np.full(360, 10**6)}, LearningCode.LABEL_OUT_OF_RANGE),
        ({"x_test": np.full((360, 8, 8), np.nan)}, LearningCode.NOT_FINITE),
        ({"rounds": 0}, ApplicationCode.BAD_ARGUMENT),
        ({"hidden_units": (4, 0)}, ApplicationCode.BAD_ARGUMENT),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], code: object) -> None:
    with pytest.raises(RefusalError) as refused:
        value(**changes)
    assert refused.value.code is code


def test_it_needs_no_tensorflow() -> None:
    program = (
        "import sys, numpy as np\n"
        "from fedcoin.application.offline.federation import value_federation\n"
        "x, y = np.eye(4), np.arange(4)\n"
        "value_federation([x, x], [y, y], x, y)\n"
        "assert not {'tensorflow', 'keras', 'grpc'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
