"""Nodes with real chains, mempools and consensus drivers on one event loop, joined in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.consensus_driver import ConsensusDriver
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.node.vote_signer import VoteSigner
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.mempool import Mempool
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis, parse_genesis
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.messages.votes import Proposal, Vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput

CHAIN_ID = "in-memory"
FUNDS = 10**12
MINERS = tuple(KeyPair.from_seed(bytes([i]) * 32) for i in range(1, 5))
ALICE = KeyPair.from_seed(b"a" * 32)
BOB = KeyPair.from_seed(b"b" * 32)


class NoAudit:
    """These tests move coins alone: there is nothing to recompute."""

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        pass

    async def check_transaction(self, transaction: Transaction) -> None:
        pass


@dataclass
class InMemoryWire:
    """Delivers what one node says to all others, unless ``drops`` says no."""

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
        """What peers tell each other on connecting, and now and then: what the other may lack."""
        for sender in self.members:
            height = sender.agreement.status().height
            for message in sender.agreement.messages_for(height):
                self.send(sender, message)

    def relay(self, sender: InMemoryNode, transaction: Transaction) -> None:
        for member in self.members:
            if member is not sender and not self.drops(sender, member):
                member.pool.add_relayed(member.pool.decode(transaction.raw))


class WireEnd:
    """One member's end of the wire (fedcoin.network.ports.Outlet)."""

    def __init__(self, wire: InMemoryWire) -> None:
        self.wire = wire
        self.member: InMemoryNode | None = None

    def broadcast(self, message: Proposal | Vote) -> None:
        assert self.member is not None
        self.wire.send(self.member, message)

    def status_changed(self) -> None:
        pass

    def announce(self, height: int, block_hash: bytes) -> None:
        pass

    def relay(self, transaction: Transaction) -> None:
        assert self.member is not None
        self.wire.relay(self.member, transaction)

    async def ensure_artifacts(self, ids: object, timeout_s: float, preferred: object = ()) -> bool:
        return True


class InMemoryNode:
    """One node, but for its network."""

    def __init__(
        self, wire: InMemoryWire, genesis: Genesis, path: Path, key: KeyPair | None
    ) -> None:
        self.owner = BackgroundTasks("member")
        self.store = ChainStore.open(path, genesis)
        self.store.initialise(genesis_changes(genesis))
        self.chain = Chain(self.store, Ledger(self.store, genesis), unix_ms)
        audit = NoAudit()
        self.pool = TransactionIntake(Mempool(), self.chain, audit, self.owner, unix_ms)
        outlet = WireEnd(wire)
        outlet.member = self
        word = VoteSigner(key, self.store, genesis) if key else None
        self.agreement = ConsensusDriver(self.chain, self.pool, audit, word, self.owner, unix_ms)
        self.outlet = outlet
        self.pool.on_admitted(outlet.relay)
        wire.members.append(self)
        self.wire = wire

    def start(self) -> None:
        self.agreement.start(self.outlet)

    async def stop(self) -> None:
        self.wire.members.remove(self)
        self.agreement.stop()
        await self.owner.stop()
        self.store.close()


def make_genesis(**parameters: int) -> Genesis:
    rules = {"propose_timeout_ms": 300, "vote_timeout_ms": 100, **parameters}
    return parse_genesis(
        write_genesis(
            CHAIN_ID,
            unix_ms() - 1000,
            balances={ALICE.address: FUNDS, **{m.address: FUNDS for m in MINERS}},
            bonds={m.public_key: 10**9 for m in MINERS},
            parameters=rules,
        )
    )


def make_nodes(folder: Path, genesis: Genesis, wire: InMemoryWire) -> list[InMemoryNode]:
    return [
        InMemoryNode(wire, genesis, folder / f"{i}.sqlite", key) for i, key in enumerate(MINERS)
    ]


def transfer(nonce: int, amount: int = 1000) -> Transaction:
    body = TransactionBody(
        chain_id=CHAIN_ID,
        nonce=nonce,
        fee=10_000,
        expiry_height=500,
        transfer=Transfer(outputs=[TransferOutput(recipient=BOB.address, amount=amount)]),
    )
    return sign_transaction(body, ALICE)


async def reach(members: list[InMemoryNode], height: int, timeout: float = 20.0) -> None:
    waits = (member.chain.wait_above(height - 1) for member in members)
    await asyncio.wait_for(asyncio.gather(*waits), timeout)
