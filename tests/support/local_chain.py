"""A chain without a network: a real store, ledger and mempool, and all validators' keys.

The clock is part of it, and moves only when a test moves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from fedcoin.application.node.chain import Chain
from fedcoin.application.node.transaction_intake import TransactionAudit, TransactionIntake
from fedcoin.application.wallet.transaction_drafts import action_field
from fedcoin.consensus.certificates import make_certificate
from fedcoin.contract.admission import min_fee
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.state import records
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.v1.state_pb2 import MinerState, TaskState
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.genesis import FDC, GENESIS_MS, make_genesis
from tests.support.keys import ALICE, BOB, key_of


class LocalChain:
    """A node's chain whose blocks are made by `produce`."""

    def __init__(
        self,
        folder: Path,
        miners: int = 3,
        open_store: Callable[[Path, Genesis], ChainStore] = ChainStore.open,
        **parameters: Any,
    ) -> None:
        self.miners = [key_of(f"miner {number}") for number in range(miners)]
        accounts = (*self.miners, ALICE, BOB)
        genesis = make_genesis(
            dict.fromkeys(self.miners, 10 * FDC), dict.fromkeys(accounts, 1000 * FDC), **parameters
        )
        self.store = open_store(folder / "chain.sqlite", genesis)
        self.store.initialise(genesis_changes(genesis))
        self.now_ms = GENESIS_MS
        self.chain = Chain(self.store, Ledger(self.store, genesis), self.clock)
        self.owner = BackgroundTasks("test")
        self.pool: TransactionIntake
        self.busy: Callable[[], bool] = lambda: False
        """Tells whether a computation is running that may lead to a transaction."""

    def clock(self) -> int:
        return self.now_ms

    def with_pool(self, audit: TransactionAudit) -> TransactionIntake:
        self.pool = TransactionIntake(Mempool(), self.chain, audit, self.owner, self.clock)
        return self.pool

    def sign(self, signer: KeyPair, action: Message, **changes: Any) -> Transaction:
        genesis = self.chain.genesis
        body = TransactionBody(
            chain_id=genesis.chain_id,
            nonce=self.pool.pending_nonce(signer.address),
            expiry_height=self.chain.height() + 100,
        )
        getattr(body, action_field(action)).CopyFrom(action)
        body.fee = min_fee(genesis.parameters, body.ByteSize() + 10)
        for name, value in changes.items():
            setattr(body, name, value)
        return sign_transaction(body, signer, genesis.hash)

    async def submit(self, signer: KeyPair, action: Message) -> Transaction:
        transaction = self.sign(signer, action)
        await self.pool.submit(transaction)
        return transaction

    async def produce(self, *extra: Transaction, after_ms: int = 10) -> None:
        """Make the next block final, with the mempool's candidates."""
        self.now_ms += after_ms
        proposer = self.chain.ledger.proposer(0)
        draft = await self.chain.build(proposer.address, [*self.pool.ready(), *extra])
        assert not draft.refused, [refused.hash.hex() for refused in draft.refused]
        block = draft.block
        votes = [
            sign_vote(PRECOMMIT, block.height, 0, block.hash, k, self.chain.genesis.hash)
            for k in self.miners
        ]
        await self.chain.commit(block, make_certificate(votes), round=0)

    async def run(self, seconds: float = 20.0) -> None:
        """Produce blocks while the mempool or a running computation may need one."""
        idle = 0
        for _ in range(int(seconds / 0.02)):
            if self.pool.ready() or self.chain.ledger.needs_block():
                await self.produce()
                idle = 0
            idle = 0 if self.busy() else idle + 1
            if idle > 25:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the chain never came to rest")

    def task(self, task_id: bytes) -> TaskState:
        task = records.TASKS.get(self.store, task_id)
        assert task is not None
        return task

    def miner(self, task_id: bytes, miner: KeyPair) -> MinerState | None:
        return records.MINERS.get(self.store, task_id, miner.address)

    def miner_states(self, task_id: bytes) -> list[MinerState]:
        """Return the records of the miners that have committed."""
        states = [self.miner(task_id, miner) for miner in self.miners]
        return [state for state in states if state is not None]

    async def close(self) -> None:
        await self.owner.stop()
        self.store.close()
