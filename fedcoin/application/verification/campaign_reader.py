"""Find what belongs to one campaign in blocks, and sum it up.

The writer of a campaign's file and its checker read blocks with the same code, so that both compute
the fields that people read from the blocks' bytes in one way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fedcoin.contract.views import message_to_json, transaction_view
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.merkle import leaf_hash
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.messages.transactions import (
    Transaction,
    action_name,
    decode_stored_transaction,
)
from fedcoin.data.messages.updates import decode_update
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_pb2 import (
    PAYMENT_KIND_AGGREGATION,
    PAYMENT_KIND_MINING,
    PAYMENT_KIND_MINING_BURNED,
    PAYMENT_KIND_REFUND,
    PAYMENT_KIND_TRAINING,
    PAYMENT_KIND_TRAINING_BURNED,
    BlockHeader,
    PaymentReceipt,
    Settlement,
    TaskPhase,
    TaskReceipt,
)
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL

_FROM_THE_BUDGET: Final = frozenset(
    {
        PAYMENT_KIND_TRAINING,
        PAYMENT_KIND_AGGREGATION,
        PAYMENT_KIND_MINING,
        PAYMENT_KIND_REFUND,
        PAYMENT_KIND_MINING_BURNED,
        PAYMENT_KIND_TRAINING_BURNED,
    }
)
"""The payments that come out of a campaign's budget; others return or burn deposits."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A transaction or receipt of a block; of one that is left out only the hash is known."""

    hash: bytes
    """Its leaf hash in the block's Merkle tree, 32 bytes."""
    raw: bytes | None = None
    """Its serialised form; None when it is left out."""

    @classmethod
    def of(cls, raw: bytes) -> Leaf:
        """Make the leaf of known content.

        Args:
            raw: The serialised transaction or receipt.

        Returns:
            The leaf.
        """
        return cls(leaf_hash(raw), raw)


