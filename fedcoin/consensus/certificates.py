"""Certificates: the precommits that make a block final, as they travel and are stored."""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.votes import PRECOMMIT, VerifiedVotes, Vote, decode_vote, is_signed_vote
from fedcoin.v1.vote_pb2 import Certificate

_MOST_VOTE_BYTES = 256
"""No SignedVote is longer: 128 bytes of body, 32 of key, 64 of signature, and tags."""


def make_certificate(precommits: Iterable[Vote]) -> bytes:
    """Serialise precommits for one block, of one round, in the order of their public keys."""
    ordered = sorted(precommits, key=lambda vote: vote.public_key)
    return canonical.encode(Certificate(precommits=[vote.envelope for vote in ordered]))


def verify_certificate(
    raw: bytes,
    validators: ValidatorSet,
    chain_id: str,
    height: int,
    block_hash: bytes,
    verified: VerifiedVotes | None = None,
) -> int:
    """Check that `raw` makes the block final, and return the round that it was decided in.

    The precommits must stand in the order of their public keys, each key once and a
    validator's; all must be for this block, height and one round; their power must be more
    than two thirds. Signatures, which cost the most, come last, and every one must be right;
    those of votes in `verified` are, and those that are checked here join it.
    Raises `Refusal` (BAD_CERTIFICATE).
    """
    if len(raw) > _MOST_VOTE_BYTES * len(validators):
        raise _bad(f"has {len(raw)} bytes, too many for {len(validators)} validators")
    try:
        envelopes = canonical.decode(Certificate, raw).precommits
    except RefusalError as refusal:
        raise _bad(f"cannot be read: {refusal}") from None
    _check_signers([envelope.public_key for envelope in envelopes], validators)
    # One round, height and block mean one body: the encoding is strict.
    for envelope in envelopes:
        if envelope.body != envelopes[0].body:
            raise _bad("mixes precommits that say different things; all must be of one round")
    try:
        first = decode_vote(envelopes[0], chain_id, verified)
    except RefusalError as refusal:
        raise _bad(f"holds a bad precommit: {refusal}") from None
    if first.kind != PRECOMMIT:
        raise _bad("is made of prevotes; only precommits make a block final")
    if first.height != height:
        raise _bad(f"is for height {first.height}, not {height}")
    if first.block_hash != block_hash or not block_hash:
        raise _bad(f"is for block {first.block_hash.hex() or 'nil'}, not {block_hash.hex()}")
    for envelope in envelopes[1:]:
        if not is_signed_vote(envelope, chain_id, verified):
            key = envelope.public_key.hex()
            raise _bad(f"holds a precommit that {key} did not sign on this chain")
    return first.round


def _check_signers(keys: list[bytes], validators: ValidatorSet) -> None:
    power = 0
    for before, key in zip([b"", *keys], keys, strict=False):
        if key <= before:
            raise _bad("does not have its precommits in the order of their keys, each once")
        validator = validators.by_key(key)
        if validator is None:
            raise _bad(f"is signed by {key.hex()}, which is no validator at this height")
        power += validator.power
    if not validators.has_quorum(power):
        total = validators.total_power
        raise _bad(f"has {power} of {total} of the power; it needs more than two thirds")


def _bad(what: str) -> RefusalError:
    return RefusalError(
        ConsensusCode.BAD_CERTIFICATE, f"the certificate {what}", field="certificate"
    )
