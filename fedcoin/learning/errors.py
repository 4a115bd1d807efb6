"""Why the learning layer refuses something, and how its workers fail."""

from __future__ import annotations

from enum import Enum


class LearningCode(str, Enum):
    """One code for each kind of bad input; the value is the name."""

    # Architectures.
    BAD_MODEL = "BAD_MODEL"
    MODEL_TOO_LARGE = "MODEL_TOO_LARGE"
    FORBIDDEN_LAYER = "FORBIDDEN_LAYER"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    # Weights and evaluation sets.
    WRONG_NAMES = "WRONG_NAMES"
    WRONG_SHAPE = "WRONG_SHAPE"
    WRONG_DTYPE = "WRONG_DTYPE"
    NOT_FINITE = "NOT_FINITE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    LABEL_OUT_OF_RANGE = "LABEL_OUT_OF_RANGE"
    WRONG_SIZE = "WRONG_SIZE"
    WRONG_AGGREGATE = "WRONG_AGGREGATE"
    NO_CLIENTS = "NO_CLIENTS"
    BAD_SAMPLES = "BAD_SAMPLES"
    # Questions to a worker.
    BAD_COALITIONS = "BAD_COALITIONS"
    UNKNOWN_JOB = "UNKNOWN_JOB"
    # Data sets and training.
    UNKNOWN_DATASET = "UNKNOWN_DATASET"
    BAD_DATASET = "BAD_DATASET"
    BAD_SHARE = "BAD_SHARE"
    BAD_PLAN = "BAD_PLAN"


class WorkerError(Exception):
    """A worker process died, could not start, or raised something that is not a Refusal.

    Not bad input: the message says what the worker was doing and ends with the last lines of its
    standard error.
    """
