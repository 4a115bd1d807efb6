"""Count the processors that this process may use: its CPU mask, and the quota of its cgroups.

A container's CPU limit is a quota of time (`cpu.max` of cgroup v2, `cpu.cfs_quota_us` of v1), which
neither `os.cpu_count` nor the CPU mask shows. Processes beyond it are stopped for a part of each
period, votes of validators among them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcoin.data.plurals import format_count

_ROOT: Final = Path("/")
_CGROUP_FOLDER: Final = "sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class CpuCount:
    """The processors that a process may use."""

    cores: int
    """Processors in the CPU mask of this process, at least 1."""
    quota: float | None
    """Processors' time that the cgroups allow, such as 1.5; None when they set no limit."""

    @property
    def usable(self) -> int:
        """How many processes can compute all the time: whole processors, at least 1."""
        if self.quota is None:
            return self.cores
        return max(1, min(self.cores, math.floor(self.quota)))

    def describe(self) -> str:
        """Say how many processors there are, and what decides it.

        Returns:
            A phrase for the log, such as `4 cores, of which a cgroup allows 1.5`.
        """
        cores = format_count(self.cores, "core")
        if self.quota is None:
            return f"{cores}, no CPU quota"
        return f"{cores}, of which a cgroup's CPU quota allows {self.quota:g}"


def count_cpus(root: Path = _ROOT) -> CpuCount:
    """Count the processors that this process may use.

    Args:
        root: The folder with `proc` and `sys`, for tests.

    Returns:
        The processors in the CPU mask, and the smallest quota of its cgroup and those above it.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return CpuCount(cores, min(_quotas(root), default=None))


def count_usable_cpus() -> int:
    """Count the processes that can compute at a time: `CpuCount.usable` of this process.

    Returns:
        At least 1.
    """
    return count_cpus().usable


def _quotas(root: Path) -> Iterator[float]:
    """Yield each quota, in processors, that holds for this process."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeError):
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = controllers.split(",")
        if not controllers:
            yield from filter(None, map(_quota_of_v2, _folders(root / _CGROUP_FOLDER, path)))
        elif "cpu" in names:
            for mount in (controllers, "cpu"):
                top = root / _CGROUP_FOLDER / mount
                yield from filter(None, map(_quota_of_v1, _folders(top, path)))


def _folders(top: Path, path: str) -> Iterator[Path]:
    """Yield the folder of a cgroup and those above it.

    In a container `path` may be that of the machine, which does not exist there; the container's
    own cgroup is then at the top.
    """
    folder = top
    yield folder
    for part in Path(path).parts:
        if part not in ("/", ".."):
            folder = folder / part
            yield folder


def _quota_of_v2(folder: Path) -> float | None:
    words = _read(folder / "cpu.max").split()
    if len(words) != 2 or words[0] == "max":
        return None
    return _ratio(words[0], words[1])


def _quota_of_v1(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _ratio(quota: str, period: str) -> float | None:
    # Version 1 writes -1 for no limit.
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)