class CampaignReader:
    """Reads blocks in ascending order and keeps what belongs to one campaign.

    Args:
        campaign_id: The campaign's id, 32 bytes: the hash of the transaction that opened it.
        genesis: The network's genesis.
    """

    def __init__(self, campaign_id: bytes, genesis: Genesis) -> None:
        self._id = campaign_id
        self._genesis = genesis
        self._hashes: set[bytes] = set()
        self._tasks: dict[bytes, dict[str, Any]] = {}
        self._terms: dict[str, Any] = {}
        self._paid = 0

    @property
    def has_terms(self) -> bool:
        """Whether the transaction that opened the campaign was read."""
        return bool(self._terms)

    def read(
        self,
        raw: bytes,
        header: BlockHeader,
        certificate: bytes,
        transactions: Sequence[Leaf],
        receipts: Sequence[Leaf],
    ) -> dict[str, Any] | None:
        """Read one block, which the chain must hold: its content is not checked here.

        Args:
            raw: The serialised header.
            header: The same header, decoded.
            certificate: The serialised certificate of the block.
            transactions: All its transactions, in order.
            receipts: All its receipts, in order.

        Returns:
            The block as a campaign's file holds it; None when nothing in it is of the campaign.

        Raises:
            RefusalError: MALFORMED when a receipt or a signed update cannot be read; BAD_PROOF when
                a payment is for a task, an update or a commitment that was left out.
        """
        sent = [self._transaction(leaf, header) for leaf in transactions]
        done = [self._receipt(leaf, header) for leaf in receipts]
        settled = header.HasField("settlement") and header.settlement.task_id in self._tasks
        if not settled and all("leaf" in item for item in (*sent, *done)):
            return None
        if settled:
            self._settle(header.settlement)
        return {
            "height": header.height,
            "time_ms": header.time_ms,
            "hash": sha256(raw).hex(),
            "settlement": message_to_json(header.settlement) if settled else None,
            "transactions": sent,
            "receipts": done,
            "header": raw.hex(),
            "certificate": certificate.hex(),
        }

    def summary(self) -> dict[str, Any]:
        """Sum up the blocks that were read.

        Returns:
            Who opened the campaign and coordinates it, how much of the budget was paid, in sap, and
            each task with its updates, their values in nano-utility and what they earned, in sap.
        """
        budget = self._terms["budget"]
        tasks = [
            {
                **task,
                "updates": list(task["updates"].values()),
                "miners": list(task["miners"].values()),
            }
            for task in self._tasks.values()
        ]
        sums = {"paid": self._paid, "not_paid": budget - self._paid}
        return {**self._terms, **sums, "tasks": tasks}

    def _transaction(self, leaf: Leaf, header: BlockHeader) -> dict[str, Any]:
        if leaf.raw is None:
            return {"leaf": leaf.hash.hex()}
        found = decode_stored_transaction(leaf.raw)
        if not self._belongs(found):
            return {"leaf": leaf.hash.hex()}
        self._hashes.add(found.hash)
        self._note(found, header)
        view = transaction_view(found, TRANSACTION_STATUS_FINAL)
        return {
            "hash": view.hash,
            "sender": view.sender,
            "fee": view.fee,
            "action": view.action,
            "details": json.loads(view.details_json),
            "raw": leaf.raw.hex(),
        }

    def _belongs(self, found: Transaction) -> bool:
        if found.hash == self._id:
            return True
        action = getattr(found.body, action_name(found.body))
        if found.body.HasField("register_receipt"):
            return decode_update(action.update, self._genesis.hash).campaign_id == self._id
        of_campaign = getattr(action, "campaign_id", b"") == self._id
        return of_campaign or getattr(action, "task_id", b"") in self._tasks

    def _note(self, found: Transaction, header: BlockHeader) -> None:
        body, sender = found.body, format_address(found.sender)
        if body.HasField("open_campaign"):
            self._terms = {
                "requester": sender,
                "server": format_address(body.open_campaign.server),
                "rounds": body.open_campaign.rounds,
                "budget": body.open_campaign.budget,
            }
        elif body.HasField("open_task"):
            self._tasks[found.hash] = self._opened(found.hash, sender, body.open_task, header)
        elif body.HasField("commit_shapley"):
            miners = self._tasks[body.commit_shapley.task_id]["miners"]
            miners.setdefault(sender, {"address": sender, "revealed": False, "paid": 0})
        elif body.HasField("reveal_shapley"):
            # A miner first opens its commitment, with no leaves, and later reveals some.
            miners = self._tasks[body.reveal_shapley.task_id]["miners"]
            if sender in miners and body.reveal_shapley.evidence.leaves:
                miners[sender]["revealed"] = True

    def _opened(
        self, task_id: bytes, opener: str, terms: OpenTask, header: BlockHeader
    ) -> dict[str, Any]:
        updates = {}
        for envelope in terms.updates:
            update = decode_update(envelope, self._genesis.hash)
            updates[update.address] = {
                "address": format_address(update.address),
                "update": update.update.hex(),
                "examples": update.num_samples,
                "value_nano": 0,
                "paid": 0,
            }
        return {
            "task_id": task_id.hex(),
            "round": terms.round,
            "opener": opener,
            "opened_height": header.height,
            "phase": "commit",
            "attempt": 0,
            "last_height": header.height,
            "base": terms.base.hex(),
            "aggregate": terms.aggregate.hex(),
            "evaluation": terms.evaluation.artifact.hex(),
            "winner": "",
            "updates": updates,
            "miners": {},
        }

    def _receipt(self, leaf: Leaf, header: BlockHeader) -> dict[str, Any]:
        hidden = {"leaf": leaf.hash.hex()}
        if leaf.raw is None:
            return hidden
        receipt = decode_receipt(leaf.raw)
        if receipt.HasField("payment"):
            if receipt.payment.campaign_id != self._id:
                return hidden
            self._pay(receipt.payment)
        elif receipt.HasField("task"):
            if receipt.task.task_id not in self._tasks:
                return hidden
            self._enter(receipt.task, header)
        elif receipt.transaction.hash not in self._hashes:
            return hidden
        kind = str(receipt.WhichOneof("kind"))
        return {kind: message_to_json(getattr(receipt, kind)), "raw": leaf.raw.hex()}

    def _pay(self, payment: PaymentReceipt) -> None:
        if payment.kind in _FROM_THE_BUDGET:
            self._paid += payment.amount
        if not payment.task_id:
            return
        # Else a file could hide who was paid, and for what, behind sums that are whole.
        address = format_address(payment.address) if payment.address else ""
        task = self._tasks.get(payment.task_id)
        if task is None:
            raise _left_out("task " + payment.task_id.hex(), payment)
        if payment.kind == PAYMENT_KIND_TRAINING:
            if payment.address not in task["updates"]:
                raise _left_out(f"the update of {address}", payment)
            task["updates"][payment.address]["paid"] += payment.amount
        elif payment.kind == PAYMENT_KIND_MINING:
            if address not in task["miners"]:
                raise _left_out(f"the commitment of {address}", payment)
            task["miners"][address]["paid"] += payment.amount

    def _enter(self, entered: TaskReceipt, header: BlockHeader) -> None:
        name = TaskPhase.Name(entered.phase).removeprefix("TASK_PHASE_").lower()
        self._tasks[entered.task_id].update(
            phase=name, attempt=entered.attempt, last_height=header.height
        )

    def _settle(self, settlement: Settlement) -> None:
        task = self._tasks[settlement.task_id]
        task["winner"] = format_address(settlement.winner) if settlement.winner else ""
        pairs = zip(task["updates"].values(), settlement.mean_shapley_nano, strict=False)
        for update, value in pairs:
            update["value_nano"] = value


def _left_out(what: str, payment: PaymentReceipt) -> RefusalError:
    return RefusalError(
        NetworkCode.BAD_PROOF,
        f"{payment.amount} sap are paid for {what}, which the file leaves out: ask for a whole file"
        " (`fedcoin-node campaign export`)",
        field="receipts",
    )
