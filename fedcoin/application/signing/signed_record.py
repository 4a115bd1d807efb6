"""What a key has signed in a network, in a small file.

It holds the latest vote of each kind, how far their height may run ahead, and what was signed away
in fees and deposits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.daily_spending import DailySpending
from fedcoin.application.signing.height_pace import HeightPace
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


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """Everything that decides about the next signature of a key."""

    marks: Mapping[str, SignedMark]
    """A mark for each of `KINDS`."""
    pace: HeightPace
    """How far the height of votes may run ahead."""
    spending: DailySpending = field(default_factory=DailySpending)
    """The fees and deposits of the last 24 hours."""


class SignedRecordFile:
    """The record of one key in one network. Its methods block.

    Args:
        path: The file; `write` creates it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside_key(cls, keys: Path, name: str, genesis_hash: bytes) -> SignedRecordFile:
        """Name the record's file after the key and the network.

        Args:
            keys: The folder of the key's file.
            name: The key's name.
            genesis_hash: The network's genesis hash, 32 bytes.

        Returns:
            The file NAME-CHAIN.signed in `keys`, which may not exist.
        """
        return cls(keys / f"{name}-{genesis_hash.hex()[:16]}.signed")

    def read(self) -> SignedRecord | None:
        """Read the record.

        Returns:
            The record; None when there is no file.

        Raises:
            OSError: The file cannot be read.
            RefusalError: BAD_STATE when it is damaged.
        """
        try:
            content = json.loads(self.path.read_bytes())
            marks = {kind: _parse_mark(content[kind]) for kind in KINDS}
            pace = HeightPace(*_parse_numbers(content["pace"], 3))
            hours = [_parse_numbers(row, 2) for row in content["spent"]]
            spending = DailySpending(tuple((hour, amount) for hour, amount in hours))
            return SignedRecord(MappingProxyType(marks), pace, spending)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"{self.path} is damaged ({type(error).__name__}: {error}): move it away, and start"
                " with --from-height above the chain's height",
                field="signed",
            ) from error

    def write(self, record: SignedRecord) -> None:
        """Write the record; it is on disk when this returns.

        Args:
            record: What the key has signed, with the message that is signed next.
        """
        content: dict[str, object] = {
            kind: [mark.height, mark.round, mark.digest] for kind, mark in record.marks.items()
        }
        content["pace"] = [record.pace.height, record.pace.spare_ms, record.pace.time_ms]
        content["spent"] = record.spending.hours
        replace_file(self.path, json.dumps(content).encode() + b"\n")


def first_marks(height: int) -> dict[str, SignedMark]:
    """Make the marks of a key that signs nothing below a height.

    Args:
        height: The first height at which it may sign, from 1.

    Returns:
        A mark for each of `KINDS`.
    """
    return dict.fromkeys(KINDS, SignedMark(height, -1, ""))


def _parse_mark(row: Any) -> SignedMark:
    *numbers, digest = row
    if not isinstance(digest, str):
        raise TypeError("a mark is [height, round, digest]")
    height, round = _parse_numbers(numbers, 2)
    return SignedMark(height, round, digest)


def _parse_numbers(row: Any, length: int) -> list[int]:
    if len(row) != length or any(type(number) is not int for number in row):
        raise TypeError(f"{row!r:.80} is no list of {length} integers")
    return list(row)
