"""The message that a client signs when it joins a campaign."""

from __future__ import annotations

MAX_CLOCK_DIFFERENCE_MS = 300_000
"""How far a registration's time may be from the coordinator's clock in either direction, in ms."""


def registration_body(time_ms: int) -> bytes:
    """Return the body that a registration's signature covers.

    Args:
        time_ms: The time of the registration, Unix time in ms.

    Returns:
        The time as 8 bytes, big-endian, two's complement.
    """
    return time_ms.to_bytes(8, "big", signed=True)
