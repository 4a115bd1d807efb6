"""Which parts of a node each kind of liar has in place of the honest ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fedcoin.application.adversaries.builders import CensoringChain, GrindingChain
from fedcoin.application.adversaries.intruders import (
    Bring,
    bring_foreign,
    bring_old,
    come_again,
)
from fedcoin.application.adversaries.lying_miner import LyingMiner
from fedcoin.application.adversaries.strategies import STRATEGIES, Strategy
from fedcoin.application.adversaries.two_tongues import TwoTonguedNetwork
from fedcoin.application.chain import Chain, Clock
from fedcoin.application.conduct import Conduct
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.miner import Miner
from fedcoin.contract.ledger import Ledger
from fedcoin.data.errors import Refusal
from fedcoin.data.keys import KeyPair
from fedcoin.data.store import ChainStore
from fedcoin.network.peers.network import PeerNetwork

log = logging.getLogger(__name__)


class Lying(Conduct):
    """Computes, claims and shows what a strategy says."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def miner(self, *arguments: Any) -> Miner:
        """A miner with the strategy."""
        return LyingMiner(self._strategy, *arguments)


class Censor(Conduct):
    """Leaves rivals out of its blocks; a hasty one also sets their time as far ahead as it may."""

    def __init__(self, *, hasty: bool = False) -> None:
        self._hasty = hasty

    def chain(self, store: ChainStore, ledger: Ledger, clock: Clock) -> Chain:
        """A chain that builds such blocks."""
        ahead_ms = ledger.genesis.parameters.max_clock_drift_ms if self._hasty else 0
        return CensoringChain(store, ledger, lambda: clock() + ahead_ms)


class Grinder(Conduct):
    """Looks for a block whose challenge suits it."""

    def chain(self, store: ChainStore, ledger: Ledger, clock: Clock) -> Chain:
        """A chain that tries many blocks."""
        return GrindingChain(store, ledger, clock)


class Equivocator(Conduct):
    """Votes twice."""

    def __init__(self, key: KeyPair) -> None:
        self._key = key

    def network(self, *arguments: Any, **named: Any) -> PeerNetwork:
        """A network that says one thing to some and another one to others."""
        chain_id = named["chain"].genesis.chain_id
        return TwoTonguedNetwork(self._key, chain_id, *arguments, **named)


class Intruding(Conduct):
    """Has strangers visit its peers."""

    def __init__(self, bring: Bring) -> None:
        self._bring = bring

    async def beside(self, network: PeerNetwork, chain: Chain) -> None:
        """Visits, now and then."""
        await come_again(network, chain, self._bring)


CONDUCTS: dict[str, Callable[[KeyPair], Conduct]] = {
    "censor": lambda key: Censor(),
    "hasty-censor": lambda key: Censor(hasty=True),
    "challenge-grinder": lambda key: Grinder(),
    "equivocator": Equivocator,
    "stale-peer": lambda key: Intruding(bring_old),
    "wrong-network": lambda key: Intruding(bring_foreign),
}
"""By kind, of those that mine honestly; the others are ``strategies.STRATEGIES``."""


def dishonest(kind: str, key: KeyPair) -> Conduct:
    """The conduct of a kind. Raises Refusal BAD_CONFIG for one that there is not."""
    if kind not in STRATEGIES and kind not in CONDUCTS:
        kinds = ", ".join((*STRATEGIES, *CONDUCTS))
        raise Refusal(
            ApplicationCode.BAD_CONFIG,
            f"miner.adversary is {kind!r}, but it must be one of {kinds}",
            field="miner.adversary",
            limit=kinds,
        )
    log.warning("this node lies, by order: %s", kind)
    return Lying(STRATEGIES[kind]) if kind in STRATEGIES else CONDUCTS[kind](key)
