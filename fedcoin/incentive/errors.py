"""Codes of the refusals of the incentive layer."""

from __future__ import annotations

from enum import Enum


class IncentiveCode(str, Enum):
    """Why a plan, evidence or a split was refused; value and name are the same."""

    BAD_PLAN = "BAD_PLAN"
    """The schedule is unknown, or the number of clients, the evaluation size, the truncation or
    the maximum number of samples is out of range."""
    MALFORMED = "MALFORMED"
    """A hash, salt, vector, key or address has the wrong length."""
    BAD_SAMPLES = "BAD_SAMPLES"
    """The number of samples is 0, above the task's maximum, or under EXACT not the number of
    blocks."""
    BAD_UTILITY = "BAD_UTILITY"
    """A utility is negative or above the evaluation size, or differs from what the schedule
    defines it to be."""
    WRONG_LEAVES = "WRONG_LEAVES"
    """The leaves shown are not the challenged ones, in number, order or length."""
    WRONG_SIBLINGS = "WRONG_SIBLINGS"
    """The number of nodes shown between the leaves and the root is wrong."""
    SUM_OUT_OF_RANGE = "SUM_OUT_OF_RANGE"
    """No utilities of the leaves below a node could give its sum."""
    SUM_NOT_EFFICIENT = "SUM_NOT_EFFICIENT"
    """A node's sum, added up over the clients, is not what its leaves share out."""
    WRONG_TOTAL = "WRONG_TOTAL"
    """The total is not the sum of the leaves and nodes shown."""
    WRONG_ROOT = "WRONG_ROOT"
    """The root is not the hash of the leaves and nodes shown."""
    AUDIT_FAILED = "AUDIT_FAILED"
    """A recomputed utility differs from the claimed one by more than the tolerance."""
    BAD_SPLIT = "BAD_SPLIT"
    """A price, weight or round number that cannot be split."""
