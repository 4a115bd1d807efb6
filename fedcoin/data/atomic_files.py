"""Durable and atomic writes: after a crash a file is either complete or absent."""

from __future__ import annotations

import os
from pathlib import Path

from fedcoin.data.failpoints import Failpoint, reach


def sync_folder(folder: Path) -> None:
    """Wait until the creations, renames and deletions in a folder are on disk.

    Args:
        folder: An existing folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on disk.

    Args:
        path: An existing file.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file: after a crash it holds either the old content or the new.

    The new content is on disk when this returns.

    Args:
        path: The file, which may exist.
        content: The new content.
    """
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    reach(Failpoint.FILE_WRITTEN, path.name)
    sync_file(part)
    reach(Failpoint.FILE_SYNCED, path.name)
    part.replace(path)
    reach(Failpoint.FILE_RENAMED, path.name)
    sync_folder(path.parent)
    reach(Failpoint.FILE_DONE, path.name)


def publish_file(part: Path, path: Path) -> None:
    """Rename a complete file to its final name, without replacing another file.

    Content and name are on disk when this returns.

    Args:
        part: The complete file under its temporary name, in the same folder.
        path: The final name.

    Raises:
        FileExistsError: `path` exists; the file `part` is left as it is.
    """
    reach(Failpoint.FILE_WRITTEN, path.name)
    sync_file(part)
    reach(Failpoint.FILE_SYNCED, path.name)
    try:
        # Unlike a rename, a hard link never replaces an existing file.
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # The file system does not support hard links.
        if path.exists():
            raise FileExistsError(f"{path} exists already") from None
        part.replace(path)
    reach(Failpoint.FILE_RENAMED, path.name)
    part.unlink(missing_ok=True)
    sync_folder(path.parent)
    reach(Failpoint.FILE_DONE, path.name)


def refuse_existing(path: Path) -> None:
    """Refuse to write a file that somebody may want to keep.

    Args:
        path: The file that is to be written.

    Raises:
        FileExistsError: There is a file or folder of this name.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists: name a file that does not")
