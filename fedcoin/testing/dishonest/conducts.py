"""Which parts of a node each kind of liar has in place of the honest ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.mining.miner import Miner
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.components import NodeComponents
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.testing.dishonest.builders import CensoringChain, GrindingChain
from fedcoin.testing.dishonest.intruders import Bring, bring_foreign, bring_old, come_again
from fedcoin.testing.dishonest.lying_miner import LyingMiner
from fedcoin.testing.dishonest.strategies import STRATEGIES, Strategy
from fedcoin.testing.dishonest.two_tongues import TwoTonguedNetwork

log = logging.getLogger(__name__)


class LyingComponents(NodeComponents):
    """Computes, claims and shows what a strategy says."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def miner(self, *arguments: Any) -> Miner:
        """A miner with the strategy."""
        return LyingMiner(self._strategy, *arguments)


class CensoringComponents(NodeComponents):
    """Leaves rivals out of its blocks; a hasty one also sets their time as far ahead as it may."""

    def __init__(self, *, hasty: bool = False) -> None:
        self._hasty = hasty

    def chain(self, store: ChainStore, ledger: Ledger, clock: Clock) -> Chain:
        """A chain that builds such blocks."""
        ahead_ms = ledger.genesis.parameters.max_clock_drift_ms if self._hasty else 0
        return CensoringChain(store, ledger, lambda: clock() + ahead_ms)


class GrindingComponents(NodeComponents):
    """Looks for a block whose challenge suits it."""

    def chain(self, store: ChainStore, ledger: Ledger, clock: Clock) -> Chain:
        """A chain that tries many blocks."""
        return GrindingChain(store, ledger, clock)


class EquivocatingComponents(NodeComponents):
    """Votes twice."""

    def __init__(self, key: KeyPair) -> None:
        self._key = key

    def network(self, *arguments: Any, **named: Any) -> PeerNetwork:
        """A network that says one thing to some and another one to others."""
        chain_id = named["chain"].genesis.chain_id
        return TwoTonguedNetwork(self._key, chain_id, *arguments, **named)


class IntrudingComponents(NodeComponents):
    """Has strangers visit its peers."""

    def __init__(self, bring: Bring) -> None:
        self._bring = bring

    async def beside(self, network: PeerNetwork, chain: Chain) -> None:
        """Visits, now and then."""
        await come_again(network, chain, self._bring)


CONDUCTS: dict[str, Callable[[KeyPair], NodeComponents]] = {
    "censor": lambda key: CensoringComponents(),
    "hasty-censor": lambda key: CensoringComponents(hasty=True),
    "challenge-grinder": lambda key: GrindingComponents(),
    "equivocator": EquivocatingComponents,
    "stale-peer": lambda key: IntrudingComponents(bring_old),
    "wrong-network": lambda key: IntrudingComponents(bring_foreign),
}
"""By kind, of those that mine honestly; the others are ``strategies.STRATEGIES``."""


def dishonest(kind: str, key: KeyPair) -> NodeComponents:
    """The conduct of a kind. Raises Refusal BAD_CONFIG for one that there is not."""
    if kind not in STRATEGIES and kind not in CONDUCTS:
        kinds = ", ".join((*STRATEGIES, *CONDUCTS))
        raise RefusalError(
            ApplicationCode.BAD_CONFIG,
            f"miner.adversary is {kind!r}, but it must be one of {kinds}",
            field="miner.adversary",
            limit=kinds,
        )
    log.warning("this node lies, by order: %s", kind)
    return LyingComponents(STRATEGIES[kind]) if kind in STRATEGIES else CONDUCTS[kind](key)
