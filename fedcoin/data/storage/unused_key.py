"""A note beside a key that has signed nothing since this machine made it.

A validator without a record of its votes cannot tell whether it never voted or lost the record. The
note makes the difference, so that a new validator votes at once. It must not come back with a
backup. So it names the key's file as the file system knows it (device, inode, and the time at which
it was last changed), and the start of the machine in which the key was made: a copy of the folder,
a restored backup and an image of the disk do not match. It is deleted before the key's first vote,
and the key's file changed: a backup that restores the note may leave the key in place.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcoin.data.atomic_files import replace_file, sync_folder

_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """Read the number that the system drew at its start.

    Returns:
        The number as text; empty where the system has none, as elsewhere than on Linux.
    """
    try:
        return _BOOT_ID_PATH.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class UnusedKeyFile:
    """The note beside one key: NAME.unused. Its methods block."""

    key_path: Path
    """The key's file, NAME.key."""
    boot_id: str
    """What `read_boot_id` gives."""

    @property
    def path(self) -> Path:
        """The note's file, which may not exist."""
        return self.key_path.with_suffix(".unused")

    def write(self) -> None:
        """Note that the key is unused; it is on disk when this returns.

        Nothing is noted on a system without a number of its start.
        """
        if self.boot_id:
            replace_file(self.path, self._describe())

    def holds(self) -> bool:
        """Tell whether the key was made by this machine since its start and has signed nothing.

        Returns:
            False as well when the note is missing, was made for another file of this name, or could
            not be made void, since the key's file belongs to another user.
        """
        try:
            is_noted = bool(self.boot_id) and self.path.read_bytes() == self._describe()
            return is_noted and self.key_path.stat().st_uid == os.geteuid()
        except OSError:
            return False

    def consume(self) -> None:
        """Delete the note and make its copies void; call it before the key signs.

        The note is gone from the disk on return.

        Raises:
            OSError: The note holds, and cannot be made void.
        """
        try:
            # The same permissions again, so that the system notes a new time of change.
            self.key_path.chmod(stat.S_IMODE(self.key_path.stat().st_mode))
        except OSError:
            if self.holds():
                raise
        try:
            self.path.unlink()
        except FileNotFoundError:
            return
        sync_folder(self.path.parent)

    def _describe(self) -> bytes:
        found = self.key_path.stat()
        fields = {
            "device": found.st_dev,
            "inode": found.st_ino,
            "changed_ns": found.st_ctime_ns,
            "boot_id": self.boot_id,
        }
        return json.dumps(fields).encode()
