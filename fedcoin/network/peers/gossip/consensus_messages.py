"""The serialised form of consensus messages.

`ExchangeRequest` and `ExchangeResponse` have the same single field, so that one serialisation
serves both directions of a stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import (
    Proposal,
    VerifiedVotes,
    Vote,
    decode_proposal,
    decode_vote,
)
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.protection.limits import check_size
from fedcoin.network.ports.consensus_port import Position
from fedcoin.v1.consensus_service_pb2 import ConsensusMessage, ConsensusStatus, ExchangeRequest


@dataclass(frozen=True, slots=True)
class Received:
    """A received message: its kind and size are checked, its content is not."""

    kind: str
    """Its kind in the table of limits, such as `ConsensusMessage/vote`."""

    raw: bytes
    """The serialised `ExchangeRequest`."""

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
    return ExchangeRequest(message=wrapped).SerializeToString(deterministic=True)


def encode_status(position: Position) -> bytes:
    """Serialise a status.

    Args:
        position: The height and round that this node is deciding.

    Returns:
        A serialised `ExchangeRequest`.
    """
    status = ConsensusStatus(height=position.height, round=position.round)
    return ExchangeRequest(message=ConsensusMessage(status=status)).SerializeToString()


def read(raw: bytes) -> Received:
    """Parse a message and check its size.

    Args:
        raw: A serialised `ExchangeRequest`.

    Returns:
        The parsed message with its kind; its signature and contents are not checked.

    Raises:
        RefusalError: MALFORMED when the bytes are not a message of a known kind; TOO_LARGE when
            they are more than its kind allows.
    """
    check_size("ConsensusService/Exchange", len(raw))
    try:
        message = ExchangeRequest.FromString(raw).message
    except DecodeError:
        raise _malformed(f"these {len(raw)} bytes are not a consensus message") from None
    which = message.WhichOneof("kind")
    if which is None:
        raise _malformed("the message has no kind that this version knows")
    kind = f"ConsensusMessage/{which}"
    check_size(kind, len(raw))
    return Received(kind, raw, message)


def decode(received: Received, genesis: Genesis, verified_votes: VerifiedVotes) -> Proposal | Vote:
    """Decode a proposal or vote and verify its signature.

    Args:
        received: The parsed message.
        genesis: The network's genesis.
        verified_votes: The votes whose signatures are verified already; a new one is added.

    Returns:
        The proposal or vote.

    Raises:
        RefusalError: TOO_LARGE when it has too many bytes; MALFORMED when it is not well-formed, or
            names another block than the one it holds; BAD_ROOT when that block's header commits to
            other parts; BAD_SIGNATURE when it is not signed for this network.
    """
    if received.message.HasField("vote"):
        return decode_vote(received.message.vote, genesis.hash, verified_votes)
    max_bytes = genesis.parameters.max_block_bytes
    return decode_proposal(received.message.proposal, genesis.hash, max_bytes)


def _malformed(why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"message: {why}", field="message")
