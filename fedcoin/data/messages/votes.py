"""Votes and proposals: what validators sign to agree on a block."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, cast

from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.lru import LruDict
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import MAX_BLOCK_BYTES, Block, decode_block
from fedcoin.v1 import vote_pb2
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote, VoteKind

PREVOTE: Final[int] = vote_pb2.VOTE_KIND_PREVOTE
"""The first vote of a Tendermint round."""
PRECOMMIT: Final[int] = vote_pb2.VOTE_KIND_PRECOMMIT
"""The second vote of a Tendermint round."""

_MAX_VOTE_BYTES: Final = 128
"""The largest size of a serialised Vote, or of a Proposal without its block, in bytes."""

_MAX_CERTIFICATES: Final = 128
"""How many certificates are remembered; a node that catches up verifies 64 blocks at a time."""

_MAX_ROUND: Final = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote whose signature was verified, or that was just signed."""

    kind: int
    """`PREVOTE` or `PRECOMMIT`."""
    height: int
    """The block's height, from 1."""
    round: int
    """The round of that height, from 0."""
    block_hash: bytes
    """32 bytes; empty for nil."""
    public_key: bytes
    """The validator's Ed25519 key, 32 bytes."""
    envelope: SignedVote = field(compare=False, repr=False)
    """The signed message, as it is sent and stored; must not be changed."""
    audited: bool = False
    """In a prevote for a block: whether the voter audited it or knows an earlier polka for it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal whose signature was verified, or that was just signed."""

    height: int
    """The block's height, from 1."""
    round: int
    """The round of that height, from 0."""
    valid_round: int
    """The round in which the block had a polka; -1 for none."""
    public_key: bytes
    """The proposer's Ed25519 key, 32 bytes."""
    block: Block
    """The proposed block, decoded."""
    envelope: SignedProposal = field(compare=False, repr=False)
    """The signed message, as it is sent and stored; must not be changed."""

    @property
    def block_hash(self) -> bytes:
        """The block's hash, 32 bytes."""
        return self.block.hash


Decision = tuple[int, bytes, bytes]
"""A block's height, its hash, and the hash of the validator set of its height."""


class VerifiedVotes:
    """The votes that this node has decoded and verified, so that it does neither of them twice.

    The same vote reaches a node by itself, in the certificate of its block and in the next block.
    Holds the votes of one chain, a bounded number of them; the oldest are forgotten. Usable from
    several threads.
    """

    def __init__(self, max_votes: int = 2_048) -> None:
        """Make an empty set.

        Args:
            max_votes: The largest number of votes to hold.
        """
        self._max_votes = max_votes
        self._votes: OrderedDict[tuple[bytes, bytes, bytes], Vote] = OrderedDict()
        self._certificates: LruDict[Decision, tuple[bytes, int]] = LruDict(_MAX_CERTIFICATES)
        self._lock = Lock()

    def find(self, envelope: SignedVote) -> Vote | None:
        """Look a vote up by its key, body and signature.

        Args:
            envelope: The signed vote, as it was received.

        Returns:
            The decoded vote; None when it was not verified before.
        """
        return self._votes.get(_vote_key(envelope))

    def find_certificate(self, decision: Decision, raw: bytes) -> int | None:
        """Look up what a certificate was found to decide.

        The same certificate arrives with its block and in the next block.

        Args:
            decision: Height, hash of the block and hash of the validator set.
            raw: The serialised Certificate.

        Returns:
            The round in which the block was decided; None when these bytes were not verified
            lately.
        """
        with self._lock:
            known = self._certificates.get(decision)
        return known[1] if known is not None and known[0] == raw else None

    def add_certificate(self, decision: Decision, raw: bytes, round: int) -> None:
        """Remember a certificate.

        Args:
            decision: Height, hash of the block and hash of the validator set.
            raw: The serialised Certificate, which was verified for them.
            round: The round in which the block was decided.
        """
        with self._lock:
            self._certificates.put(decision, (raw, round))

    def add(self, vote: Vote) -> None:
        """Remember a vote.

        Args:
            vote: A vote that this node signed, or whose signature it has verified.
        """
        with self._lock:
            self._votes[_vote_key(vote.envelope)] = vote
            if len(self._votes) > self._max_votes:
                self._votes.popitem(last=False)


