"""How a node behaves where it has a choice.

Each method makes or does what a node of the network may make or do as it likes, for nobody can see
to it: build blocks, tell the others what it said, compute. What is here is honest. Other conducts
are in ``fedcoin.application.adversaries``, which an honest node never imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedcoin.application.chain import Chain, Clock
from fedcoin.application.miner import Miner
from fedcoin.contract.ledger import Ledger
from fedcoin.data.keys import KeyPair
from fedcoin.data.store import ChainStore
from fedcoin.network.peers.network import PeerNetwork

if TYPE_CHECKING:
    from fedcoin.application.node import Node


class Conduct:
    """The honest one; others take its place in parts."""

    def chain(self, store: ChainStore, ledger: Ledger, clock: Clock) -> Chain:
        """What builds this node's blocks."""
        return Chain(store, ledger, clock)

    def network(self, *arguments: Any, **named: Any) -> PeerNetwork:
        """What tells the peers what this node says."""
        return PeerNetwork(*arguments, **named)

    def miner(self, *arguments: Any) -> Miner:
        """What computes and claims."""
        return Miner(*arguments)

    async def beside(self, node: Node) -> None:
        """Whatever else the node does while it runs: nothing."""


def conduct_of(kind: str, key: KeyPair | None) -> Conduct:
    """The conduct of a node that mines with a key, if it mines; an empty ``kind`` is honest.

    Raises Refusal BAD_CONFIG for a kind that there is not.
    """
    if not kind or key is None:
        return Conduct()
    # Imported here: a node that was not told to lie does not even know how.
    from fedcoin.application.adversaries.conducts import dishonest

    return dishonest(kind, key)
