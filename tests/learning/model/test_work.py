"""The work of a model is counted from its architecture, before anything is evaluated."""

from __future__ import annotations

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.work import (
    STEP_WORK,
    TASK_WORK_PER_SECOND,
    check_work,
    count_work,
    max_coalition_work,
)
from fedcoin.v1 import artifact_pb2
from tests.support.small_models import (
    conv,
    dense,
    flatten,
    mlp_spec,
    recurrent_spec,
    sequential,
    spec_of,
)


def conv_spec() -> artifact_pb2.ModelSpec:
    model = sequential((10, 10, 3), conv(4, (3, 3)), flatten(), dense(2))
    return spec_of(model, (10, 10, 3), 2, [(3, 3, 3, 4), (4,), (400, 2), (2,)])


def test_products_of_dense_layers_and_convolutions_are_counted_exactly() -> None:
    # 16 inputs, 8 hidden units, 3 classes; each product with its bias.
    assert 17 * 8 + 9 * 3 <= count_work(mlp_spec()) <= 17 * 8 + 9 * 3 + 100
    products = 10 * 10 * 4 * (3 * 3 * 3 + 1) + 401 * 2
    assert products <= count_work(conv_spec()) <= products + 1000


def test_a_model_beyond_the_limit_is_refused() -> None:
    work = count_work(conv_spec())
    check_work(conv_spec(), 1000, 1000 * work)
    with pytest.raises(RefusalError) as caught:
        check_work(conv_spec(), 1001, 1000 * work)
    assert caught.value.code is LearningCode.TOO_SLOW
    assert caught.value.limit == str(1000 * work)


def test_small_weights_can_be_much_work() -> None:
    short, long = count_work(recurrent_spec(10)), count_work(recurrent_spec(100_000))
    assert long > 5_000 * short
    assert long > 100_000 * STEP_WORK
    with pytest.raises(RefusalError) as caught:
        check_work(recurrent_spec(1_000_000), 10_000, 500_000_000_000)
    assert caught.value.code is LearningCode.TOO_SLOW


def test_a_task_must_be_computable_in_its_window() -> None:
    limit = 500_000_000_000
    assert max_coalition_work(10, 1, limit) == limit
    assert max_coalition_work(10, 1 << 12, limit) == 10 * TASK_WORK_PER_SECOND >> 12
    assert max_coalition_work(0.1, 0, limit) == limit