def sign_vote(
    kind: int,
    height: int,
    round: int,
    block_hash: bytes,
    key: SigningKey,
    genesis_hash: bytes,
    *,
    audited: bool = False,
) -> Vote:
    """Sign a vote. The caller makes sure that the key signed no conflicting one.

    Args:
        kind: `PREVOTE` or `PRECOMMIT`.
        height: The height that is being decided, from 1.
        round: The round within the height, from 0.
        block_hash: The block's hash, 32 bytes; empty for nil.
        key: The validator's key.
        genesis_hash: The genesis hash of the network that it is signed for, 32 bytes.
        audited: Whether the voter audited the block or knows an earlier polka for it; only for a
            prevote for a block.

    Returns:
        The signed vote.
    """
    body = canonical.encode(
        vote_pb2.Vote(
            kind=_wire_kind(kind),
            height=height,
            round=round,
            block_hash=block_hash,
            audited=audited,
        )
    )
    envelope = SignedVote(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.VOTE, genesis_hash, body),
    )
    return Vote(kind, height, round, block_hash, key.public_key, envelope, audited)


def decode_vote(
    envelope: SignedVote, genesis_hash: bytes, verified: VerifiedVotes | None = None
) -> Vote:
    """Decode a vote and verify its signature, unless both were done before.

    Whether the key belongs to a validator is checked by the consensus layer.

    Args:
        envelope: The signed message, as it was received.
        genesis_hash: The genesis hash of the network that it must be signed for, 32 bytes.
        verified: The votes of this chain that were verified before; this one joins them.

    Returns:
        The vote with its signed form and its voter's key.

    Raises:
        RefusalError: TOO_LARGE when the body has too many bytes; MALFORMED when it is not
            well-formed, or is marked as audited without being a prevote for a block;
            BAD_SIGNATURE when the signature is not of this network.
    """
    known = verified.find(envelope) if verified is not None else None
    if known is not None:
        return known
    _check_envelope(envelope, "vote")
    body = canonical.decode(vote_pb2.Vote, envelope.body)
    if body.kind not in (PREVOTE, PRECOMMIT):
        raise RefusalError(
            DataCode.MALFORMED,
            f"vote.kind is {body.kind}; it must be a prevote ({PREVOTE}) or a precommit "
            f"({PRECOMMIT})",
            field="vote.kind",
        )
    _check_height_and_round(body, "vote")
    if body.block_hash:
        check_length(body.block_hash, HASH_BYTES, "vote.block_hash")
    if body.audited and not (body.kind == PREVOTE and body.block_hash):
        raise RefusalError(
            DataCode.MALFORMED,
            "vote.audited is true; only a prevote for a block can say that the block was audited",
            field="vote.audited",
        )
    key, signature = envelope.public_key, envelope.signature
    if not verify_signature(key, SigningContext.VOTE, genesis_hash, envelope.body, signature):
        raise _bad_signature("vote")
    vote = Vote(
        kind=body.kind,
        height=body.height,
        round=body.round,
        block_hash=body.block_hash,
        public_key=envelope.public_key,
        envelope=envelope,
        audited=body.audited,
    )
    if verified is not None:
        verified.add(vote)
    return vote


def sign_proposal(
    height: int,
    round: int,
    valid_round: int,
    block: Block,
    key: SigningKey,
    genesis_hash: bytes,
) -> Proposal:
    """Sign a proposal. The caller makes sure that the key signed no conflicting one.

    Args:
        height: The height that is being decided, from 1.
        round: The round within the height, from 0.
        valid_round: The round in which the block had a polka; -1 for none.
        block: The block that is proposed, of this height.
        key: The proposer's key.
        genesis_hash: The genesis hash of the network that it is signed for, 32 bytes.

    Returns:
        The signed proposal.
    """
    body = canonical.encode(
        vote_pb2.Proposal(
            height=height,
            round=round,
            valid_round_plus_one=valid_round + 1,
            block_hash=block.hash,
        )
    )
    envelope = SignedProposal(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.PROPOSAL, genesis_hash, body),
        block=block.raw,
    )
    return Proposal(height, round, valid_round, key.public_key, block, envelope)


