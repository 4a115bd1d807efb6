"""What this node's validator signed, written down before anybody hears of it.

A validator that crashed between signing and sending must find its word again: it may repeat
it, and may not say another.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage.database import Database

_FLOOR: Final = "votes_floor"


@dataclass(frozen=True, slots=True)
class OwnVote:
    """One signed thing: `kind` is "prevote", "precommit" or "proposal".

    `block_hash` is empty for nil; `envelope` is the serialised SignedVote or SignedProposal.
    """

    kind: str
    height: int
    round: int
    block_hash: bytes
    envelope: bytes = field(repr=False)


class VoteLog:
    """The own votes of recent heights."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, vote: OwnVote) -> None:
        """Write a vote down; it is on disk when this returns.

        A vote that is there already is left as it is. Raises `Refusal` (CONFLICTING_VOTE)
        when there is another one of this kind, height and round for another block, or the
        height is one whose votes were pruned.
        """
        kept = self._find(vote)
        if kept is not None:
            _check_same(vote, kept)
            return
        with self._database.write() as connection:
            # Looked for again, now that no other thread can write.
            kept = _find_in(connection, vote)
            if kept is not None:
                _check_same(vote, kept)
                return
            floor = _floor(connection)
            if vote.height < floor:
                raise RefusalError(
                    DataCode.CONFLICTING_VOTE,
                    f"votes below height {floor} are no longer kept: a {vote.kind} at height "
                    f"{vote.height} could contradict one of them",
                    field="height",
                    limit=str(floor),
                )
            connection.execute(
                "INSERT INTO own_votes VALUES (?, ?, ?, ?, ?)",
                (vote.height, vote.round, vote.kind, vote.block_hash, vote.envelope),
            )

    def at(self, height: int) -> list[OwnVote]:
        """Everything signed at a height, by round and then kind."""
        rows = self._database.rows(
            "SELECT kind, height, round, block_hash, envelope FROM own_votes"
            " WHERE height = ? ORDER BY round, kind",
            (height,),
        )
        return [OwnVote(*row) for row in rows]

    def prune(self, below: int) -> None:
        """Forget the votes below a height, and never vote there again."""
        with self._database.write() as connection:
            prune(connection, below)

    def _find(self, vote: OwnVote) -> bytes | None:
        row = self._database.row(*_query(vote))
        return None if row is None else bytes(row[0])


def prune(connection: sqlite3.Connection, below: int) -> None:
    """What `VoteLog.prune` does, inside the caller's transaction."""
    if below <= _floor(connection):
        return
    connection.execute("DELETE FROM own_votes WHERE height < ?", (below,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_FLOOR, b"%d" % below))


def _query(vote: OwnVote) -> tuple[str, tuple[object, ...]]:
    statement = "SELECT block_hash FROM own_votes WHERE height = ? AND round = ? AND kind = ?"
    return statement, (vote.height, vote.round, vote.kind)


def _find_in(connection: sqlite3.Connection, vote: OwnVote) -> bytes | None:
    row = connection.execute(*_query(vote)).fetchone()
    return None if row is None else bytes(row[0])


def _floor(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_FLOOR,)).fetchone()
    return 0 if row is None else int(row[0])


def _check_same(vote: OwnVote, kept: bytes) -> None:
    if kept != vote.block_hash:
        raise RefusalError(
            DataCode.CONFLICTING_VOTE,
            f"this validator's {vote.kind} at height {vote.height}, round {vote.round} was for "
            f"{kept.hex() or 'nil'}; it cannot be for {vote.block_hash.hex() or 'nil'} too",
            field="block_hash",
        )
