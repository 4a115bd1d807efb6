"""Two votes for one round, each to half of the peers."""

from __future__ import annotations

import logging
from typing import Any

from fedcoin.consensus.vote_set import NIL
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import Proposal, Vote, sign_vote
from fedcoin.network.peers.peer_network import PeerNetwork

log = logging.getLogger(__name__)


def contradiction(vote: Vote, key: KeyPair, chain_id: str) -> Vote:
    """The opposite: nil instead of a block, and a block that there is not instead of nil."""
    value = NIL if vote.block_hash else sha256(b"no block", vote.envelope.body)
    return sign_vote(vote.kind, vote.height, vote.round, value, key, chain_id)


class EquivocatingNetwork(PeerNetwork):
    """Tells every second peer the opposite of what it voted. Its own node believes what it said."""

    def __init__(self, key: KeyPair, chain_id: str, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._signer = key
        self._chain_id = chain_id

    def broadcast(self, message: Proposal | Vote) -> None:
        """Proposals to all; of each vote two, to different peers."""
        if isinstance(message, Proposal):
            super().broadcast(message)
            return
        keys = [info.node_key for info in self.peers()]
        self._consensus.broadcast(message, but=keys[1::2])
        other = contradiction(message, self._signer, self._chain_id)
        self._consensus.broadcast(other, but=keys[0::2])
        log.warning(
            "voted twice at height %d, round %d, kind %d",
            message.height,
            message.round,
            message.kind,
        )