@dataclass(frozen=True, slots=True)
class MessageClaim:
    """What a proposal or vote says of itself, read without a look at signature or block."""

    height: int
    """The height of the block, from 1."""
    round: int
    """The round, from 0."""
    block_hash: bytes
    """The hash of the block, 32 bytes; of a vote, which is not checked, any bytes."""
    public_key: bytes
    """The key that is said to have signed, 32 bytes."""


def read_proposal_claim(envelope: SignedProposal) -> MessageClaim:
    """Read what a proposal says of itself, which takes microseconds for any size of the block.

    Args:
        envelope: The signed message, as it was received.

    Returns:
        The claim, of which nothing is verified.

    Raises:
        RefusalError: TOO_LARGE when the body has too many bytes; MALFORMED when it is not
            well-formed.
    """
    body = _read_proposal_body(envelope)
    return MessageClaim(body.height, body.round, body.block_hash, envelope.public_key)


def decode_proposal(
    envelope: SignedProposal, genesis_hash: bytes, max_block_bytes: int = MAX_BLOCK_BYTES
) -> Proposal:
    """Decode a proposal, verify its signature, and check that it is about its block.

    Whether the key belongs to the proposer is checked by the consensus layer.

    Args:
        envelope: The signed message, as it was received.
        genesis_hash: The genesis hash of the network that it must be signed for, 32 bytes.
        max_block_bytes: The largest size of the block allowed, in bytes.

    Returns:
        The proposal with its signed form and its decoded block.

    Raises:
        RefusalError: TOO_LARGE when the body has too many bytes; MALFORMED when it is not
            well-formed, or names another hash or height than those of the block; BAD_SIGNATURE when
            the signature is not of this network; TOO_LARGE, MALFORMED or BAD_ROOT for its block, as
            `decode_block` says.
    """
    check_size(envelope.block, max_block_bytes, "proposal.block")
    body = _read_proposal_body(envelope)
    key, signature = envelope.public_key, envelope.signature
    if not verify_signature(key, SigningContext.PROPOSAL, genesis_hash, envelope.body, signature):
        raise _bad_signature("proposal")
    block = decode_block(envelope.block, max_block_bytes)
    if block.hash != body.block_hash or block.header.height != body.height:
        raise RefusalError(
            DataCode.MALFORMED,
            "proposal.block_hash and proposal.height are not those of proposal.block",
            field="proposal.block_hash",
        )
    return Proposal(
        height=body.height,
        round=body.round,
        valid_round=body.valid_round_plus_one - 1,
        public_key=envelope.public_key,
        block=block,
        envelope=envelope,
    )


def _read_proposal_body(envelope: SignedProposal) -> vote_pb2.Proposal:
    _check_envelope(envelope, "proposal")
    body = canonical.decode(vote_pb2.Proposal, envelope.body)
    _check_height_and_round(body, "proposal")
    check_range(body.valid_round_plus_one, 0, body.round, "proposal.valid_round_plus_one")
    check_length(body.block_hash, HASH_BYTES, "proposal.block_hash")
    return body


def _wire_kind(kind: int) -> VoteKind.ValueType:
    # The generated enum type exists for type checkers alone.
    return cast("VoteKind.ValueType", kind)


def _check_envelope(envelope: SignedVote | SignedProposal, name: str) -> None:
    check_size(envelope.body, _MAX_VOTE_BYTES, f"{name}.body")
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, f"{name}.public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, f"{name}.signature")


def _check_height_and_round(body: vote_pb2.Vote | vote_pb2.Proposal, name: str) -> None:
    check_range(body.height, 1, 2**63 - 1, f"{name}.height")
    check_range(body.round, 0, _MAX_ROUND, f"{name}.round")


def _bad_signature(name: str) -> RefusalError:
    return RefusalError(
        DataCode.BAD_SIGNATURE,
        f"{name}.signature is not a signature of this {name} by {name}.public_key on this chain",
        field=f"{name}.signature",
    )


def _vote_key(envelope: SignedVote) -> tuple[bytes, bytes, bytes]:
    return envelope.public_key, envelope.signature, envelope.body
