"""Folders that only their owner can read, and the lock by which one process holds a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the file `lock` in a folder.

    Args:
        folder: An existing folder.

    Yields:
        Nothing; the lock is held inside the `with` block.

    Raises:
        RefusalError: HOME_IN_USE when another process holds it.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RefusalError(
            ApplicationCode.HOME_IN_USE,
            f"another process works on {folder}: stop it, or choose another home with --home",
            field="home",
        ) from None
    try:
        yield
    finally:
        lock.release()


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can read, and its parents.

    Args:
        path: The folder, which gets mode 0700; one that exists is left as it is.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
