"""The parts of a node between its key and its network: chain, mempool and consensus driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fedcoin.application.node.chain import Chain
from fedcoin.application.node.consensus_driver import ConsensusDriver
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.background_tasks import BackgroundTasks
from tests.support.genesis import CHAIN_ID, make_genesis
from tests.support.keys import ALICE, MINERS

FUNDS = 10**12
"""The genesis balance of Alice and of each miner, in sap."""


class NoAudit:
    """An auditor for tests without tasks: there is nothing to evaluate again."""

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Accept any block."""

    async def check_transaction(self, transaction: Transaction) -> None:
        """Accept any transaction."""


class NodeCore:
    """A store, and the chain, mempool and consensus driver on it."""

    def __init__(
        self,
        database: Path,
        genesis: Genesis,
        validator: KeyPair | None,
        make_chain: Callable[[ChainStore, Ledger, Clock], Chain] = Chain,
        clock: Clock = unix_ms,
        audit: NoAudit | None = None,
    ) -> None:
        """Open or create `database`; without a `validator` key, follow and do not vote."""
        self.owner = BackgroundTasks("node")
        self.store = ChainStore.open(database, genesis)
        self.store.initialise(genesis_changes(genesis))
        self.chain = make_chain(self.store, Ledger(self.store, genesis), clock)
        audit = audit or NoAudit()
        self.mempool = Mempool()
        self.pool = TransactionIntake(self.mempool, self.chain, audit, self.owner, clock)
        signer = VoteSigner(validator, self.store, genesis) if validator else None
        self.agreement = ConsensusDriver(self.chain, self.pool, audit, signer, self.owner, clock)

    async def stop(self) -> None:
        """Stop consensus and all tasks, and close the store."""
        self.agreement.stop()
        await self.owner.stop()
        self.store.close()


def make_network_genesis(
    chain_id: str = CHAIN_ID, time_ms: int | None = None, **parameters: int
) -> Genesis:
    """Make the genesis of a network of the four miners, created now, with short timeouts."""
    rules = {"propose_timeout_ms": 300, "vote_timeout_ms": 100, **parameters}
    return make_genesis(
        dict.fromkeys(MINERS, 10**9),
        dict.fromkeys((ALICE, *MINERS), FUNDS),
        chain_id=chain_id,
        time_ms=unix_ms() - 1000 if time_ms is None else time_ms,
        **rules,
    )
