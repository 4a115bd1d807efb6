"""Why the learning layer refuses something, and how its workers fail."""

from __future__ import annotations

from enum import Enum


class LearningCode(str, Enum):
    """Codes of this layer's refusals; each value is its own name."""

    # Architectures.
    BAD_MODEL = "BAD_MODEL"
    """A ModelSpec or an architecture is malformed, or Keras cannot build it."""
    MODEL_TOO_LARGE = "MODEL_TOO_LARGE"
    """A model exceeds a limit on bytes, parameters or sizes."""
    FORBIDDEN_LAYER = "FORBIDDEN_LAYER"
    """An architecture names a class that is not on the list of allowed ones."""
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    """There is no model of that name, or its file cannot be read."""
    # Weights and evaluation sets.
    WRONG_NAMES = "WRONG_NAMES"
    """Tensors are missing, superfluous or in another order than the model's."""
    WRONG_SHAPE = "WRONG_SHAPE"
    """A tensor has another shape than the model needs."""
    WRONG_DTYPE = "WRONG_DTYPE"
    """A tensor, or a model's computation, has a dtype that is not allowed."""
    NOT_FINITE = "NOT_FINITE"
    """Numbers include NaN or infinity."""
    OUT_OF_RANGE = "OUT_OF_RANGE"
    """A number's absolute value is too large."""
    LABEL_OUT_OF_RANGE = "LABEL_OUT_OF_RANGE"
    """A label is not one of the model's classes."""
    WRONG_SIZE = "WRONG_SIZE"
    """An evaluation set has another number of examples than declared."""
    WRONG_AGGREGATE = "WRONG_AGGREGATE"
    """An aggregate is not the federated average of the updates."""
    NO_CLIENTS = "NO_CLIENTS"
    """There are no updates to average or to evaluate."""
    BAD_SAMPLES = "BAD_SAMPLES"
    """A client's number of training examples is missing or out of range."""
    # Requests to a worker.
    BAD_COALITIONS = "BAD_COALITIONS"
    """Coalitions are not a bool array with one column for each client."""
    UNKNOWN_JOB = "UNKNOWN_JOB"
    """The job is not open."""
    # Data sets and training.
    UNKNOWN_DATASET = "UNKNOWN_DATASET"
    """There is no data set of that name, or no such file."""
    BAD_DATASET = "BAD_DATASET"
    """A data set's file cannot be used."""
    BAD_SHARE = "BAD_SHARE"
    """A data set cannot be divided as asked."""
    BAD_PLAN = "BAD_PLAN"
    """A number in a training plan is out of range."""


class WorkerError(Exception):
    """A worker cannot be started, died, or raised an exception other than a RefusalError.

    The message says what the worker was doing, and ends with the last lines of its standard error
    or with the exception's traceback.
    """
