"""Sizes, lengths, ranges and choices of fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_choice, check_length, check_range, check_size


def test_limits_are_inclusive() -> None:
    check_size(b"abc", 3, "x")
    check_length(b"abc", 3, "x")
    check_range(1, 1, 3, "x")
    check_range(3, 1, 3, "x")
    check_choice(3, (1, 3), "x")
    checks: list[tuple[Callable[[], None], DataCode]] = [
        (lambda: check_size(b"abcd", 3, "x"), DataCode.TOO_LARGE),
        (lambda: check_length(b"ab", 3, "x"), DataCode.MALFORMED),
        (lambda: check_length(b"abcd", 3, "x"), DataCode.MALFORMED),
        (lambda: check_range(0, 1, 3, "x"), DataCode.MALFORMED),
        (lambda: check_range(4, 1, 3, "x"), DataCode.MALFORMED),
        (lambda: check_choice(4, (1, 3), "x"), DataCode.MALFORMED),
        (lambda: check_choice(4, (1, 3), "x", code=DataCode.BAD_TENSOR), DataCode.BAD_TENSOR),
    ]
    for check, code in checks:
        with pytest.raises(RefusalError) as caught:
            check()
        assert caught.value.code is code
        assert caught.value.field == "x"
        assert caught.value.limit
