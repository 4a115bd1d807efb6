"""How a node behaves where it has a choice.

Each method makes or does what a node of the network may make or do as it likes, for nobody can see
to it: build blocks, tell the others what it said, compute. What is here is honest. Other conducts
are in ``fedcoin.testing.dishonest``, which an honest node never imports.
"""

from __future__ import annotations

from typing import Any

from fedcoin.application.mining.miner import Miner
from fedcoin.application.node.chain import Chain
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.data.clock import Clock
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.peers.peer_network import PeerNetwork


class NodeComponents:
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

    async def beside(self, network: PeerNetwork, chain: Chain) -> None:
        """Whatever else the node does while it runs: nothing."""
