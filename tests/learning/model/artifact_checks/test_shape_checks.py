from __future__ import annotations

from typing import Any

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.artifact_checks.shape_checks import check_shapes

CLASSES, NUMBERS, TOKENS = TargetKind.CLASSES, TargetKind.NUMBERS, TargetKind.TOKENS


@pytest.mark.parametrize(
    ("made", "outputs", "kind", "positions", "fits"),
    [
        ((10,), 10, CLASSES, 0, True),
        ((11,), 10, CLASSES, 0, False),
        ((1,), 1, NUMBERS, 0, True),
        ((2,), 1, NUMBERS, 0, False),
        ((50,), 30, TOKENS, 0, True),
        ((20,), 30, TOKENS, 0, False),
        ((6, 50), 30, TOKENS, 6, True),
        ((None, 50), 30, TOKENS, 6, True),
        ((5, 50), 30, TOKENS, 6, False),
        ((50,), 30, TOKENS, 6, False),
        ((6, 50), 30, TOKENS, 0, False),
    ],
)
def test_outputs(
    made: tuple[int | None, ...], outputs: int, kind: Any, positions: int, fits: bool
) -> None:
    if fits:
        check_shapes((4,), made, (4,), outputs, kind, positions)
        return
    with pytest.raises(RefusalError) as caught:
        check_shapes((4,), made, (4,), outputs, kind, positions)
    assert caught.value.code is LearningCode.BAD_MODEL
    assert "give the model" in caught.value.message


def test_inputs() -> None:
    with pytest.raises(RefusalError, match=r"maps \(5,\) to"):
        check_shapes((5,), (10,), (4,), 10, CLASSES)
