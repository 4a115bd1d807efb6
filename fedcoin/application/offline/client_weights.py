"""Clients' files of weights: read one as the model's tensors, and count each client's examples."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.frozen_weights import freeze_weights
from fedcoin.learning.model.weight_files import (
    NUM_SAMPLES,
    WeightsFile,
    needs_keras,
    read_weights_file,
)
from fedcoin.learning.workers.pool import WorkerPool


async def load_weights(
    workers: WorkerPool, path: Path, spec: bytes, *, is_whole: bool = False
) -> WeightsFile:
    """Read a file of weights, in a worker process where that needs TensorFlow.

    Args:
        workers: Worker processes.
        path: A file as `read_weights_file` reads.
        spec: The serialised ModelSpec.
        is_whole: Whether the file holds the frozen weights as well, and they are wanted.

    Returns:
        The encoded weights, the number of examples if the file has it, and what was changed.

    Raises:
        RefusalError: NO_FILE, UNREADABLE_FILE or MISSING_PACKAGE when the file cannot be opened;
            WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or BAD_SAMPLES when it does not hold
            the model's weights; MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not
            accepted.
        WorkerError: A worker process died twice.
    """
    if await asyncio.to_thread(needs_keras, path):
        return await workers.run("while reading weights", read_weights_file, path, spec, is_whole)
    return await asyncio.to_thread(read_weights_file, path, spec, is_whole)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The artifacts of a model in a folder."""

    spec: bytes
    """The serialised ModelSpec, which `model` holds as well."""
    model: Path
    """The file of the ModelSpec."""
    base: Path
    """The weights from which the clients started; of a model with frozen ones, the others."""
    frozen: Path | None
    """The frozen weights; None for a model without."""
    remarks: tuple[str, ...]
    """What was changed on reading the base weights, a phrase each."""


async def write_model(
    workers: WorkerPool, folder: Path, spec: bytes, base: Path, trained: Sequence[str]
) -> ModelFiles:
    """Write a model's artifacts, divided into trained and frozen weights.

    Args:
        workers: Worker processes.
        folder: Where the files `model`, `base` and, for a model with frozen weights, `frozen` go.
        spec: The serialised ModelSpec.
        base: A file with all weights of the model, as `read_weights_file` reads.
        trained: Patterns of the names of the weights that are trained (`freeze_weights`); none for
            what the ModelSpec says.

    Returns:
        The paths of what was written, and what was changed on reading.

    Raises:
        RefusalError: A code of `load_weights`, such as WRONG_NAMES, when the file does not hold the
            model's weights, or of `freeze_weights` when the patterns do not fit them.
        WorkerError: A worker process died twice.
    """
    whole = await load_weights(workers, base, spec, is_whole=True)
    divided = await asyncio.to_thread(freeze_weights, spec, whole.tensors, trained)
    frozen = folder / "frozen" if divided.frozen else None
    contents = {"model": divided.spec, "base": divided.trained, "frozen": divided.frozen}
    for name, content in contents.items():
        if content:
            await asyncio.to_thread((folder / name).write_bytes, content)
    return ModelFiles(divided.spec, folder / "model", folder / "base", frozen, tuple(whole.remarks))


def complete_samples(files: Sequence[Path], num_samples: Sequence[int | None]) -> tuple[int, ...]:
    """Count each client once if no file has a number of examples.

    Args:
        files: The clients' files.
        num_samples: The number of training examples of each, where it is known.

    Returns:
        A number for each client.

    Raises:
        RefusalError: BAD_SAMPLES when only some numbers are known.
    """
    lacking = [
        file.name for file, samples in zip(files, num_samples, strict=True) if samples is None
    ]
    if lacking and len(lacking) < len(files):
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"{', '.join(lacking[:5])} lack {NUM_SAMPLES}, which the other clients' files have, so "
            "that their weight in the average is unknown; add it (`fedcoin-node convert --model "
            "... --num-samples N`), or remove it everywhere",
            field=NUM_SAMPLES,
        )
    return tuple(samples or 1 for samples in num_samples)
