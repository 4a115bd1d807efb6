"""Votes and proposals of the next heights that arrive while this one is being decided or stored.

A node that is a moment late would lose them, and wait until a peer sends them again. So they are
kept, and those of the next height passed on to peers. They cannot be checked fully yet, so few are
kept: of round 0 and of `EARLY_HEIGHTS` heights only, one vote of each kind from each validator, and
one proposal from each validator that may have the turn. Peers send everything else again when this
node tells them that it has reached the height.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.consensus.effects import Message
from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.consensus.tendermint_engine import check_rounds
from fedcoin.data.messages.votes import MessageClaim, Proposal
from fedcoin.network.ports.consensus_port import EARLY_HEIGHTS

MAX_EARLY_BLOCKS = 4
"""The largest size of all kept messages, in multiples of the largest block. Those of heights after
the next one may take a half of it, so that they leave room for those that are needed first."""

_PROPOSAL = 0
"""Marks a proposal in keys that hold the kind of a vote, which is never 0."""


class EarlyMessages:
    """The kept messages of the heights after the one that is being decided."""

    def __init__(self, max_block_bytes: int) -> None:
        """Start without messages.

        Args:
            max_block_bytes: The size of the largest block, in bytes.
        """
        self._max_bytes = MAX_EARLY_BLOCKS * max_block_bytes
        self._bytes = 0
        self._kept: dict[tuple[int, bytes, int], Message] = {}

    @property
    def size(self) -> int:
        """The size of all kept messages in bytes."""
        return self._bytes

    def keep(self, message: Message, height: int, orders: Sequence[ProposerOrder]) -> bool:
        """Keep a message of a later height, if it may be one of an honest validator.

        Args:
            message: The message, whose signature is valid.
            height: The height that is being decided.
            orders: The orders that the height after it may have, one for each block that this
                height may decide.

        Returns:
            True when the message is kept; False when it is not, or was kept before.

        Raises:
            RefusalError: WRONG_VALID_ROUND or WRONG_BLOCK_ROUND for a proposal that its height
                cannot take: peers that decide it would blame who passes it on.
        """
        kind = _PROPOSAL if isinstance(message, Proposal) else message.kind
        name = (message.height, message.public_key, kind)
        distance = message.height - height
        room = self._max_bytes if distance == 1 else self._max_bytes // 2
        size = message.envelope.ByteSize()
        if message.round != 0 or name in self._kept or self._bytes + size > room:
            return False
        if not 1 <= distance <= EARLY_HEIGHTS:
            return False
        if not any(_may_sign(message, order, distance) for order in orders):
            return False
        if isinstance(message, Proposal):
            check_rounds(message)
        self._kept[name] = message
        self._bytes += size
        return True

    def wants(self, claim: MessageClaim, height: int, orders: Sequence[ProposerOrder]) -> bool:
        """Tell whether a proposal is worth the work of decoding and verifying it.

        Args:
            claim: What a proposal of a later height says of itself.
            height: The height that is being decided.
            orders: The orders that the height after it may have.

        Returns:
            True when `keep` may keep the proposal.
        """
        distance = claim.height - height
        if claim.round != 0 or not 1 <= distance <= EARLY_HEIGHTS:
            return False
        is_first = (claim.height, claim.public_key, _PROPOSAL) not in self._kept
        return is_first and any(_may_propose(claim.public_key, o, distance) for o in orders)

    def wants_vote(self, claim: MessageClaim, height: int, orders: Sequence[ProposerOrder]) -> bool:
        """Tell whether a vote is worth the work of verifying it.

        Args:
            claim: What a vote of a later height says of itself.
            height: The height that is being decided.
            orders: The orders that the height after it may have.

        Returns:
            True when `keep` may keep the vote.
        """
        if claim.round != 0 or not 1 <= claim.height - height <= EARLY_HEIGHTS:
            return False
        return any(o.validators.by_key(claim.public_key) is not None for o in orders)

    def take(self, height: int) -> list[Message]:
        """Return the messages of a height in the order of their arrival, and keep later ones alone.

        Args:
            height: The height that is being decided from now on.

        Returns:
            Its messages, which are no longer kept, as those of earlier heights.
        """
        taken = [message for message in self._kept.values() if message.height == height]
        self._kept = {name: kept for name, kept in self._kept.items() if kept.height > height}
        self._bytes = sum(message.envelope.ByteSize() for message in self._kept.values())
        return taken


def _may_sign(message: Message, order: ProposerOrder, distance: int) -> bool:
    if isinstance(message, Proposal):
        return _may_propose(message.public_key, order, distance)
    return order.validators.by_key(message.public_key) is not None


def _may_propose(public_key: bytes, order: ProposerOrder, distance: int) -> bool:
    """Look at the turns as they are if the blocks between change no validators and settle no task.

    Where they do, the proposal is not kept, and a peer sends it again.
    """
    if not order.validators.members:
        return False
    for _ in range(distance - 1):
        order = order.next_height(order.validators)
    return order.proposer(0).public_key == public_key
