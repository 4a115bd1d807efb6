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
from fedcoin.data.messages.votes import Proposal

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

    def take(self) -> list[Message]:
        """Return all messages in the order of their arrival, and keep none of them."""
        messages = list(self._kept.values())
        self._kept.clear()
        self._bytes = 0
        return messages


def _may_sign(message: Message, order: ProposerOrder) -> bool:
    if isinstance(message, Proposal):
        return order.proposer(0).public_key == message.public_key
    return order.validators.by_key(message.public_key) is not None
