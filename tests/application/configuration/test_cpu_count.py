"""The processors that a process may use, from files as kernels and container engines lay them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.configuration.cpu_count import CpuCount, count_cpus


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        # The limit of a cgroup above holds, too.
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.service",
                "sys/fs/cgroup/a.slice/cpu.max": "200000 100000",
                "sys/fs/cgroup/a.slice/b.service/cpu.max": "800000 100000",
            },
            2.0,
        ),
        # Version 1, in a container that sees the machine's name of its cgroup.
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/0123\n1:name=systemd:/docker/0123",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "what is this"}, None),
    ],
)
def test_the_smallest_quota_is_found(
    files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert count_cpus(lay(tmp_path, files)).quota == quota


@pytest.mark.parametrize(
    ("cores", "quota", "usable"),
    [(8, None, 8), (8, 2.5, 2), (8, 0.5, 1), (2, 4.0, 2)],
)
def test_a_quota_is_rounded_down_to_whole_processors(
    cores: int, quota: float | None, usable: int
) -> None:
    assert CpuCount(cores, quota).usable == usable


def test_the_reason_is_said() -> None:
    assert CpuCount(8, 1.5).describe() == "8 cores, of which a cgroup's CPU quota allows 1.5"
    assert CpuCount(1, None).describe() == "1 core, no CPU quota"
