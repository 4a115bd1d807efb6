from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import (
    evaluation_arrays,
    sample_input_range,
)


def test_an_evaluation_set_holds_x_and_y() -> None:
    with pytest.raises(RefusalError) as caught:
        evaluation_arrays({"x": np.ones(3, np.float32)})
    assert caught.value.code is LearningCode.WRONG_NAMES


def test_the_range_of_an_evaluation_set(tmp_path: Path) -> None:
    path = tmp_path / "evaluation"
    assert sample_input_range(path) == (0, 0)
    x = np.array([[-1.5, 2.0], [0.0, 7.0]], np.float32)
    path.write_bytes(encode_tensors({"x": x, "y": np.array([0, 1])}))
    assert sample_input_range(path) == (-1.5, 7)
