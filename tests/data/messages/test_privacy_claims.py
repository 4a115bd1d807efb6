"""Claims of privacy: their limits in updates, and how they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.privacy_claims import check_privacy, describe_privacy
from fedcoin.v1.task_pb2 import PrivacyClaim


def claim(**changes: int) -> PrivacyClaim:
    given: dict[str, Any] = {
        "epsilon_milli": 3210,
        "delta_pico": 10**7,
        "clip_micro": 10**6,
        "noise_micro": 1_100_000,
    }
    return PrivacyClaim(**given | changes)


def test_described_in_the_units_of_the_options() -> None:
    check_privacy(claim())
    assert describe_privacy(claim()) == "epsilon 3.210, delta 1e-05, clip 1, noise 1.1"


@pytest.mark.parametrize("field", ["epsilon_milli", "delta_pico", "clip_micro", "noise_micro"])
def test_no_field_may_be_absent(field: str) -> None:
    with pytest.raises(RefusalError) as caught:
        check_privacy(claim(**{field: 0}))
    assert caught.value.code is DataCode.MALFORMED
    assert caught.value.field == f"update.privacy.{field}"


def test_a_delta_of_one_promises_nothing() -> None:
    with pytest.raises(RefusalError):
        check_privacy(claim(delta_pico=10**12))
