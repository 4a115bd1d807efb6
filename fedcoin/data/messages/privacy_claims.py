"""A client's claim of how private its training examples are: its limits, and how it is shown.

Nobody verifies a claim. It says what the client's own accountant computed of its own training.
"""

from __future__ import annotations

from typing import Final

from fedcoin.data.field_checks import check_range
from fedcoin.v1.task_pb2 import PrivacyClaim

MAX_EPSILON_MILLI: Final = 2**32 - 1
"""The largest epsilon that can be claimed, in thousandths."""

PICO: Final = 10**12
"""Delta is an integer number of 10^-12."""

_MAX_CLIP_MICRO: Final = 10**15
_MAX_NOISE_MICRO: Final = 10**12


def check_privacy(claim: PrivacyClaim) -> None:
    """Check that the numbers of a claim are within their ranges.

    Args:
        claim: The claim of an update.

    Raises:
        RefusalError: MALFORMED when one is not.
    """
    check_range(claim.epsilon_milli, 1, MAX_EPSILON_MILLI, "update.privacy.epsilon_milli")
    check_range(claim.delta_pico, 1, PICO - 1, "update.privacy.delta_pico")
    check_range(claim.clip_micro, 1, _MAX_CLIP_MICRO, "update.privacy.clip_micro")
    check_range(claim.noise_micro, 1, _MAX_NOISE_MICRO, "update.privacy.noise_micro")


def describe_privacy(claim: PrivacyClaim) -> str:
    """Describe a claim in a few words for people.

    Args:
        claim: A claim whose numbers are within their ranges.

    Returns:
        Such as "epsilon 3.210, delta 1e-05, clip 1, noise 1.1".
    """
    return (
        f"epsilon {claim.epsilon_milli / 1000:.3f}, delta {claim.delta_pico / PICO:g}, "
        f"clip {claim.clip_micro / 1e6:g}, noise {claim.noise_micro / 1e6:g}"
    )
