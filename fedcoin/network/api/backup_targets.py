"""Where a caller may have the chain's database copied to.

Whoever opens the operator's Unix socket is the node's user, who can write these files anyway. The
bearer of an admin's token is on another machine: a path of its choice could name a file that some
program on this machine reads, such as a shell's startup file or a folder of scheduled jobs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Protocol

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode

MAX_BACKUPS: Final = 16
"""The largest number of files in a folder to which backups are added."""

_PART: Final = ".part"
"""How a copy's name ends until it is complete."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class BackupTargets(Protocol):
    """Decides about the target of a backup. Its method blocks."""

    def find(self, wanted: str) -> Path:
        """Find the file to write.

        Args:
            wanted: What the caller asked for.

        Returns:
            The absolute path of a file that does not exist, in a folder that does.

        Raises:
            OSError: The folder cannot be read or made.
            RefusalError: BAD_PATH when it is not allowed; FILE_EXISTS when there is such a file;
                TOO_MANY_BACKUPS when the folder is full.
        """
        ...


class AnyPath:
    """Allows any absolute path: for the operator's Unix socket."""

    def find(self, wanted: str) -> Path:
        """Implement `BackupTargets.find`: any path in a folder that exists."""
        path = Path(wanted)
        if "\0" in wanted or not path.is_absolute():
            raise bad_path(wanted, "must be absolute, because it is a path on the node's machine")
        if path.exists():
            raise already_exists(wanted)
        if not path.parent.is_dir():
            raise bad_path(wanted, "is in a folder that does not exist; make it first")
        return path


class FolderTargets:
    """Allows new files of one folder: for listeners that other machines can reach.

    Args:
        folder: The folder, which is made when it is missing; None allows nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, wanted: str) -> Path:
        """Implement `BackupTargets.find`: a name without separators, in the folder."""
        if self._folder is None or not _NAME.fullmatch(wanted) or wanted.endswith(_PART):
            raise bad_path(
                wanted,
                "is no file name: over the network give 1 to 128 letters, digits, dots, hyphens and"
                " underscores, which name a new file in the node's folder api.backups; the"
                " operator's socket takes paths",
            )
        folder = self._folder.absolute()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (folder / wanted).exists():
            raise already_exists(wanted)
        if sum(1 for _ in folder.iterdir()) >= MAX_BACKUPS:
            raise RefusalError(
                NetworkCode.TOO_MANY_BACKUPS,
                f"the node's folder api.backups holds {MAX_BACKUPS} files, the most that are"
                " allowed: move some away on its machine",
                field="path",
                limit=str(MAX_BACKUPS),
            )
        return folder / wanted


def bad_path(wanted: str, problem: str) -> RefusalError:
    """Make the refusal of a path.

    Args:
        wanted: What the caller asked for.
        problem: What is wrong with it, as the rest of a sentence.

    Returns:
        A refusal with code BAD_PATH.
    """
    return RefusalError(NetworkCode.BAD_PATH, f"path {wanted[:200]!r} {problem}", field="path")


def already_exists(wanted: str) -> RefusalError:
    """Make the refusal of a file that exists.

    Args:
        wanted: What the caller asked for.

    Returns:
        A refusal with code FILE_EXISTS.
    """
    return RefusalError(
        NetworkCode.FILE_EXISTS,
        f"path {wanted[:200]!r} exists already; name a file that does not exist",
        field="path",
    )
