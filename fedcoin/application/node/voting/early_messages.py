"""Votes and proposals of the next height that arrive while this one is being decided or stored.

They are kept so that the next height starts without a delay, and passed on to peers. They
cannot be checked fully yet, so few are kept: of round 0 only, one vote of each kind from each
validator, and one proposal from each validator that may have the turn. Peers send everything else
again when this node tells them that it has reached the height.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.consensus.effects import Message
from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.data.messages.votes import Proposal, ProposalClaim

MAX_EARLY_BLOCKS = 4
"""The largest size of all kept messages, in multiples of the largest block."""

_PROPOSAL = 0
# Marks a proposal in keys that hold the kind of a vote, which is never 0.


class EarlyMessages:
    """The kept messages of the next height."""

    def __init__(self, max_block_bytes: int) -> None:
        """Start without messages.

        Args:
            max_block_bytes: The size of the largest block, in bytes.
        """
        self._max_bytes = MAX_EARLY_BLOCKS * max_block_bytes
        self._bytes = 0
        self._kept: dict[tuple[bytes, int], Message] = {}

    @property
    def size(self) -> int:
        """The size of all kept messages in bytes."""
        return self._bytes

    def keep(self, message: Message, orders: Sequence[ProposerOrder]) -> bool:
        """Keep a message of the next height, if it may be one of an honest validator.

        Args:
            message: The message, whose signature is valid.
            orders: The orders that the next height may have, one for each block that this height
                may decide.

        Returns:
            True when the message is kept; False when it is not, or was kept before.
        """
        kind = _PROPOSAL if isinstance(message, Proposal) else message.kind
        name = (message.public_key, kind)
        size = message.envelope.ByteSize()
        if message.round != 0 or name in self._kept or self._bytes + size > self._max_bytes:
            return False
        if not any(_may_sign(message, order) for order in orders):
            return False
        self._kept[name] = message
        self._bytes += size
        return True

    def wants(self, claim: ProposalClaim, orders: Sequence[ProposerOrder]) -> bool:
        """Tell whether a proposal is worth the work of decoding and verifying it.

        Args:
            claim: What a proposal of the next height says of itself.
            orders: The orders that the next height may have.

        Returns:
            True when `keep` may keep the proposal.
        """
        is_first = claim.round == 0 and (claim.public_key, _PROPOSAL) not in self._kept
        return is_first and any(_may_propose(claim.public_key, order) for order in orders)

    def take(self) -> list[Message]:
        """Return all messages in the order of their arrival, and keep none of them."""
        messages = list(self._kept.values())
        self._kept.clear()
        self._bytes = 0
        return messages


def _may_sign(message: Message, order: ProposerOrder) -> bool:
    if isinstance(message, Proposal):
        return _may_propose(message.public_key, order)
    return order.validators.by_key(message.public_key) is not None


def _may_propose(public_key: bytes, order: ProposerOrder) -> bool:
    return order.proposer(0).public_key == public_key
