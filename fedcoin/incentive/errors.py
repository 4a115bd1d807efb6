"""Codes of the refusals of the incentive layer.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class IncentiveCode(str, Enum):
    """Why a plan, evidence or a split was refused."""

    # Plans.
    BAD_PLAN = "BAD_PLAN"
    """The schedule is unknown, or the number of clients, the evaluation size, the truncation
    or the maximum number of samples is out of range.

    Use a value that the schedule allows."""
    BAD_SPLIT = "BAD_SPLIT"
    """A price, a weight or a round number cannot be split.

    Use amounts that are not negative, with at least one weight above 0."""

    # Evidence.
    MALFORMED = "MALFORMED"
    """A hash, salt, vector, key or address has the wrong length.

    Build the evidence as docs/PROTOCOL.md describes."""
    BAD_SAMPLES = "BAD_SAMPLES"
    """The number of samples is 0, above the task's maximum, or under EXACT not the number of
    blocks.

    Claim the number of samples that were evaluated."""
    BAD_UTILITY = "BAD_UTILITY"
    """A utility is negative or above the largest one, or differs from what the schedule
    defines it to be.

    Claim the utilities that the evaluation gave."""
    WRONG_LEAVES = "WRONG_LEAVES"
    """The leaves shown are not the challenged ones, in number, order or length.

    Show exactly the challenged leaves, in ascending order."""
    WRONG_SIBLINGS = "WRONG_SIBLINGS"
    """The number of nodes shown between the leaves and the root is wrong.

    Show each sibling once, in the order of docs/PROTOCOL.md."""
    SUM_OUT_OF_RANGE = "SUM_OUT_OF_RANGE"
    """No utilities of the leaves below a node could give its sum.

    Build the tree from the evaluated leaves."""
    SUM_NOT_EFFICIENT = "SUM_NOT_EFFICIENT"
    """The numbers of a node's sum do not add up to the total that its leaves must have.

    Build the tree from the evaluated leaves."""
    WRONG_TOTAL = "WRONG_TOTAL"
    """The total is not the sum of the leaves and nodes shown.

    Build the tree from the evaluated leaves."""
    WRONG_ROOT = "WRONG_ROOT"
    """The root is not the hash of the leaves and nodes shown.

    Show leaves and siblings of the tree that was committed to."""
    AUDIT_FAILED = "AUDIT_FAILED"
    """A recomputed utility differs from the claimed one by more than the tolerance.

    Evaluate the coalitions with the task's model and evaluation set."""
