"""Whether a file with a secret is readable by its owner alone, or mounted for this process."""

from __future__ import annotations

import os

_OTHERS = 0o007
_GROUP_WRITE_OR_EXECUTE = 0o030
_GROUP = 0o070


def find_exposure(descriptor: int) -> str:
    """Tell who else can read or write an open file.

    A file of root's that this process reads through one of its groups is private enough when the
    group can only read it: Kubernetes mounts secrets for a pod's `fsGroup` in this way (0440).

    Args:
        descriptor: The file, open.

    Returns:
        A phrase such as `can be read or written by others than its owner (mode 0644): chmod 600
        it`; empty when the file is private, and on systems without such modes.
    """
    if os.name != "posix":
        return ""
    found = os.fstat(descriptor)
    groups = {os.getegid(), *os.getgroups()}
    mode = found.st_mode & 0o777
    if is_private(mode, (found.st_uid, found.st_gid), os.geteuid(), groups):
        return ""
    return f"can be read or written by others than its owner (mode {mode:04o}): chmod 600 it"


def is_private(mode: int, owner: tuple[int, int], user: int, groups: set[int]) -> bool:
    """Decide whether a file's mode keeps it from others.

    Args:
        mode: The nine bits of its mode.
        owner: The numbers of its user and of its group.
        user: The number of the user that this process runs as.
        groups: The numbers of this process's groups.

    Returns:
        True for its owner alone, and for a mounted secret as in `find_exposure`.
    """
    if not mode & (_GROUP | _OTHERS):
        return True
    if mode & (_OTHERS | _GROUP_WRITE_OR_EXECUTE):
        return False
    return owner[0] == 0 and user != 0 and owner[1] in groups
