"""Consensus messages as they travel.

`ExchangeRequest` and `ExchangeResponse` have the same single field, so that one
serialisation serves both directions of a stream.
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
from fedcoin.network.ports import Position
from fedcoin.v1.consensus_service_pb2 import ConsensusMessage, ConsensusStatus, ExchangeRequest


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came: of a known kind and size, nothing else checked."""

    kind: str
    """The limit that it counts for: ``ConsensusMessage/vote``, say."""

    raw: bytes
    message: ConsensusMessage


def encode(message: Proposal | Vote) -> bytes:
    """The bytes of an exchange with one proposal or vote."""
    if isinstance(message, Vote):
        wrapped = ConsensusMessage(vote=message.envelope)
    else:
        wrapped = ConsensusMessage(proposal=message.envelope)
    return ExchangeRequest(message=wrapped).SerializeToString(deterministic=True)


def encode_status(position: Position) -> bytes:
    """The bytes of an exchange that tells where this node stands."""
    status = ConsensusStatus(height=position.height, round=position.round)
    return ExchangeRequest(message=ConsensusMessage(status=status)).SerializeToString()


def read(raw: bytes) -> Received:
    """Parse an exchange. Raises Refusal: MALFORMED, TOO_LARGE."""
    check_size("ConsensusService/Exchange", len(raw))
    try:
        message = ExchangeRequest.FromString(raw).message
    except DecodeError:
        raise _malformed(f"these {len(raw)} bytes are no consensus message") from None
    which = message.WhichOneof("kind")
    if which is None:
        raise _malformed("the message has no kind that this version knows")
    kind = f"ConsensusMessage/{which}"
    check_size(kind, len(raw))
    return Received(kind, raw, message)


def decode(received: Received, genesis: Genesis, verified_votes: VerifiedVotes) -> Proposal | Vote:
    """Check structure and signature of a proposal or vote. Raises Refusal as `data.votes` does."""
    if received.message.HasField("vote"):
        return decode_vote(received.message.vote, genesis.chain_id, verified_votes)
    max_bytes = genesis.parameters.max_block_bytes
    return decode_proposal(received.message.proposal, genesis.chain_id, max_bytes)


def _malformed(why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"message: {why}", field="message")
