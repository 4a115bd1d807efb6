"""Files that are there wholly or not at all, whatever the moment of a crash."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: files created, renamed and removed in it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file: after a crash it has the old content or the new, durably."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    sync_file(part)
    part.replace(path)
    sync_folder(path.parent)


def publish_file(part: Path, path: Path) -> None:
    """Give a finished file its name, durably. Raises `FileExistsError` when it is taken."""
    sync_file(part)
    try:
        # Unlike a rename, a link never replaces what is there.
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if path.exists():
            raise FileExistsError(f"{path} is there already") from None
        part.replace(path)
    part.unlink(missing_ok=True)
    sync_folder(path.parent)
