"""Jobs of which some weights are frozen, and the same jobs with all weights in each file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model.frozen_weights import freeze_weights


def freeze_job(job: UtilityJob, patterns: Sequence[str]) -> tuple[UtilityJob, UtilityJob]:
    """Freeze all weights of a job but those that patterns name.

    Returns:
        The job with frozen weights, and one with all weights in which the clients have those.
    """
    folder = job.base.parent
    whole = job.base.read_bytes()
    divided = freeze_weights(job.model.read_bytes(), whole, patterns)
    trained = list(decode_tensors(divided.trained))
    base = decode_tensors(whole)
    (folder / "partial model").write_bytes(divided.spec)
    (folder / "partial base").write_bytes(divided.trained)
    (folder / "frozen").write_bytes(divided.frozen)
    partial, full = [], []
    for path in job.updates:
        update = {name: decode_tensors(path.read_bytes())[name] for name in trained}
        partial.append(_write(folder / f"{path.name} partial", encode_tensors(update)))
        full.append(_write(folder / f"{path.name} full", encode_tensors({**base, **update})))
    frozen = replace(
        job,
        model=folder / "partial model",
        base=folder / "partial base",
        updates=tuple(partial),
        frozen=folder / "frozen",
    )
    return frozen, replace(job, updates=tuple(full))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
