"""The parts of a node that another implementation may replace.

No other node can check how a node builds its blocks, what it tells its peers and how it computes
samples. Networks with dishonest nodes are tested by handing `open_node` other components than
the honest ones here (`fedcoin.testing.dishonest`, which nothing in the product imports).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fedcoin.application.mining.miner import Miner
from fedcoin.application.node.chain import Chain
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.peers.peer_network import PeerNetwork


@dataclass(frozen=True, slots=True)
class NodeComponents:
    """Factories for a node's replaceable parts. The defaults make an honest node."""

    # Makes the chain, which builds this node's blocks; called as the class `Chain` is.
    make_chain: Callable[[ChainStore, Ledger, Clock], Chain] = Chain
    # Makes the peer network, which sends this node's votes; called as `PeerNetwork` is.
    make_network: Callable[..., PeerNetwork] = PeerNetwork
    # Makes the miner, which computes and claims samples; called as `Miner` is.
    make_miner: Callable[..., Miner] = Miner
    # A task that runs beside the node's services, and is cancelled when the node stops.
    run_beside: Callable[[PeerNetwork, Chain, ArtifactStore], Coroutine[Any, Any, None]] | None = (
        None
    )
