"""Nodes with real chains, mempools and consensus drivers on one event loop, joined in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fedcoin.application.node.chain import Chain
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import Proposal, Vote
from fedcoin.data.storage.chain_store import ChainStore
from tests.support.keys import MINERS
from tests.support.node_core import NoAudit, NodeCore


@dataclass
class InMemoryWire:
    """Delivers each node's messages to all others, except where `drops` is true."""

    members: list[InMemoryNode] = field(default_factory=list)
    drops: Callable[[InMemoryNode, InMemoryNode], bool] = lambda sender, receiver: False

    def send(self, sender: InMemoryNode, message: Proposal | Vote) -> None:
        for member in self.members:
            if member is not sender and not self.drops(sender, member):
                member.owner.start(self._deliver(sender, member, message))

    async def _deliver(
        self, sender: InMemoryNode, receiver: InMemoryNode, message: Proposal | Vote
    ) -> None:
        if isinstance(message, Proposal):
            await receiver.agreement.receive_proposal(message, b"")
        else:
            await receiver.agreement.receive_vote(message, b"")

    def repeat(self) -> None:
        """Send each node's messages of its height to all others, as peers do when they connect."""
        for sender in self.members:
            height = sender.agreement.status().height
            for message in sender.agreement.messages_for(height):
                self.send(sender, message)

    def relay(self, sender: InMemoryNode, transaction: Transaction) -> None:
        for member in self.members:
            if member is not sender and not self.drops(sender, member):
                member.pool.add_relayed(member.pool.decode(transaction.raw))


class WireEnd:
    """One node's connection to the wire, in place of its network."""

    def __init__(self, wire: InMemoryWire) -> None:
        self.wire = wire
        self.member: InMemoryNode | None = None

    def broadcast(self, message: Proposal | Vote) -> None:
        assert self.member is not None
        self.wire.send(self.member, message)

    def status_changed(self) -> None:
        pass

    def relay(self, transaction: Transaction) -> None:
        assert self.member is not None
        self.wire.relay(self.member, transaction)


class InMemoryNode(NodeCore):
    """A node whose network is an in-memory wire."""

    def __init__(
        self,
        wire: InMemoryWire,
        genesis: Genesis,
        path: Path,
        key: KeyPair | None,
        make_chain: Callable[[ChainStore, Ledger, Clock], Chain] = Chain,
        clock: Clock = unix_ms,
        audit: NoAudit | None = None,
    ) -> None:
        super().__init__(path, genesis, key, make_chain, clock, audit)
        outlet = WireEnd(wire)
        outlet.member = self
        self.outlet = outlet
        self.pool.on_admitted(outlet.relay)
        wire.members.append(self)
        self.wire = wire

    def start(self) -> None:
        self.agreement.start(self.outlet)

    async def stop(self) -> None:
        self.wire.members.remove(self)
        await super().stop()


def make_nodes(folder: Path, genesis: Genesis, wire: InMemoryWire) -> list[InMemoryNode]:
    return [
        InMemoryNode(wire, genesis, folder / f"{i}.sqlite", key) for i, key in enumerate(MINERS)
    ]


async def reach(members: list[InMemoryNode], height: int, timeout: float = 20.0) -> None:
    waits = (member.chain.wait_above(height - 1) for member in members)
    await asyncio.wait_for(asyncio.gather(*waits), timeout)
