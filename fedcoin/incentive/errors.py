"""Why this layer refuses something."""

from __future__ import annotations

from enum import Enum


class IncentiveCode(str, Enum):
    """Codes of this layer's refusals; value and name are the same."""

    BAD_PLAN = "BAD_PLAN"
    """Schedule, number of clients, evaluation size, truncation or most samples out of range."""
    MALFORMED = "MALFORMED"
    """A hash, salt, vector or address of the wrong length."""
    BAD_SAMPLES = "BAD_SAMPLES"
    """More samples than the task allows, none, or under EXACT not its number of blocks."""
    BAD_UTILITY = "BAD_UTILITY"
    """A utility above the evaluation size, or another one than the schedule defines it to be."""
    WRONG_LEAVES = "WRONG_LEAVES"
    """Other leaves than the challenged ones, in number, order or length."""
    WRONG_SIBLINGS = "WRONG_SIBLINGS"
    """Too few or too many nodes between the leaves and the root."""
    SUM_OUT_OF_RANGE = "SUM_OUT_OF_RANGE"
    """A node's sum is more than the leaves below it can hold."""
    SUM_NOT_EFFICIENT = "SUM_NOT_EFFICIENT"
    """A node's sum does not add up to what its leaves must share out."""
    WRONG_TOTAL = "WRONG_TOTAL"
    """The total is not the sum of the leaves and nodes that were shown."""
    WRONG_ROOT = "WRONG_ROOT"
    """The root is not the hash of the leaves and nodes that were shown."""
    AUDIT_FAILED = "AUDIT_FAILED"
    """A recomputed utility differs by more than the tolerance."""
    BAD_SPLIT = "BAD_SPLIT"
    """A price, weight or round that cannot be split."""
