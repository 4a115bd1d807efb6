"""The samples and the salt of each commitment, on disk: one file for each task.

A file is written, in one step, before the commitment is sent. A miner that loses it cannot reveal
and loses its deposit.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcoin.application.mining.sampler import Samples
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.proof.layouts import Ints

log = logging.getLogger(__name__)

_NAME = re.compile(r"([0-9a-f]{64})\.work", re.ASCII)


@dataclass(frozen=True, slots=True)
class SealedWork:
    """The samples that a miner commits to in one attempt, and the salt."""

    attempt: int
    """The attempt that the commitment belongs to."""
    salt: bytes
    """The random salt of the commitment, 32 bytes."""
    samples: Samples
    """The samples that the commitment covers."""


class WorkFolder:
    """The folder of these files. Its methods block; one process uses it.

    Args:
        folder: The folder, which is made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, task_id: bytes, work: SealedWork) -> None:
        """Write a task's work durably, in place of earlier work.

        Args:
            task_id: The task's id, 32 bytes.
            work: The attempt, salt and samples to keep.
        """
        samples = work.samples
        ends = [work.attempt, samples.grand, samples.empty]
        content = encode_tensors(
            {
                "salt": np.frombuffer(work.salt, dtype=np.uint8),
                "ends": np.array(ends, dtype=np.int64),
                "utilities": samples.utilities.astype(np.int32),
            }
        )
        replace_file(self._path(task_id), content)

    def load(self, task_id: bytes) -> SealedWork | None:
        """Read a task's work.

        Args:
            task_id: The task's id, 32 bytes.

        Returns:
            The work; None when there is no file, or when it cannot be read.
        """
        try:
            tensors = decode_tensors(self._path(task_id).read_bytes())
            attempt, grand, empty = tensors["ends"].tolist()
            utilities: Ints = tensors["utilities"].astype(np.int64)
            salt = tensors["salt"].tobytes()
        except FileNotFoundError:
            return None
        except (RefusalError, KeyError, ValueError) as error:
            log.warning("the work saved for task %s cannot be read: %s", task_id.hex()[:16], error)
            return None
        return SealedWork(attempt, salt, Samples(utilities, grand, empty))

    def remove(self, task_id: bytes) -> None:
        """Delete a task's file, if it exists.

        Args:
            task_id: The task's id, 32 bytes.
        """
        self._path(task_id).unlink(missing_ok=True)

    def task_ids(self) -> list[bytes]:
        """List the tasks that have a file."""
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(bytes.fromhex(name.group(1)) for name in names if name)

    def _path(self, task_id: bytes) -> Path:
        return self._folder / f"{task_id.hex()}.work"
