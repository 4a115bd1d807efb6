"""The votes and proposals that this node's validator signed, stored before they are sent.

A validator that crashes between signing and sending may repeat a vote after its restart, but must
never sign a conflicting one. The log refuses the second of two conflicting votes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage.database import Database

_FLOOR: Final = "votes_floor"

_SELECT: Final = (
    "SELECT block_hash, envelope FROM own_votes"
    " WHERE height = :height AND round = :round AND kind = :kind"
)
_INSERT: Final = (
    "INSERT INTO own_votes (height, round, kind, block_hash, envelope)"
    " SELECT :height, :round, :kind, :block_hash, :envelope WHERE NOT EXISTS"
    f" ({_SELECT}) AND :height >="
    f" coalesce((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = '{_FLOOR}'), 0)"
)
"""Stores a vote unless there is one of its kind, height and round, or its height is pruned."""


@dataclass(frozen=True, slots=True)
class OwnVote:
    """A vote or proposal that this validator signed, or the lock that goes with a precommit."""

    kind: str
    """"prevote", "precommit", "proposal" or "lock"."""
    height: int
    """The height that it is for."""
    round: int
    """The consensus round that it is for, from 0."""
    block_hash: bytes
    """32 bytes; empty for nil."""
    envelope: bytes = field(repr=False)
    """The serialised SignedVote or SignedProposal, or the record of a lock."""


_Stored = tuple[bytes, bytes]
"""The block hash and the envelope of a stored vote."""


class VoteLog:
    """The validator's own votes of recent heights; usable from several threads."""

    def __init__(self, database: Database) -> None:
        """Use the table `own_votes` of a database.

        Args:
            database: The node's database.
        """
        self._database = database

    def record(self, *votes: OwnVote) -> None:
        """Store what was signed; all of it is on disk when this returns, or none.

        Storing the same vote again changes nothing.

        Args:
            *votes: The votes to store, such as a precommit and its lock.

        Raises:
            RefusalError: CONFLICTING_VOTE when a vote of this kind, height and round is stored
                that differs, or the height is one whose votes were pruned.
        """
        with self._database.write("votes") as connection:
            for vote in votes:
                # One statement: at each one, the thread gives way to the others of the process.
                done = connection.execute(_INSERT, _row_of(vote))
                if not done.rowcount:
                    _check_stored(connection, vote)

    def list_at(self, height: int) -> list[OwnVote]:
        """List everything that was signed at a height.

        Args:
            height: The height of the votes.

        Returns:
            The stored votes, by round and then by kind.
        """
        rows = self._database.rows(
            "SELECT kind, height, round, block_hash, envelope FROM own_votes"
            " WHERE height = ? ORDER BY round, kind",
            (height,),
        )
        return [OwnVote(*row) for row in rows]

    def prune(self, below: int) -> None:
        """Delete the votes below a height; from now on, refuse to store votes below it.

        Args:
            below: The lowest height whose votes stay.
        """
        with self._database.write("votes") as connection:
            prune_votes(connection, below)


def prune_votes(connection: sqlite3.Connection, below: int) -> None:
    """Delete old votes as `VoteLog.prune` does, inside the caller's write transaction.

    Args:
        connection: A connection inside a write transaction.
        below: The lowest height whose votes stay.
    """
    if below <= _read_floor(connection):
        return
    connection.execute("DELETE FROM own_votes WHERE height < ?", (below,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_FLOOR, b"%d" % below))


def _row_of(vote: OwnVote) -> dict[str, object]:
    return {
        "height": vote.height,
        "round": vote.round,
        "kind": vote.kind,
        "block_hash": vote.block_hash,
        "envelope": vote.envelope,
    }


def _check_stored(connection: sqlite3.Connection, vote: OwnVote) -> None:
    """Refuse a vote that was not inserted, unless it is stored already."""
    stored = connection.execute(_SELECT, _row_of(vote)).fetchone()
    if stored is not None:
        _check_same(vote, (bytes(stored[0]), bytes(stored[1])))
        return
    floor = _read_floor(connection)
    raise RefusalError(
        DataCode.CONFLICTING_VOTE,
        f"a {vote.kind} at height {vote.height} could conflict with one that is no "
        f"longer stored; this validator signs from height {floor} on",
        field="height",
        limit=str(floor),
    )


def _read_floor(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_FLOOR,)).fetchone()
    return 0 if row is None else int(row[0])


def _check_same(vote: OwnVote, stored: _Stored) -> None:
    block_hash, envelope = stored
    # A lock may be stored again with other prevotes; what is signed has one encoding.
    if block_hash != vote.block_hash or (vote.kind != "lock" and envelope != vote.envelope):
        raise RefusalError(
            DataCode.CONFLICTING_VOTE,
            f"this validator signed a {vote.kind} for {block_hash.hex() or 'nil'} at height "
            f"{vote.height}, round {vote.round}; it cannot sign another one for "
            f"{vote.block_hash.hex() or 'nil'}",
            field="block_hash",
        )
