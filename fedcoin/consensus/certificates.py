"""Certificates: the precommits that make a block final, as they are sent and stored."""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.votes import PRECOMMIT, VerifiedVotes, Vote, decode_vote
from fedcoin.v1.vote_pb2 import Certificate, SignedVote

_MAX_VOTE_BYTES = 256
"""The largest size of a SignedVote: 128 bytes of body, 32 of key, 64 of signature, and tags."""


def make_certificate(precommits: Iterable[Vote]) -> bytes:
    """Make the certificate of a block.

    Args:
        precommits: Precommits of one round for the block, by validators with more than two thirds
            of the power.

    Returns:
        The serialised Certificate, precommits in the order of their public keys.
    """
    ordered = sorted(precommits, key=lambda vote: vote.public_key)
    return canonical.encode(Certificate(precommits=[vote.envelope for vote in ordered]))


def verify_certificate(
    raw: bytes,
    validators: ValidatorSet,
    genesis_hash: bytes,
    height: int,
    block_hash: bytes,
    verified: VerifiedVotes | None = None,
) -> int:
    """Verify that a certificate makes a block final.

    Its precommits must be in the order of their public keys, each by another validator; all for
    this block and height and for one round; with more than two thirds of the power. Signatures,
    which cost the most, are verified last, and all must be valid.

    Args:
        raw: The serialised Certificate.
        validators: The validators of `height`.
        genesis_hash: The genesis hash of the network, 32 bytes.
        height: The block's height.
        block_hash: The block's hash, 32 bytes.
        verified: The votes of this chain that were verified before; those that are verified here
            join them.

    Returns:
        The round in which the block was decided.

    Raises:
        RefusalError: BAD_CERTIFICATE when one of these conditions does not hold.
    """
    if verified is not None:
        known = verified.find_certificate((height, block_hash, validators.hash()), raw)
        if known is not None:
            return known
    if len(raw) > _MAX_VOTE_BYTES * len(validators):
        raise _bad(f"has {len(raw)} bytes, too many for {len(validators)} validators")
    try:
        envelopes = canonical.decode(Certificate, raw).precommits
    except RefusalError as refusal:
        raise _bad(f"cannot be read: {refusal}") from None
    _check_signers([envelope.public_key for envelope in envelopes], validators)
    # Votes for the same round, height and block have the same body: the encoding is canonical.
    for envelope in envelopes:
        if envelope.body != envelopes[0].body:
            raise _bad("holds precommits that differ; all must be for one block in one round")
    first = _decode_precommit(envelopes[0], genesis_hash, verified)
    if first.kind != PRECOMMIT:
        raise _bad("holds prevotes; only precommits make a block final")
    if first.height != height:
        raise _bad(f"is for height {first.height}, not {height}")
    if first.block_hash != block_hash or not block_hash:
        raise _bad(f"is for block {first.block_hash.hex() or 'nil'}, not {block_hash.hex()}")
    for envelope in envelopes[1:]:
        _decode_precommit(envelope, genesis_hash, verified)
    if verified is not None:
        verified.add_certificate((height, block_hash, validators.hash()), raw, first.round)
    return first.round


def _decode_precommit(
    envelope: SignedVote, genesis_hash: bytes, verified: VerifiedVotes | None
) -> Vote:
    try:
        return decode_vote(envelope, genesis_hash, verified)
    except RefusalError as refusal:
        key = envelope.public_key.hex()
        raise _bad(f"holds a bad precommit of {key}: {refusal}") from None


def _check_signers(keys: list[bytes], validators: ValidatorSet) -> None:
    power = 0
    for before, key in zip([b"", *keys], keys, strict=False):
        if key <= before:
            raise _bad("does not list its precommits in the order of their keys, each once")
        validator = validators.by_key(key)
        if validator is None:
            raise _bad(f"is signed by {key.hex()}, which is not a validator of this height")
        power += validator.power
    if not validators.has_quorum(power):
        total = validators.total_power
        raise _bad(f"has {power} of {total} of the power; it needs more than two thirds")


def _bad(fault: str) -> RefusalError:
    return RefusalError(
        ConsensusCode.BAD_CERTIFICATE, f"the certificate {fault}", field="certificate"
    )
