"""Votes and proposals: what validators sign to agree on a block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import MAX_BLOCK_BYTES, decode_block
from fedcoin.v1 import vote_pb2
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote, VoteKind

PREVOTE: Final[int] = vote_pb2.VOTE_KIND_PREVOTE
PRECOMMIT: Final[int] = vote_pb2.VOTE_KIND_PRECOMMIT

MAX_VOTE_BYTES: Final = 128
"""The most bytes of a serialised Vote, or of a Proposal without its block."""

_MAX_ROUND: Final = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote whose signature was checked, or that was just signed.

    `kind` is `PREVOTE` or `PRECOMMIT`; `block_hash` has 32 bytes, or none for nil.
    `envelope` is the message as it travels and must not be changed.
    """

    kind: int
    height: int
    round: int
    block_hash: bytes
    public_key: bytes
    envelope: SignedVote = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal whose signature was checked, or that was just signed.

    `valid_round` is the round in which the block had a polka, -1 for none; `block` is the
    serialised Block. `envelope` is the message as it travels and must not be changed.
    """

    height: int
    round: int
    valid_round: int
    block_hash: bytes
    public_key: bytes
    block: bytes = field(repr=False)
    envelope: SignedProposal = field(compare=False, repr=False)


def sign_vote(
    kind: int, height: int, round: int, block_hash: bytes, key: KeyPair, chain_id: str
) -> Vote:
    """Sign a vote. The caller makes sure that it contradicts none of the key's others."""
    body = canonical.encode(
        vote_pb2.Vote(kind=_wire_kind(kind), height=height, round=round, block_hash=block_hash)
    )
    envelope = SignedVote(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.VOTE, chain_id, body),
    )
    return Vote(kind, height, round, block_hash, key.public_key, envelope)


def decode_vote(envelope: SignedVote, chain_id: str) -> Vote:
    """Check a vote's size, structure and signature.

    Raises `Refusal` (TOO_LARGE, MALFORMED, BAD_SIGNATURE). Whether the key is a validator's
    is for the consensus to say.
    """
    _check_envelope(envelope, "vote")
    body = canonical.decode(vote_pb2.Vote, envelope.body)
    if body.kind not in (PREVOTE, PRECOMMIT):
        raise RefusalError(
            DataCode.MALFORMED, f"vote.kind is {body.kind}, not a known one", field="vote.kind"
        )
    _check_place(body, "vote")
    if body.block_hash:
        check_length(body.block_hash, HASH_BYTES, "vote.block_hash")
    _check_signature(envelope, SigningContext.VOTE, chain_id, "vote")
    return Vote(
        kind=body.kind,
        height=body.height,
        round=body.round,
        block_hash=body.block_hash,
        public_key=envelope.public_key,
        envelope=envelope,
    )


def sign_proposal(
    height: int,
    round: int,
    valid_round: int,
    block_hash: bytes,
    block: bytes,
    key: KeyPair,
    chain_id: str,
) -> Proposal:
    """Sign a proposal of `block`, whose hash is `block_hash`; `valid_round` -1 means none."""
    body = canonical.encode(
        vote_pb2.Proposal(
            height=height,
            round=round,
            valid_round_plus_one=valid_round + 1,
            block_hash=block_hash,
        )
    )
    envelope = SignedProposal(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.PROPOSAL, chain_id, body),
        block=block,
    )
    return Proposal(height, round, valid_round, block_hash, key.public_key, block, envelope)


def decode_proposal(
    envelope: SignedProposal, chain_id: str, max_block_bytes: int = MAX_BLOCK_BYTES
) -> Proposal:
    """Check a proposal's size, structure and signature, and that its block is the one named.

    Raises `Refusal` (TOO_LARGE, MALFORMED, BAD_SIGNATURE, and those of `decode_block`).
    Whether the key is the proposer's is for the consensus to say.
    """
    check_size(envelope.block, max_block_bytes, "proposal.block")
    _check_envelope(envelope, "proposal")
    body = canonical.decode(vote_pb2.Proposal, envelope.body)
    _check_place(body, "proposal")
    check_range(body.valid_round_plus_one, 0, body.round, "proposal.valid_round_plus_one")
    check_length(body.block_hash, HASH_BYTES, "proposal.block_hash")
    _check_signature(envelope, SigningContext.PROPOSAL, chain_id, "proposal")
    block = decode_block(envelope.block, max_block_bytes)
    if block.hash != body.block_hash or block.header.height != body.height:
        raise RefusalError(
            DataCode.MALFORMED,
            "proposal.block_hash and height are not those of the block that came with it",
            field="proposal.block_hash",
        )
    return Proposal(
        height=body.height,
        round=body.round,
        valid_round=body.valid_round_plus_one - 1,
        block_hash=body.block_hash,
        public_key=envelope.public_key,
        block=envelope.block,
        envelope=envelope,
    )


def _wire_kind(kind: int) -> VoteKind.ValueType:
    # The generated type exists for the type checker alone.
    return cast("VoteKind.ValueType", kind)


def _check_envelope(envelope: SignedVote | SignedProposal, name: str) -> None:
    check_size(envelope.body, MAX_VOTE_BYTES, f"{name}.body")
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, f"{name}.public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, f"{name}.signature")


def _check_place(body: vote_pb2.Vote | vote_pb2.Proposal, name: str) -> None:
    check_range(body.height, 1, 2**63 - 1, f"{name}.height")
    check_range(body.round, 0, _MAX_ROUND, f"{name}.round")


def _check_signature(
    envelope: SignedVote | SignedProposal, context: SigningContext, chain_id: str, name: str
) -> None:
    if not verify_signature(
        envelope.public_key, context, chain_id, envelope.body, envelope.signature
    ):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            f"{name}.signature is not the key's signature of this {name} on this chain",
            field=f"{name}.signature",
        )
