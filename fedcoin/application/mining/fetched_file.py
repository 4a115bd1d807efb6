"""A file that says which artifacts a node fetched for which campaign, for its next start.

One line for each campaign: the campaign's id and the artifacts' ids in hex, separated by spaces.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fedcoin.data.atomic_files import replace_file

log = logging.getLogger(__name__)

_LINE = re.compile(r"[0-9a-f]{64}( [0-9a-f]{64})*", re.ASCII)


def read_fetched(path: Path) -> dict[bytes, list[bytes]]:
    """Read the file. A damaged one is logged, and counts as empty.

    Args:
        path: The file, which may not exist.

    Returns:
        The artifacts' ids, in the order of their arrival, by the campaign's id.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read, so quotas of campaigns start empty: %s", path, error)
        return {}
    if not all(_LINE.fullmatch(line) for line in lines):
        log.warning("%s is damaged, so quotas of campaigns start empty", path)
        return {}
    ids = [[bytes.fromhex(word) for word in line.split()] for line in lines]
    return {campaign: artifacts for campaign, *artifacts in ids}


def write_fetched(path: Path, fetched: Iterable[tuple[bytes, Mapping[bytes, None]]]) -> None:
    """Write the file. Waits for the disk; a failure is logged, since only a restart needs the file.

    Args:
        path: The file, which is created or replaced.
        fetched: Each campaign's id, and the ids of its artifacts.
    """
    lines = [" ".join(id.hex() for id in (campaign, *ids)) for campaign, ids in fetched]
    try:
        replace_file(path, "".join(f"{line}\n" for line in lines).encode("ascii"))
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error)
