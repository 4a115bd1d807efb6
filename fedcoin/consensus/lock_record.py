"""The record that goes to disk with a precommit: the block and its polka.

A validator that precommitted a block prevotes for no other until it sees a later polka. If
all of them lost power and came back with their votes alone, nobody could show the block, nor
why anybody else should vote for it; so both are kept. The record never travels.

Layout: the block's length (4 bytes, big-endian), the serialised Block, then a serialised
Certificate message that holds the prevotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.votes import PREVOTE, Vote, decode_vote
from fedcoin.v1.vote_pb2 import Certificate

_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class LockRecord:
    """A block, serialised, and the prevotes of one round for it, at least one."""

    raw: bytes
    prevotes: tuple[Vote, ...]

    @property
    def block_hash(self) -> bytes:
        """The hash of the block."""
        return self.prevotes[0].block_hash

    @property
    def height(self) -> int:
        """The height of the prevotes."""
        return self.prevotes[0].height

    @property
    def round(self) -> int:
        """The round in which it had the polka."""
        return self.prevotes[0].round


def encode_lock(raw: bytes, prevotes: Sequence[Vote]) -> bytes:
    """Serialise a block with its polka."""
    ordered = sorted(prevotes, key=lambda vote: vote.public_key)
    polka = Certificate(precommits=[vote.envelope for vote in ordered])
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw + canonical.encode(polka)


def decode_lock(record: bytes, chain_id: str) -> LockRecord:
    """Read what `encode_lock` wrote.

    Raises `Refusal` (BAD_LOCK) when the record is damaged.
    """
    length = int.from_bytes(record[:_LENGTH_BYTES], "big")
    raw = record[_LENGTH_BYTES : _LENGTH_BYTES + length]
    try:
        polka = canonical.decode(Certificate, record[_LENGTH_BYTES + length :]).precommits
        prevotes = tuple(decode_vote(envelope, chain_id) for envelope in polka)
    except RefusalError as refusal:
        raise _bad(str(refusal)) from None
    if not prevotes or len(raw) != length:
        raise _bad("it is cut short")
    if any(vote.kind != PREVOTE or not vote.block_hash for vote in prevotes):
        raise _bad("its votes are not prevotes for a block")
    if len({(vote.height, vote.round, vote.block_hash) for vote in prevotes}) > 1:
        raise _bad("its prevotes are not for one block in one round")
    return LockRecord(raw, prevotes)


def _bad(what: str) -> RefusalError:
    return RefusalError(
        ConsensusCode.BAD_LOCK,
        f"the stored lock of this validator is damaged: {what}; restore the database",
        field="lock",
    )
