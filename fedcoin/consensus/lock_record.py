"""Lock records: the block and the polka that are stored with a precommit.

A validator that precommitted a block is locked on it: it prevotes for no other block until it sees
a later polka. If all validators lost power and came back with their votes alone, none of them
could show the block, or prove to the others that they may vote for it. So both are stored. The
record is never sent to peers.

Layout: the block's length (4 bytes, big-endian), the serialised Block, then a serialised
Certificate message that holds the prevotes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import PREVOTE, Vote, decode_vote
from fedcoin.v1.vote_pb2 import Certificate

_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class LockRecord:
    """A block that this validator precommitted, and its polka."""

    block: Block
    """The block to which the validator is bound."""
    prevotes: tuple[Vote, ...]
    """The prevotes of one round for the block, at least one."""

    @property
    def block_hash(self) -> bytes:
        """The hash of the block, 32 bytes."""
        return self.prevotes[0].block_hash

    @property
    def height(self) -> int:
        """The height of the prevotes."""
        return self.prevotes[0].height

    @property
    def round(self) -> int:
        """The round in which the block had the polka."""
        return self.prevotes[0].round


def encode_lock(block: Block, prevotes: Sequence[Vote]) -> bytes:
    """Encode a lock record.

    Args:
        block: The block that this validator precommitted.
        prevotes: The prevotes of one round for the block, at least one.

    Returns:
        The record; the prevotes are in the order of their public keys.
    """
    ordered = sorted(prevotes, key=lambda vote: vote.public_key)
    polka = Certificate(precommits=[vote.envelope for vote in ordered])
    length = len(block.raw).to_bytes(_LENGTH_BYTES, "big")
    return length + block.raw + canonical.encode(polka)


def decode_lock(
    record: bytes, genesis_hash: bytes, decode_block: Callable[[bytes], Block]
) -> LockRecord:
    """Decode a lock record and verify its prevotes.

    Args:
        record: What `encode_lock` returned.
        genesis_hash: The genesis hash of the network, 32 bytes.
        decode_block: Decodes a serialised Block; raises RefusalError when the bytes are none.

    Returns:
        The block and its polka.

    Raises:
        RefusalError: BAD_LOCK when the record is cut short, or its block or one of its prevotes is
            not valid.
    """
    length = int.from_bytes(record[:_LENGTH_BYTES], "big")
    raw = record[_LENGTH_BYTES : _LENGTH_BYTES + length]
    try:
        polka = canonical.decode(Certificate, record[_LENGTH_BYTES + length :]).precommits
        prevotes = tuple(decode_vote(envelope, genesis_hash) for envelope in polka)
        block = decode_block(raw)
    except RefusalError as refusal:
        raise _bad(str(refusal)) from None
    if not prevotes or len(raw) != length:
        raise _bad("it is cut short")
    if any(vote.kind != PREVOTE or not vote.block_hash for vote in prevotes):
        raise _bad("its votes are not prevotes for a block")
    if len({(vote.height, vote.round, vote.block_hash) for vote in prevotes}) > 1:
        raise _bad("its prevotes are not for one block in one round")
    if prevotes[0].block_hash != block.hash:
        raise _bad("its prevotes are for another block")
    return LockRecord(block, prevotes)


def _bad(fault: str) -> RefusalError:
    return RefusalError(
        ConsensusCode.BAD_LOCK,
        f"the stored lock of this validator is damaged: {fault}; restore the database from a "
        "backup",
        field="lock",
    )
