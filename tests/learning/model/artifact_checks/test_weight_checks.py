from __future__ import annotations

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.artifact_checks.weight_checks import check_weights
from fedcoin.v1 import artifact_pb2


@pytest.mark.parametrize("name", ["norm/moving_variance", "norm.running_var"])
def test_negative_variances(name: str) -> None:
    spec = artifact_pb2.ModelSpec(input_shape=[3], num_classes=2)
    spec.weights.add(name=name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=[2])
    check_weights(spec, {name: np.array([0, 2], np.float32)}, "update")
    with pytest.raises(RefusalError, match=r"update\.norm.* holds -1; a moving variance") as caught:
        check_weights(spec, {name: np.array([3, -1], np.float32)}, "update")
    assert caught.value.code is LearningCode.OUT_OF_RANGE
