"""The product's own training of ONNX models."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.sgd import train
from fedcoin.learning.training.training_plan import TrainingPlan
from tests.support import onnx_graphs, small_models

PLAN = TrainingPlan(epochs=3, batch_size=8, learning_rate=0.1)


def test_kernels_with_the_units_first_are_trained_as_those_with_them_last() -> None:
    keras = small_models.mlp_spec((2, 4, 1), (6,), 3)
    weights = small_models.random_weights(keras, 1)
    x, y = small_models.evaluation(keras, 30)
    expected = train(keras.SerializeToString(), weights, x, y, PLAN, 5)
    spec = onnx_graphs.mlp_spec()
    names = [weight.name for weight in spec.weights]
    transposed = {
        name: np.ascontiguousarray(array.T)
        for name, array in zip(names, weights.values(), strict=True)
    }
    trained = train(spec.SerializeToString(), transposed, x, y, PLAN, 5)
    for array, other in zip(trained.values(), expected.values(), strict=True):
        np.testing.assert_allclose(array.T, other, rtol=0, atol=1e-5)
    assert not np.allclose(trained["w1"], transposed["w1"])


def test_other_networks_are_trained_by_their_own_framework() -> None:
    nodes = [
        onnx_graphs.node("LeakyRelu", "x", "r"),
        onnx_graphs.node("Gemm", "r w", "y"),
    ]
    spec = onnx_graphs.graph_spec(nodes, (4,), {"w": (4, 3)}, 3)
    x, y = small_models.evaluation(spec, 10)
    weights = small_models.random_weights(spec, 1)
    with pytest.raises(RefusalError, match="the framework that it comes from") as caught:
        train(spec.SerializeToString(), weights, x, y, PLAN, 5)
    assert caught.value.code is LearningCode.NOT_TRAINABLE
