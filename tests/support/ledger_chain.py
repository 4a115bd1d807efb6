"""A chain for tests: real keys, signatures, blocks and certificates, in memory or in a store.

`LedgerChain` produces blocks the way a network of honest validators would, and checks each by the
block rules before it takes it; `ledger_campaign.LedgerCampaign` plays campaigns on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from fedcoin.consensus.certificates import make_certificate
from fedcoin.contract.admission import min_fee
from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import check_block, make_header
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.contract.state.state_tree import StateTree
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, build_block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import BlockHeader, PaymentReceipt
from fedcoin.v1.state_pb2 import CampaignState, MinerState, TaskState
from fedcoin.v1.task_pb2 import OpenCampaign, OpenTask
from fedcoin.v1.transaction_pb2 import (
    Bond,
    CloseCampaign,
    CommitShapley,
    DeclineTask,
    RegisterReceipt,
    ReportEquivocation,
    RevealShapley,
    SetClients,
    SetReaders,
    TransactionBody,
    Transfer,
    Unbond,
)
from tests.support.genesis import CHAIN_ID, FDC, GENESIS_MS, make_genesis
from tests.support.keys import key_of

FIELDS: dict[type[Message], str] = {
    Transfer: "transfer",
    Bond: "bond",
    Unbond: "unbond",
    OpenCampaign: "open_campaign",
    OpenTask: "open_task",
    CloseCampaign: "close_campaign",
    SetClients: "set_clients",
    SetReaders: "set_readers",
    RegisterReceipt: "register_receipt",
    CommitShapley: "commit_shapley",
    DeclineTask: "decline_task",
    RevealShapley: "reveal_shapley",
    ReportEquivocation: "report_equivocation",
}


_PENALTIES = (
    block_pb2.PAYMENT_KIND_DEPOSIT_BURNED,
    block_pb2.PAYMENT_KIND_BOND_BURNED,
    block_pb2.PAYMENT_KIND_MINING_BURNED,
)


class LedgerChain:
    """A chain of final blocks, and the keys of all its validators."""

    def __init__(
        self, genesis: Genesis, keys: Iterable[KeyPair], store: ChainStore | None = None
    ) -> None:
        self.genesis = genesis
        self.keys = {k.address: k for k in keys}
        self.store = store
        self.folder: Path | None = None
        self.memory = MemoryState()
        if store is None:
            self.memory.apply(genesis_changes(genesis))
        else:
            store.initialise(genesis_changes(genesis))
        self.state = self.memory if store is None else store
        self.ledger = Ledger(self.state, genesis)
        self.blocks: list[Block] = []
        self.certificates: list[bytes] = []
        self.executions: list[Execution] = []

    @classmethod
    def create(
        cls,
        validators: int = 4,
        *,
        bonds: Sequence[int] | None = None,
        users: Sequence[str] = ("alice", "bob"),
        balance: int = 1_000 * FDC,
        folder: Path | None = None,
        **parameters: Any,
    ) -> LedgerChain:
        """Create a chain with validators `miner 0`, `miner 1`, ... and users, who all have coins.

        With `folder`, blocks and state are kept in a real store.
        """
        miners = [key_of(f"miner {i}") for i in range(validators)]
        bonded = dict(zip(miners, bonds or [10 * FDC] * validators, strict=True))
        everyone = [*miners, *(key_of(name) for name in users)]
        genesis = make_genesis(bonded, dict.fromkeys(everyone, balance), **parameters)
        store = None if folder is None else ChainStore.open(folder / "chain.sqlite", genesis)
        chain = cls(genesis, miners, store)
        chain.folder = folder
        return chain

    @property
    def height(self) -> int:
        """Return the latest block's height."""
        return len(self.blocks)

    @property
    def header(self) -> BlockHeader | None:
        """Return the latest block's header; None before the first block."""
        return self.blocks[-1].header if self.blocks else None

    @property
    def hash(self) -> bytes:
        """Return the latest block's hash."""
        return self.blocks[-1].hash if self.blocks else self.genesis.hash

    @property
    def time_ms(self) -> int:
        """Return the latest block's time in Unix ms."""
        return self.blocks[-1].header.time_ms if self.blocks else GENESIS_MS

    @property
    def miners(self) -> list[KeyPair]:
        """Return the present validators' keys by address."""
        return [self.keys[v.address] for v in self.ledger.validators()]

    def balance(self, owner: KeyPair | bytes) -> int:
        """Return an account's balance in sap."""
        address = owner if isinstance(owner, bytes) else owner.address
        return self.ledger.account(address).balance

    def sign(
        self,
        signer: KeyPair,
        action: Message,
        *,
        ahead: int = 0,
        nonce: int | None = None,
        fee: int | None = None,
        expiry: int | None = None,
        chain_id: str = CHAIN_ID,
        genesis_hash: bytes | None = None,
    ) -> Transaction:
        """Sign a transaction for the next block; `ahead` counts the sender's earlier ones in it."""
        due = self.ledger.account(signer.address).nonce + ahead
        body = TransactionBody(
            chain_id=chain_id,
            nonce=due if nonce is None else nonce,
            expiry_height=self.height + 100 if expiry is None else expiry,
        )
        getattr(body, FIELDS[type(action)]).CopyFrom(action)
        # The fee is part of the bytes that it pays for; it takes ten bytes at most.
        body.fee = min_fee(self.genesis.parameters, body.ByteSize() + 10) if fee is None else fee
        return sign_transaction(body, signer, genesis_hash or self.genesis.hash)

    def context(self, *, after_ms: int = 10, round: int = 0) -> BlockContext:
        """Return the context in which the next block is executed."""
        return BlockContext(
            height=self.height + 1,
            time_ms=self.time_ms + after_ms,
            proposer=self.ledger.proposer(round).address,
            last_certificate=self.certificates[-1] if self.certificates else b"",
            round=round,
        )

    def draft(
        self, *transactions: Transaction, after_ms: int = 10, round: int = 0, **header: Any
    ) -> Block:
        """Build the next block with these transactions, and with changed header fields."""
        context = self.context(after_ms=after_ms, round=round)
        execution = self.ledger.execute(context, transactions)
        filled = make_header(context, self.hash, self.genesis, execution)
        for name, value in header.items():
            if isinstance(value, Message):
                getattr(filled, name).CopyFrom(value)
            else:
                setattr(filled, name, value)
        raws = [transaction.raw for transaction in transactions]
        return build_block(filled, context.last_certificate, raws)

    def certify(self, block: Block, *, round: int = 0, signers: int | None = None) -> bytes:
        """Make a certificate by all validators, or by the first `signers` of them."""
        votes = [
            sign_vote(PRECOMMIT, block.height, round, block.hash, k, self.genesis.hash)
            for k in self.miners[:signers]
        ]
        return make_certificate(votes)

    def check(self, block: Block, *, round: int = 0, **options: Any) -> Execution:
        """Check a block by the block rules."""
        raw = decode_block(block.raw, self.genesis.parameters.max_block_bytes)
        return check_block(raw, self.header, self.genesis, self.ledger, round=round, **options)

    def add(self, block: Block, certificate: bytes, *, round: int = 0) -> Execution:
        """Check a block and append it."""
        execution = self.check(block, round=round)
        if self.store is None:
            self.memory.apply(execution.changes)
        else:
            self.store.append(block, certificate, execution.receipts, execution.changes)
        self.ledger.adopt(execution)
        self.blocks.append(block)
        self.certificates.append(certificate)
        self.executions.append(execution)
        assert self.ledger.total_supply() == self.genesis.supply
        return execution

    def produce(
        self,
        *transactions: Transaction,
        after_ms: int = 10,
        round: int = 0,
        signers: int | None = None,
    ) -> Execution:
        """Make the next block final.

        Raises the refusal of the first transaction that breaks a rule.
        """
        block = self.draft(*transactions, after_ms=after_ms, round=round)
        return self.add(block, self.certify(block, round=round, signers=signers), round=round)

    def refuses(
        self,
        code: Enum,
        transaction: Transaction,
        *,
        field: str | None = None,
        after_ms: int = 10,
        before: Sequence[Transaction] = (),
    ) -> None:
        """Check that pool and block rules refuse the transaction with this code."""
        context = self.context(after_ms=after_ms)
        with refused(code, None if field is None else f"transactions[{len(before)}].{field}"):
            self.ledger.execute(context, [*before, transaction])
        found = self.ledger.check_all([*before, transaction], self.height, context.time_ms)[-1]
        assert found is not None
        assert found.code is code
        built = self.ledger.build(context, [*before, transaction], 1 << 21)
        assert built.transactions == tuple(before)
        assert [refusal.code for _, refusal in built.refused] == [code]
        empty = self.ledger.execute(context, before)
        assert built.execution.app_hash == empty.app_hash
        assert self.ledger.app_hash == StateTree.load(self.state.scan(b"")).root

    def payments(self, height: int | None = None) -> list[PaymentReceipt]:
        """Return the payments of a block, by default of the latest one."""
        execution = self.executions[-1 if height is None else height - 1]
        receipts = [decode_receipt(raw) for raw in execution.receipts]
        return [receipt.payment for receipt in receipts if receipt.HasField("payment")]

    @property
    def penalties(self) -> int:
        """Return the coins that were burned to punish somebody, in sap: without burned fees."""
        heights = range(1, self.height + 1)
        payments = (payment for height in heights for payment in self.payments(height))
        return sum(payment.amount for payment in payments if payment.kind in _PENALTIES)

    def task(self, task_id: bytes) -> TaskState:
        """Return a task's record."""
        task = records.TASKS.get(self.state, task_id)
        assert task is not None
        return task

    def miner(self, task_id: bytes, miner: KeyPair) -> MinerState | None:
        """Return a miner's record."""
        return records.MINERS.get(self.state, task_id, miner.address)

    def campaign(self, campaign_id: bytes) -> CampaignState:
        """Return a campaign's record."""
        campaign = records.CAMPAIGNS.get(self.state, campaign_id)
        assert campaign is not None
        return campaign


@contextmanager
def refused(code: Enum, field: str | None = None) -> Iterator[pytest.ExceptionInfo[RefusalError]]:
    """Expect a refusal with this code, and with this field if one is given."""
    with pytest.raises(RefusalError) as caught:
        yield caught
    refusal = caught.value
    assert refusal.code is code, f"{refusal.code}: {refusal}"
    assert refusal.message
    assert refusal.field
    if field is not None:
        assert refusal.field == field
