"""The serialised form of consensus messages.

`ExchangeRequest` and `ExchangeResponse` have the same single field, so that one serialisation
serves both directions of a stream. The field is repeated: several serialised requests, one behind
the other, are a request with all their messages, which is how those that wait are sent together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages import canonical
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import (
    MessageClaim,
    Proposal,
    VerifiedVotes,
    Vote,
    decode_proposal,
    decode_vote,
    read_proposal_claim,
)
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.protection.limits import check_size
from fedcoin.network.ports.consensus_port import Position
from fedcoin.v1 import vote_pb2
from fedcoin.v1.consensus_service_pb2 import (
    ConsensusMessage,
    ConsensusStatus,
    DirectSources,
    ExchangeRequest,
    RelayHints,
)

DIGEST_BYTES = 16
"""The size of a digest that names a message, in bytes: enough that no two are alike."""

MAX_HINTS = 256
"""The largest number of digests, and of node keys, in one message with hints."""

VOTE_ENCODINGS, PROPOSAL_ENCODINGS = 1_024, 8
"""The number of votes, and of proposals, whose serialised form is kept."""

_MESSAGES_TAG = b"\x0a"
"""Field 1 of an `ExchangeRequest`, with the wire type of messages."""
_MAX_LENGTH_BITS = 28
"""The bits of a varint of four bytes, which are enough for any length that is allowed."""


def digest_of(raw: bytes) -> bytes:
    """Compute the digest that names a message among peers.

    Args:
        raw: The serialised `ExchangeRequest`.

    Returns:
        The first 16 bytes of its SHA-256 digest.
    """
    return sha256(raw)[:DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Received:
    """A received message: its kind and size are checked, its content is not."""

    kind: str
    """Its kind in the table of limits, such as `ConsensusMessage/vote`."""

    raw: bytes
    """The serialised `ExchangeRequest` with this message alone."""

    message: ConsensusMessage


def encode(message: Proposal | Vote) -> bytes:
    """Serialise a proposal or vote.

    Args:
        message: A signed proposal or vote.

    Returns:
        A serialised `ExchangeRequest`.
    """
    if isinstance(message, Vote):
        wrapped = ConsensusMessage(vote=message.envelope)
    else:
        wrapped = ConsensusMessage(proposal=message.envelope)
    return ExchangeRequest(messages=[wrapped]).SerializeToString(deterministic=True)


class Encodings:
    """The serialised forms of the latest messages: a proposal may have megabytes."""

    def __init__(self) -> None:
        # By the identity of the message, which is kept so that no other one has it.
        self._votes: LruDict[int, tuple[Proposal | Vote, bytes, bytes]] = LruDict(VOTE_ENCODINGS)
        self._proposals: LruDict[int, tuple[Proposal | Vote, bytes, bytes]] = LruDict(
            PROPOSAL_ENCODINGS
        )

    def encode(self, message: Proposal | Vote) -> tuple[bytes, bytes]:
        """Serialise and name a message, once for each object.

        Args:
            message: A signed proposal or vote.

        Returns:
            The serialised `ExchangeRequest`, and its digest.
        """
        encodings = self._votes if isinstance(message, Vote) else self._proposals
        known = encodings.get(id(message))
        if known is None or known[0] is not message:
            raw = encode(message)
            known = (message, raw, digest_of(raw))
            encodings.put(id(message), known)
        return known[1:]


def encode_status(position: Position) -> bytes:
    """Serialise a status.

    Args:
        position: The height and round that this node is deciding.

    Returns:
        A serialised `ExchangeRequest`.
    """
    status = ConsensusStatus(height=position.height, round=position.round)
    return ExchangeRequest(messages=[ConsensusMessage(status=status)]).SerializeToString()


def encode_hints(
    offers: Iterable[bytes], wants: Iterable[bytes], direct: Collection[bytes] | None
) -> bytes:
    """Serialise hints on what to relay.

    Args:
        offers: Digests of messages that the receiver may lack, `MAX_HINTS` at most.
        wants: Digests of messages that this node lacks, `MAX_HINTS` at most.
        direct: Node keys from which this node receives messages directly; None says nothing new.

    Returns:
        A serialised `ExchangeRequest`.
    """
    hints = RelayHints(offers=offers, wants=wants)
    if direct is not None:
        hints.direct.CopyFrom(DirectSources(node_keys=direct))
    return ExchangeRequest(messages=[ConsensusMessage(hints=hints)]).SerializeToString()


HEARTBEAT = encode_hints((), (), None)
"""A serialised `ExchangeRequest` that says nothing but that its sender is there."""


def check_hints(hints: RelayHints) -> None:
    """Check the lengths of the digests and keys in hints.

    Args:
        hints: Hints from a peer.

    Raises:
        RefusalError: MALFORMED when a digest does not have 16 bytes, or a node key not 32.
    """
    if any(len(digest) != DIGEST_BYTES for digest in (*hints.offers, *hints.wants)):
        raise _malformed(f"each digest in hints must have {DIGEST_BYTES} bytes")
    if any(len(key) != PUBLIC_KEY_BYTES for key in hints.direct.node_keys):
        raise _malformed(f"each node key in hints must have {PUBLIC_KEY_BYTES} bytes")


def split(raw: bytes) -> list[bytes]:
    """Split a request into requests with one message each.

    Args:
        raw: A serialised `ExchangeRequest`.

    Returns:
        Serialised `ExchangeRequest`s, in the order of their messages.

    Raises:
        RefusalError: MALFORMED when it has no message, another field, or is cut off; TOO_LARGE when
            it is larger than a message of the stream may be.
    """
    check_size("ConsensusService/Exchange", len(raw))
    pieces: list[bytes] = []
    start = 0
    while start < len(raw) or not pieces:
        end = _end_of_message(raw, start)
        pieces.append(raw[start:end])
        start = end
    return pieces


def _end_of_message(raw: bytes, start: int) -> int:
    """Find where a field of an `ExchangeRequest` ends: its tag, its length as a varint, content."""
    length = shift = 0
    position = start + 1
    is_known = raw[start:position] == _MESSAGES_TAG
    while is_known and position < len(raw) and shift < _MAX_LENGTH_BITS:
        byte = raw[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = position + length
            if end <= len(raw):
                return end
            break
    raise _malformed(f"these {len(raw)} bytes are not a list of consensus messages")


def read(raw: bytes) -> Received:
    """Parse a message and check its size.

    Args:
        raw: A serialised `ExchangeRequest` with one message, as `split` returns it.

    Returns:
        The parsed message with its kind; its signature and contents are not checked.

    Raises:
        RefusalError: MALFORMED when the bytes are not a message of a known kind; TOO_LARGE when
            they are more than its kind allows.
    """
    try:
        (message,) = ExchangeRequest.FromString(raw).messages
    except (DecodeError, ValueError):
        raise _malformed(f"these {len(raw)} bytes are not a consensus message") from None
    which = message.WhichOneof("kind")
    if which is None:
        raise _malformed("the message has no kind that this version knows")
    kind = f"ConsensusMessage/{which}"
    check_size(kind, len(raw))
    return Received(kind, raw, message)


def read_claim(message: ConsensusMessage) -> MessageClaim:
    """Read what a proposal or vote says of itself, which takes a hundredth of verifying a vote.

    Args:
        message: The parsed message, which holds a proposal or a vote.

    Returns:
        The claim, of which nothing is verified.

    Raises:
        RefusalError: TOO_LARGE when the body of a proposal has too many bytes; MALFORMED when the
            message cannot be read.
    """
    if message.HasField("proposal"):
        return read_proposal_claim(message.proposal)
    body = canonical.parse(vote_pb2.Vote, message.vote.body)
    return MessageClaim(body.height, body.round, body.block_hash, message.vote.public_key)


def decode(received: Received, genesis: Genesis, verified_votes: VerifiedVotes) -> Proposal | Vote:
    """Decode a proposal or vote and verify its signature.

    Args:
        received: The parsed message.
        genesis: The network's genesis.
        verified_votes: The votes whose signatures are verified already; a new one is added.

    Returns:
        The proposal or vote.

    Raises:
        RefusalError: TOO_LARGE when it has too many bytes; MALFORMED when it is not well-formed or
            not in the canonical encoding, or names another block than the one it holds; BAD_ROOT
            when that block's header commits to other parts; BAD_SIGNATURE when it is not signed for
            this network.
    """
    # What a signature does not cover is padding that certificates and reports would inherit, which
    # every node then refuses.
    canonical.check_canonical(ExchangeRequest(messages=[received.message]), received.raw)
    if received.message.HasField("vote"):
        return decode_vote(received.message.vote, genesis.hash, verified_votes)
    max_bytes = genesis.parameters.max_block_bytes
    return decode_proposal(received.message.proposal, genesis.hash, max_bytes)


def _malformed(why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"message: {why}", field="message")
