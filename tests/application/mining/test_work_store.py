from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.mining.sampler import Samples
from fedcoin.application.mining.work_store import SealedWork, WorkFolder

TASK, OTHER = b"\x01" * 32, b"\x02" * 32


def work(attempt: int = 3) -> SealedWork:
    utilities = np.arange(12, dtype=np.int64).reshape(3, 4)
    return SealedWork(attempt, bytes(range(32)), Samples(utilities, 10_000_000, 7))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    WorkFolder(tmp_path / "work").save(TASK, work())
    loaded = WorkFolder(tmp_path / "work").load(TASK)
    assert loaded is not None
    assert (loaded.attempt, loaded.salt) == (3, bytes(range(32)))
    assert (loaded.samples.grand, loaded.samples.empty) == (10_000_000, 7)
    assert loaded.samples.utilities.dtype == np.int64
    assert (loaded.samples.utilities == work().samples.utilities).all()


def test_the_last_one_counts_and_tasks_are_apart(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path)
    folder.save(TASK, work(0))
    folder.save(TASK, work(1))
    folder.save(OTHER, work(5))
    loaded = folder.load(TASK)
    assert loaded is not None
    assert loaded.attempt == 1
    assert folder.task_ids() == [TASK, OTHER]
    folder.remove(TASK)
    folder.remove(TASK)
    assert folder.task_ids() == [OTHER]
    assert folder.load(TASK) is None


def test_a_broken_file_is_reported_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = WorkFolder(tmp_path)
    folder.save(TASK, work())
    path = next(tmp_path.glob("*.work"))
    whole = path.read_bytes()
    for content in (b"", b"junk", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        caplog.clear()
        assert folder.load(TASK) is None
        assert "cannot be read" in caplog.text


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"{TASK.hex()}.work.part").write_bytes(b"cut off")
    assert folder.task_ids() == []
