"""The latest vote of each kind that a key has signed in a network, in a small file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.errors import RefusalError

KINDS: Final = ("proposal", "prevote", "precommit")
"""What is marked. A key may sign each once for a height and round."""


@dataclass(frozen=True, slots=True)
class SignedMark:
    """The latest message of one kind that was signed."""

    height: int
    """Its height. Nothing of a lower height is signed any more."""
    round: int
    """Its round, from 0; -1 in a mark that only gives the first height."""
    digest: str
    """SHA-256 of the signed bytes, 64 hex digits; empty in a mark that only gives the height."""


class SignedMarksFile:
    """The marks of one key in one network. Its methods block.

    Args:
        path: The file; `write` creates it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, SignedMark] | None:
        """Read the marks.

        Returns:
            A mark for each of `KINDS`; None when there is no file.

        Raises:
            OSError: The file cannot be read.
            RefusalError: BAD_STATE when it is damaged.
        """
        try:
            content = json.loads(self.path.read_bytes())
            return {kind: _parse(content[kind]) for kind in KINDS}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"{self.path} is damaged ({type(error).__name__}: {error}): move it away, and start"
                " with --from-height above the chain's height",
                field="signed",
            ) from error

    def write(self, marks: dict[str, SignedMark]) -> None:
        """Write the marks; they are on disk when this returns.

        Args:
            marks: A mark for each of `KINDS`.
        """
        rows = {kind: [mark.height, mark.round, mark.digest] for kind, mark in marks.items()}
        replace_file(self.path, json.dumps(rows).encode() + b"\n")


def first_marks(height: int) -> dict[str, SignedMark]:
    """Make the marks of a key that signs nothing below a height.

    Args:
        height: The first height at which it may sign, from 1.

    Returns:
        A mark for each of `KINDS`.
    """
    return dict.fromkeys(KINDS, SignedMark(height, -1, ""))


def _parse(row: Any) -> SignedMark:
    height, round, digest = row
    if type(height) is not int or type(round) is not int or not isinstance(digest, str):
        raise TypeError("a mark is [height, round, digest]")
    return SignedMark(height, round, digest)
