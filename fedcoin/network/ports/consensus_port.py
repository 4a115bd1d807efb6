"""Proposals and votes, from peers to the node and from the node to its peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from fedcoin.data.messages.votes import MessageClaim, Proposal, Vote

EARLY_HEIGHTS: Final = 4
"""So many heights before its own a vote or proposal of round 0 may arrive and still count: a node
that falls behind by some blocks for a moment then has what it needs to decide them."""


@dataclass(frozen=True, slots=True)
class Position:
    """The height and round that a node is deciding."""

    height: int
    """The height that is being decided: one more than the chain's."""

    round: int
    """The round within it, from 0."""


class ConsensusPort(Protocol):
    """Proposals and votes of the height that is being decided."""

    def wants_proposal(self, claim: MessageClaim) -> bool:
        """Tell whether a proposal is worth the work of decoding and verifying it.

        Args:
            claim: What the proposal says of itself; nothing of it is verified.

        Returns:
            True when `receive_proposal` may find it new; False when it is known or of no use now.

        Raises:
            RefusalError: WRONG_PROPOSER or NOT_A_VALIDATOR when its signer may not propose in its
                round of the present height. No honest peer passes such a proposal on, but of round
                0 one that is a block behind.
        """
        ...

    def wants_vote(self, claim: MessageClaim) -> bool:
        """Tell whether a vote is worth the work of verifying it.

        Args:
            claim: What the vote says of itself; nothing of it is verified.

        Returns:
            True when `receive_vote` may find it new; False when its height is too far away.

        Raises:
            RefusalError: NOT_A_VALIDATOR when its signer has no vote at its height.
        """
        ...

    async def receive_proposal(self, proposal: Proposal, from_peer: bytes) -> bool:
        """Handle a proposal with a valid signature.

        Must not wait for artifacts or recomputation: the peer's stream is not read until this
        returns.

        Args:
            proposal: A decoded proposal, whose signature was verified.
            from_peer: The node key of the peer that sent it, 32 bytes.

        Returns:
            True when it is new and shall be relayed; False when it is known or of no use now, for
            example of another height.

        Raises:
            RefusalError: A code of `ConsensusEngine.on_proposal`, such as WRONG_PROPOSER. No honest
                peer passes such a message on, so the caller punishes the peer.
        """
        ...

    async def receive_vote(self, vote: Vote, from_peer: bytes) -> bool:
        """Handle a vote with a valid signature, as `receive_proposal` handles a proposal.

        Args:
            vote: A decoded vote, whose signature was verified.
            from_peer: The node key of the peer that sent it, 32 bytes.

        Returns:
            True when it is new and shall be relayed.

        Raises:
            RefusalError: A code of `ConsensusEngine.on_vote`, such as NOT_A_VALIDATOR. No honest
                peer passes such a message on, so the caller punishes the peer.
        """
        ...

    def messages_for(self, height: int) -> Sequence[Proposal | Vote]:
        """List the messages that a peer may lack.

        Args:
            height: The height that the peer is deciding.

        Returns:
            This node's messages of that height; none when it decides another height.
        """
        ...

    def status(self) -> Position:
        """Return the height and round that this node is deciding."""
        ...


class Broadcaster(Protocol):
    """Sends this node's part in the agreement to its peers. No method waits for a peer."""

    def broadcast(self, message: Proposal | Vote) -> None:
        """Send this node's proposal or vote to every peer.

        Args:
            message: A proposal or vote that this node signed.
        """
        ...

    def status_changed(self) -> None:
        """Send the new height or round to every peer, after `ConsensusPort.status` changed."""
        ...
