"""Check the machine: disk, descriptors, processors, proxies, libraries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.cpu_count import CpuCount
from fedcoin.application.configuration.descriptor_limit import needed_descriptors
from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.network.client.channels import PROXY_VARIABLES, without_password

MIN_FREE_BYTES: Final = 200_000_000
"""With less free disk space than this, in bytes, a node may stop at the next block."""

MIN_FREE_FILES: Final = 1_000
"""With fewer free inodes than this, new artifacts cannot be stored soon."""

_GIB: Final = 1 << 30


def check_disk(folder: Path, config: NodeConfig) -> Iterator[Finding]:
    """Check the room on the disk of a home.

    Args:
        folder: The home; its nearest existing parent is looked at when it does not exist.
        config: The settings, whose limits say how much a node may store.

    Yields:
        A finding about the free bytes, and one about the free inodes where the file system has a
        fixed number of them.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    wanted = config.limits.artifacts_total_bytes
    text = f"{free / _GIB:.1f} GiB are free on the disk of {folder}"
    if free < MIN_FREE_BYTES:
        yield Finding("disk", Level.WRONG, text, "make room: a node without any ends")
    elif free < wanted:
        advice = (
            f"artifacts may take {wanted / _GIB:.1f} GiB (limits.artifacts_total_bytes): make room "
            "or lower the limit"
        )
        yield Finding("disk", Level.WARNING, text, advice)
    else:
        yield Finding("disk", Level.OK, text)
    if hasattr(os, "statvfs"):
        stats = os.statvfs(existing)
        yield from check_inodes(stats.f_files, stats.f_favail)


def check_inodes(total: int, free: int) -> Iterator[Finding]:
    """Check the free inodes of a file system.

    Args:
        total: How many it has; 0 for a file system that makes them when needed, such as Btrfs.
        free: How many are free for this user.

    Yields:
        One finding; none when `total` is 0.
    """
    if total == 0:
        return
    if free < MIN_FREE_FILES:
        advice = "delete files, or make a file system with more inodes (mkfs -N)"
        yield Finding("inodes", Level.WRONG, f"{free:,} of {total:,} inodes are free", advice)
    else:
        yield Finding("inodes", Level.OK, f"{free:,} of {total:,} inodes are free")


def check_descriptors(config: NodeConfig, soft: int, hard: int) -> Iterator[Finding]:
    """Check the limit on open files and connections.

    Args:
        config: The settings, which bound the connections.
        soft: The limit in force (`ulimit -n`).
        hard: The limit up to which the process may raise it.

    Yields:
        One finding.
    """
    needed = needed_descriptors(config)
    text = f"{soft:,} open files are allowed, and the settings may need {needed:,}"
    if hard < needed:
        advice = (
            f"raise the limit (ulimit -Hn {needed}, LimitNOFILE={needed} of systemd, --ulimit "
            "of the container), or lower api.max_streams and peers.max_inbound"
        )
        yield Finding("descriptors", Level.WRONG, f"{text}, beyond the hard limit {hard:,}", advice)
    elif soft < needed:
        yield Finding("descriptors", Level.OK, f"{text}; a node raises the limit at its start")
    else:
        yield Finding("descriptors", Level.OK, text)


def check_processors(config: NodeConfig, cpus: CpuCount) -> Iterator[Finding]:
    """Check that there are processors for the node and its workers.

    Args:
        config: The settings.
        cpus: The processors that this process may use.

    Yields:
        One finding.
    """
    wanted = config.miner.processes
    if cpus.quota is not None and cpus.quota < 1:
        advice = "give the container at least one processor: late votes hold up each block"
        yield Finding("processors", Level.WARNING, cpus.describe(), advice)
    elif config.miner.enabled and config.miner.executor == "local" and wanted > cpus.usable:
        text = f"miner.processes is {wanted}, and there are {cpus.describe()}"
        advice = f"set miner.processes to 0 or at most {cpus.usable}: more of them only wait"
        yield Finding("processors", Level.WARNING, text, advice)
    else:
        yield Finding("processors", Level.OK, cpus.describe())


def check_proxies(proxy: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Say which proxy is used, and which one the variables name.

    Args:
        proxy: The setting `api.proxy`; empty for none.
        environment: The environment's variables.

    Yields:
        One finding.
    """
    if proxy:
        text = (
            f"api.proxy is {without_password(proxy)}; peers, loopback, private addresses, local "
            "names and what no_proxy names are dialled directly"
        )
        yield Finding("proxies", Level.OK, text)
        return
    named = [name for name in PROXY_VARIABLES if environment.get(name)]
    if not named:
        yield Finding("proxies", Level.OK, "no proxy is set")
        return
    text = f"{named[0]} is {without_password(environment[named[0]])}, and is not used"
    advice = "if nodes on the Internet can only be reached through it, set api.proxy to it"
    yield Finding("proxies", Level.OK, f"{text}: {advice}")


def check_libraries(package: str = "fedcoin") -> Iterator[Finding]:
    """Compare the installed libraries with what this program requires.

    Args:
        package: The distribution whose requirements are checked.

    Yields:
        A finding for each library that is missing or has another version; one if all fit.
    """
    requirements = [Requirement(line) for line in metadata.requires(package) or ()]
    # Extras are left out: nothing tells which of them are wanted.
    faults = list(_library_faults(requirements))
    yield from faults
    if not faults:
        core = sum(1 for each in requirements if _is_core(each))
        yield Finding("libraries", Level.OK, f"{core} libraries have versions that fit")


def _library_faults(requirements: list[Requirement]) -> Iterator[Finding]:
    for requirement in requirements:
        if not _is_core(requirement):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            text = f"{requirement.name} is not installed"
            yield Finding("libraries", Level.WRONG, text, f"pip install '{requirement}'")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            text = f"{requirement.name} is {found}, and must be {requirement.specifier}"
            yield Finding("libraries", Level.WRONG, text, f"pip install '{requirement}'")


def _is_core(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
