"""The codes under which this layer refuses."""

from __future__ import annotations

from enum import Enum


class ConsensusCode(str, Enum):
    """Why this layer refused something; the value is the name."""

    BAD_CERTIFICATE = "BAD_CERTIFICATE"
    BAD_LOCK = "BAD_LOCK"
    WRONG_HEIGHT = "WRONG_HEIGHT"
    NOT_A_VALIDATOR = "NOT_A_VALIDATOR"
    WRONG_PROPOSER = "WRONG_PROPOSER"
    WRONG_VALID_ROUND = "WRONG_VALID_ROUND"
