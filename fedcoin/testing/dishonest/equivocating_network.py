"""A peer network that sends two contradicting votes of each round, each to half of the peers."""

from __future__ import annotations

import logging
from typing import Any

from fedcoin.consensus.vote_set import NIL
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import Proposal, Vote, sign_vote
from fedcoin.network.peers.peer_network import PeerNetwork

log = logging.getLogger(__name__)


def contradict_vote(vote: Vote, key: KeyPair, chain_id: str) -> Vote:
    """Sign a vote that contradicts another one.

    Args:
        vote: A prevote or precommit.
        key: The key that signed it.
        chain_id: The network's chain id.

    Returns:
        A vote of the same kind, height and round: for nil if `vote` is for a block, and for a block
        that does not exist if `vote` is for nil.
    """
    value = NIL if vote.block_hash else sha256(b"no block", vote.envelope.body)
    return sign_vote(vote.kind, vote.height, vote.round, value, key, chain_id)


class EquivocatingNetwork(PeerNetwork):
    """Send every second peer a vote that contradicts this node's vote.

    The node itself counts only its first vote, so that it stays in step with the others.
    """

    def __init__(self, key: KeyPair, chain_id: str, *arguments: Any, **named: Any) -> None:
        """Make a peer network.

        Args:
            key: The validator's key.
            chain_id: The network's chain id.
            *arguments: Passed to `PeerNetwork`.
            **named: Passed to `PeerNetwork`.
        """
        super().__init__(*arguments, **named)
        self._signer = key
        self._chain_id = chain_id

    def broadcast(self, message: Proposal | Vote) -> None:
        """Send a proposal to all peers; of a vote, two contradicting ones to half of them each.

        Args:
            message: This node's proposal or vote.
        """
        if isinstance(message, Proposal):
            super().broadcast(message)
            return
        keys = [info.node_key for info in self.peers()]
        self._consensus.broadcast(message, but=keys[1::2])
        second = contradict_vote(message, self._signer, self._chain_id)
        self._consensus.broadcast(second, but=keys[0::2])
        log.warning(
            "voted twice at height %d, round %d, kind %d",
            message.height,
            message.round,
            message.kind,
        )
