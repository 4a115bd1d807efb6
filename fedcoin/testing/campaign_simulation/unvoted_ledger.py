"""A ledger whose blocks are executed without voting, for plays that need thousands of tasks."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from fedcoin.contract.admission import min_fee
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.testing.campaign_simulation.campaign_setting import GENESIS_MS
from fedcoin.testing.consensus_simulation.block_application import CHAIN_ID
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenCampaign, OpenTask
from fedcoin.v1.transaction_pb2 import (
    Bond,
    CommitShapley,
    RevealShapley,
    TransactionBody,
)

_FIELDS: dict[type[Message], str] = {
    Bond: "bond",
    OpenCampaign: "open_campaign",
    OpenTask: "open_task",
    CommitShapley: "commit_shapley",
    RevealShapley: "reveal_shapley",
}
_EXPIRY_BLOCKS = 100

SignedAction = tuple[KeyPair, Message]
"""The key that signs an action, and the action."""


class UnvotedLedger:
    """The product's ledger, to which blocks are added as if all validators agreed on them."""

    def __init__(self, genesis: Genesis, proposers: Iterable[bytes]) -> None:
        """Start at the genesis.

        Args:
            genesis: The network's genesis.
            proposers: The addresses (20 bytes) that propose the blocks in turn.
        """
        self.genesis = genesis
        self.state = MemoryState()
        self.state.apply(genesis_changes(genesis))
        self.ledger = Ledger(self.state, genesis)
        self.height = 0
        self.time_ms = GENESIS_MS
        self._proposers = tuple(proposers)

    def produce(self, *actions: SignedAction, after_ms: int = 10) -> list[PaymentReceipt]:
        """Sign actions of different senders, and execute a block with them.

        Args:
            *actions: Signers and actions.
            after_ms: The time since the block before, in ms.

        Returns:
            The block's payments.

        Raises:
            RefusalError: The code of the ledger's rule that an action breaks.
        """
        transactions = [self._sign(signer, action) for signer, action in actions]
        self.height += 1
        self.time_ms += after_ms
        proposer = self._proposers[self.height % len(self._proposers)]
        context = BlockContext(self.height, self.time_ms, proposer, last_certificate=b"")
        execution = self.ledger.execute(context, transactions)
        self.state.apply(execution.changes)
        self.ledger.adopt(execution)
        receipts = map(decode_receipt, execution.receipts)
        return [receipt.payment for receipt in receipts if receipt.HasField("payment")]

    def open_task(self) -> tuple[bytes, TaskState] | None:
        """Read the oldest open task: its id (32 bytes) and its record; None if there is none."""
        return next(open_tasks(self.state), None)

    def read_task(self, task_id: bytes) -> TaskState:
        """Read a task's record.

        Args:
            task_id: The task's id, 32 bytes.

        Returns:
            A copy of the record.
        """
        task = records.TASKS.get(self.state, task_id)
        assert task is not None, "an unknown task"
        return task

    def _sign(self, signer: KeyPair, action: Message) -> Transaction:
        body = TransactionBody(
            chain_id=CHAIN_ID,
            nonce=self.ledger.account(signer.address).nonce,
            expiry_height=self.height + _EXPIRY_BLOCKS,
        )
        getattr(body, _FIELDS[type(action)]).CopyFrom(action)
        # Ten bytes more than the body has without its fee: enough for the fee's own field.
        body.fee = min_fee(self.genesis.parameters, body.ByteSize() + 10)
        return sign_transaction(body, signer, self.genesis.hash)
