"""Voters, importers and late nodes judge a block by one rule, independently of its proposer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedcoin.application.node.chain import Chain
from fedcoin.application.verification.replay import replay
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.clock import unix_ms
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.testing.dishonest.block_builders import MisnamingChain
from tests.conftest import ReportAttack
from tests.support.in_memory_nodes import InMemoryNode, InMemoryWire, reach
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.transfers import sign_transfer

HEIGHTS = 5


def nodes_with_a_misnaming_proposer(
    folder: Path, genesis: Genesis, wire: InMemoryWire
) -> list[InMemoryNode]:
    """Four validators, the first proposer among them dishonest, and an observer at the end."""
    first = Ledger(ChainStoreOf(folder / "first.sqlite", genesis).store, genesis).proposer(0)
    members = []
    for i, key in enumerate((*MINERS, None)):
        is_dishonest = key is not None and key.address == first.address
        chain = MisnamingChain if is_dishonest else Chain
        members.append(InMemoryNode(wire, genesis, folder / f"{i}.sqlite", key, chain))
    return members


class ChainStoreOf:
    """A store that holds the state of genesis alone."""

    def __init__(self, path: Path, genesis: Genesis) -> None:
        self.store = ChainStore.open(path, genesis)
        self.store.initialise(genesis_changes(genesis))


@contextmanager
def late_chain(path: Path, genesis: Genesis) -> Iterator[Chain]:
    """The chain of a node that starts when all others have their blocks."""
    store = ChainStoreOf(path, genesis).store
    yield Chain(store, Ledger(store, genesis), unix_ms)
    store.close()


@pytest.mark.attack
async def test_a_proposer_that_names_another_does_not_split_the_network(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """Voters, an observer, a node that imports every block, and a replay go the same way."""
    genesis = make_network_genesis()
    members = nodes_with_a_misnaming_proposer(tmp_path, genesis, InMemoryWire())
    for member in members:
        member.start()
    for nonce in range(HEIGHTS):
        for member in members:
            await member.pool.submit(sign_transfer(nonce, genesis_hash=genesis.hash))
        await reach(members, nonce + 1)
    voter = members[1]
    with late_chain(tmp_path / "late.sqlite", genesis) as late:
        for height in range(1, voter.chain.height() + 1):
            stored = voter.chain.block(height)
            assert stored is not None
            await late.import_block(decode_block(stored.raw), stored.certificate)
        assert late.height() == voter.chain.height()
        assert late.ledger.app_hash == voter.chain.ledger.app_hash
    assert replay(voter.store, genesis, lambda height: None).height >= HEIGHTS
    for member in members:
        await member.stop()
    report_attack(
        "a proposer names another validator in its block (`misnaming-proposer`)",
        "a block that voters make final and all other nodes refuse for ever",
        "no vote; its turn is lost",
    )
