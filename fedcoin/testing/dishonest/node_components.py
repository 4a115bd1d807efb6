"""The components that each kind of dishonest miner's node runs instead of the honest ones."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fedcoin.application.node.chain import Chain
from fedcoin.application.node.components import NodeComponents
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.testing.dishonest.block_builders import CensoringChain, GrindingChain, MisnamingChain
from fedcoin.testing.dishonest.dishonest_miner import DishonestMiner
from fedcoin.testing.dishonest.equivocating_exchange import EquivocatingExchange
from fedcoin.testing.dishonest.fund_attacks import (
    bond_dust,
    fill_pools,
    move_difficulty,
    open_slow_task,
    spam_tasks,
)
from fedcoin.testing.dishonest.hostile_peers import (
    Visit,
    send_foreign_messages,
    send_old_messages,
    visit_peers,
)
from fedcoin.testing.dishonest.mining_strategies import MINING_STRATEGIES
from fedcoin.testing.dishonest.power_seekers import LateBonder, SelectiveWithholder

Attack = Callable[[KeyPair, PeerNetwork, Chain, ArtifactStore], Coroutine[Any, Any, None]]
"""Runs beside a node with the miner's key, until it is cancelled."""

MakeNode = Callable[[KeyPair], NodeComponents]
"""Makes the components of one kind of node with the miner's key."""


def _make_hasty_chain(store: ChainStore, ledger: Ledger, clock: Clock) -> Chain:
    """Make a censoring chain whose clock is ahead by as much as validators accept."""
    ahead_ms = ledger.genesis.parameters.max_clock_drift_ms
    return CensoringChain(store, ledger, lambda: clock() + ahead_ms)


def _visiting(visit: Visit) -> NodeComponents:
    async def visit_all(network: PeerNetwork, chain: Chain, artifacts: ArtifactStore) -> None:
        await visit_peers(network, chain, visit)

    return NodeComponents(run_beside=visit_all)


def _equivocating(key: KeyPair) -> NodeComponents:
    exchange = partial(EquivocatingExchange, key)
    return NodeComponents(make_network=partial(PeerNetwork, make_consensus=exchange))


def _spending(attack: Attack) -> MakeNode:
    return lambda key: NodeComponents(run_beside=partial(attack, key))


_OTHER_KINDS: dict[str, MakeNode] = {
    "late-bonder": lambda key: NodeComponents(make_miner=LateBonder),
    "selective-withholder": lambda key: NodeComponents(make_miner=SelectiveWithholder),
    "censor": lambda key: NodeComponents(make_chain=CensoringChain),
    "hasty-censor": lambda key: NodeComponents(make_chain=_make_hasty_chain),
    "challenge-grinder": lambda key: NodeComponents(make_chain=GrindingChain),
    "misnaming-proposer": lambda key: NodeComponents(make_chain=MisnamingChain),
    "equivocator": _equivocating,
    "stale-peer": lambda key: _visiting(send_old_messages),
    "wrong-network": lambda key: _visiting(send_foreign_messages),
    "dust-validators": _spending(bond_dust),
    "task-spammer": _spending(spam_tasks),
    "difficulty-mover": _spending(move_difficulty),
    "slow-model": _spending(open_slow_task),
    "pool-filler": _spending(fill_pools),
}
"""These kinds compute and claim honestly, and are dishonest in another component."""

KINDS: tuple[str, ...] = (*MINING_STRATEGIES, *_OTHER_KINDS)
"""The names of all kinds; those with a mining strategy come first."""


def dishonest_components(kind: str, key: KeyPair) -> NodeComponents:
    """Choose the components of one kind of dishonest node.

    Args:
        kind: One of `KINDS`.
        key: The miner's key, with which an equivocator signs its second votes.

    Returns:
        Components for `run_node`, honest but for one.

    Raises:
        KeyError: There is no such kind.
    """
    if kind in MINING_STRATEGIES:
        return NodeComponents(make_miner=partial(DishonestMiner, MINING_STRATEGIES[kind]))
    return _OTHER_KINDS[kind](key)
