"""Codes of the refusals of the learning layer, and how its workers fail.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class LearningCode(str, Enum):
    """Why a model, weights, a data set or a training plan was refused."""

    # Architectures.
    BAD_MODEL = "BAD_MODEL"
    """A ModelSpec or an architecture is malformed, or Keras cannot build it.

    Correct the field that the error names."""
    MODEL_TOO_LARGE = "MODEL_TOO_LARGE"
    """A model exceeds a limit on bytes, parameters or sizes.

    Use a smaller model."""
    TOO_SLOW = "TOO_SLOW"
    """Evaluating a model takes too many multiply-adds.

    Use a smaller model, fewer examples or a longer commit window."""
    OVERDUE = "OVERDUE"
    """A worker was ended, because a request took it longer than `miner.request_seconds`. The
    machine may be busy, so that this alone says nothing about the model.

    Use a smaller model or fewer examples, raise `miner.request_seconds`, or give the machine less
    to do."""
    FORBIDDEN_LAYER = "FORBIDDEN_LAYER"
    """An architecture uses a class that is not one of the allowed Keras layers, or an ONNX operator
    that is not allowed.

    Build the model from plain layers that only compute, without custom classes."""
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    """No built-in model has that name, or the model's file cannot be read.

    Use `mlp`, `cnn`, or the path of a model: Keras' JSON, a `.keras` file or an ONNX file."""

    # Weights and evaluation sets.
    WRONG_NAMES = "WRONG_NAMES"
    """Tensors are missing, superfluous or in another order than the model's.

    Use the names and the order of the model's weights; an evaluation set holds `x` and `y`."""
    WRONG_SHAPE = "WRONG_SHAPE"
    """An array has another shape than the model expects.

    Use the shape that the error names."""
    WRONG_DTYPE = "WRONG_DTYPE"
    """A tensor, or a model's computation, has a dtype that is not allowed.

    Use float32 for weights; the error names the types for examples and labels."""
    NOT_FINITE = "NOT_FINITE"
    """An array holds NaN or infinity, or the training diverged.

    Lower the learning rate, or clean the data."""
    OUT_OF_RANGE = "OUT_OF_RANGE"
    """A weight or an example is larger than allowed in absolute value.

    Scale the data, or lower the learning rate."""
    UNFIT_MEASURE = "UNFIT_MEASURE"
    """An evaluation set or a model cannot be measured by the utility that was asked for.

    Use another utility, or a set with what the error names."""
    LABEL_OUT_OF_RANGE = "LABEL_OUT_OF_RANGE"
    """A label is negative or not below the model's number of classes.

    Number the classes from 0, and set the model's number of classes accordingly."""
    WRONG_SIZE = "WRONG_SIZE"
    """An evaluation set has another number of examples than the task says.

    Publish the evaluation set with the size that the task names."""
    WRONG_AGGREGATE = "WRONG_AGGREGATE"
    """The aggregate is not the average of the task's updates, weighted by their numbers of
    examples.

    Aggregate exactly the updates that the task lists."""
    WRONG_GROUPS = "WRONG_GROUPS"
    """A task groups its updates otherwise than the campaign's similarity limit asks for.

    Group the updates by complete linkage of their similarities."""
    NO_CLIENTS = "NO_CLIENTS"
    """There are no updates to average.

    Give the weights of at least one client."""
    BAD_SAMPLES = "BAD_SAMPLES"
    """A client's number of examples is missing or out of range.

    Give each client a whole number of examples within the limit."""

    # Jobs of a worker.
    MISSING_PACKAGE = "MISSING_PACKAGE"
    """This machine lacks a package that a model needs. Nothing is wrong with the model.

    Install the extra that the error names."""
    BAD_COALITIONS = "BAD_COALITIONS"
    """Coalitions are not a bool array with one column for each client.

    Give an array of shape (number of coalitions, number of clients)."""
    UNKNOWN_JOB = "UNKNOWN_JOB"
    """A worker was asked for utilities of a job that it does not hold.

    Open the job first."""

    # Files of arrays.
    NO_FILE = "NO_FILE"
    """There is no such file.

    Check the path."""
    UNREADABLE_FILE = "UNREADABLE_FILE"
    """A file is damaged, or in a format that is not read.

    Do what the error says; docs/FILES.md lists the formats."""
    BAD_FORMAT = "BAD_FORMAT"
    """A file is to be written in a format that is not written, or that does not hold such arrays.

    Use one of the endings that the error names."""

    # Data sets and training.
    UNKNOWN_DATASET = "UNKNOWN_DATASET"
    """There is no such data set, or no file at this path.

    Use `digits`, `mnist` with FEDCOIN_MNIST set, or the path of a file."""
    BAD_DATASET = "BAD_DATASET"
    """A data set's file is damaged or lacks arrays.

    Do what the error says; docs/FILES.md lists the names of arrays."""
    BAD_SHARE = "BAD_SHARE"
    """A data set cannot be divided as asked.

    Use fewer clients or shards, or a smaller evaluation set."""
    BAD_PARTITION = "BAD_PARTITION"
    """A partition is written wrongly, or does not fit the data set or the number of clients.

    Correct the part that the error names; `linear` and `iid` fit any data."""
    NOT_TRAINABLE = "NOT_TRAINABLE"
    """The product's own training does not compute this model.

    Train it with the framework that it comes from, and hand in the weights."""
    BAD_PLAN = "BAD_PLAN"
    """A number of the training plan is out of range.

    Use a value within the range that the error names."""


class WorkerError(Exception):
    """A worker cannot be started, died, or raised an exception other than a RefusalError.

    The message says what the worker was doing, and ends with the last lines of its standard error
    or with the exception's traceback.
    """
