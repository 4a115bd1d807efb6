"""An exchange that sends two contradicting votes of each round, each to half of the peers."""

from __future__ import annotations

import logging
from collections.abc import Collection

from fedcoin.consensus.vote_set import NIL
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import Proposal, Vote, sign_vote
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.gossip.consensus_stream import ConsensusExchange
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.consensus_port import ConsensusPort

log = logging.getLogger(__name__)


def contradict_vote(vote: Vote, key: KeyPair, genesis_hash: bytes) -> Vote:
    """Sign a vote that contradicts another one.

    Args:
        vote: A prevote or precommit.
        key: The key that signed it.
        genesis_hash: The genesis hash of the network, 32 bytes.

    Returns:
        A vote of the same kind, height and round: for nil if `vote` is for a block, and for a block
        that does not exist if `vote` is for nil.
    """
    value = NIL if vote.block_hash else sha256(b"no block", vote.envelope.body)
    return sign_vote(vote.kind, vote.height, vote.round, value, key, genesis_hash)


class EquivocatingExchange(ConsensusExchange):
    """Sends every second peer a vote that contradicts this node's vote.

    The node itself counts only its first vote, so that it stays in step with the others.
    """

    def __init__(
        self, key: KeyPair, chain: ChainPort, agreement: ConsensusPort, peers: PeerSet
    ) -> None:
        """Make an exchange.

        Args:
            key: The validator's key.
            chain: The node's chain.
            agreement: Takes proposals and votes from peers.
            peers: The connected peers.
        """
        super().__init__(chain, agreement, peers)
        self._key = key
        self._genesis_hash = chain.genesis.hash
        self._connected = peers

    def broadcast(self, message: Proposal | Vote, but: Collection[bytes] = ()) -> None:
        """Send a proposal to all peers; of a vote, two contradicting ones to half of them each.

        Args:
            message: This node's proposal or vote.
            but: Node keys, 32 bytes each, of peers to which nothing is sent.
        """
        if isinstance(message, Proposal):
            super().broadcast(message, but)
            return
        keys = sorted(peer.key for peer in self._connected)
        super().broadcast(message, {*but, *keys[1::2]})
        second = contradict_vote(message, self._key, self._genesis_hash)
        super().broadcast(second, {*but, *keys[0::2]})
        log.warning(
            "voted twice at height %d, round %d, kind %d",
            message.height,
            message.round,
            message.kind,
        )
