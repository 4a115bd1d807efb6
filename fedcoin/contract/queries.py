"""Read access for services: views of the latest state and of the stored blocks.

Ids, hashes and addresses are bytes here; services parse the text that callers send. Something that
does not exist is None or an empty list, never an error. Lists have the latest entry first and come
in pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.views import (
    account_view,
    block_view,
    campaign_view,
    format_optional_address,
    payment_view,
    transaction_view,
)
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.merkle import audit_path
from fedcoin.data.messages.transactions import decode_stored_transaction, stored_transaction_hash
from fedcoin.data.storage.block_index import IndexEntry, Location
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.incentive.payout import split_training_price
from fedcoin.v1 import block_pb2, views_pb2
from fedcoin.v1.block_pb2 import Block, BlockHeader, Receipt
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.state_pb2 import BondState, MinerState, TaskState
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask
from fedcoin.v1.views_pb2 import (
    AccountView,
    BlockView,
    CampaignView,
    PaymentView,
    TaskClientView,
    TaskMinerView,
    TaskView,
    TransactionView,
    ValidatorView,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list."""

    items: list[T]
    locations: list[Location]
    """The location of each item."""
    next: Location | None
    """What to pass as `before` to get the next page; None on the last page."""


# Accounts and validators ------------------------------------------------------------------


def get_account(ledger: Ledger, address: bytes) -> AccountView:
    """Read an address: balance, nonce and bond.

    Args:
        ledger: The ledger.
        address: The address, 20 bytes.

    Returns:
        The view; all zero for an address that was never used.
    """
    bond = records.BONDS.get(ledger.reader, address) or BondState()
    return account_view(address, ledger.account(address), bond)


def list_validators(ledger: Ledger, next_height: int) -> list[ValidatorView]:
    """List the validators of the next height.

    Args:
        ledger: The ledger.
        next_height: The height after the latest block.

    Returns:
        The validators, in the order of their addresses.
    """
    members = ledger.validators()
    proposer = ledger.proposer(next_height, 0)
    return [
        ValidatorView(
            address=format_optional_address(member.address),
            public_key=member.public_key.hex(),
            bond=member.power,
            next_proposer=member == proposer,
        )
        for member in members
    ]


# Blocks and transactions ------------------------------------------------------------------


def get_block(store: ChainStore, height: int) -> BlockView | None:
    """Read a block.

    Args:
        store: The node's chain.
        height: The block's height.

    Returns:
        The view, or None when the block is not stored.
    """
    stored = store.block(height)
    if stored is None:
        return None
    message = Block.FromString(stored.raw)
    return block_view(
        sha256(message.header),
        BlockHeader.FromString(message.header),
        [stored_transaction_hash(raw) for raw in message.transactions],
        stored.certificate,
    )


def list_block_payments(store: ChainStore, height: int) -> list[PaymentView]:
    """List the payments that a block made.

    Args:
        store: The node's chain.
        height: The block's height.

    Returns:
        The payments, in the order in which they were made.
    """
    receipts = (Receipt.FromString(raw) for raw in store.receipts(height))
    return [payment_view(r.payment, height) for r in receipts if r.HasField("payment")]


def list_block_tasks(store: ChainStore, state: StateReader, height: int) -> list[TaskView]:
    """List the tasks that entered a phase in a block.

    Args:
        store: The node's chain.
        state: The latest state.
        height: The block's height.

    Returns:
        Each task once, as it is now.
    """
    receipts = (Receipt.FromString(raw) for raw in store.receipts(height))
    ids = dict.fromkeys(r.task.task_id for r in receipts if r.HasField("task"))
    views = (get_task(state, task_id) for task_id in ids)
    return [view for view in views if view is not None]


def get_transaction(store: ChainStore, hash: bytes) -> TransactionView | None:
    """Read a final transaction.

    Args:
        store: The node's chain.
        hash: The transaction's hash, 32 bytes.

    Returns:
        The view, or None when no stored block holds it.
    """
    location = store.index.find_transaction(hash)
    if location is None:
        return None
    return transaction_view(
        decode_stored_transaction(_transaction_at(store, location)),
        views_pb2.TRANSACTION_STATUS_FINAL,
        height=location.height,
        index=location.position,
    )


# Campaigns and tasks ----------------------------------------------------------------------


def get_campaign(state: StateReader, campaign_id: bytes) -> CampaignView | None:
    """Read a campaign.

    Args:
        state: The latest state.
        campaign_id: The campaign's id, 32 bytes.

    Returns:
        The view, or None when there is no such campaign.
    """
    campaign = records.CAMPAIGNS.get(state, campaign_id)
    return None if campaign is None else campaign_view(campaign_id, campaign)


def list_campaigns(
    store: ChainStore, limit: int, before: tuple[int, int] | None = None
) -> Page[CampaignView]:
    """List campaigns, the latest first.

    Args:
        store: The node's chain.
        limit: The largest number of items on the page.
        before: The `next` of the page before; None for the first page.

    Returns:
        A page of campaigns.
    """
    return _page(
        store.index.list_campaigns(limit + 1, before), limit, lambda id: get_campaign(store, id)
    )


def get_task(state: StateReader, task_id: bytes) -> TaskView | None:
    """Read a task, with its clients and the miners of its current or last attempt.

    Args:
        state: The latest state.
        task_id: The task's id, 32 bytes.

    Returns:
        The view, or None when there is no such task.
    """
    task = records.TASKS.get(state, task_id)
    terms = records.TERMS.get(state, task_id)
    if task is None or terms is None:
        return None
    campaign = records.CAMPAIGNS.get(state, terms.campaign_id)
    miners = records.MINERS.scan(state, task_id)
    return TaskView(
        task_id=task_id.hex(),
        campaign_id=terms.campaign_id.hex(),
        round=terms.round,
        phase=task.phase,
        attempt=task.attempt,
        schedule=terms.sampling.schedule,
        evaluation_size=terms.evaluation.size,
        difficulty_nano=task.difficulty_nano,
        prices=terms.prices,
        clients=_client_views(task, terms),
        miners=[_miner_view(address, miner) for address, miner in miners],
        winner=format_optional_address(task.settlement.winner),
        server=format_optional_address(campaign.terms.server) if campaign is not None else "",
        opened_ms=task.opened_ms,
        closed_ms=task.closed_ms,
        deadline_ms=task.deadline_ms,
        opened_height=task.opened_height,
        closed_height=task.closed_height,
        challenge=task.challenge.hex(),
    )


def list_tasks(
    store: ChainStore,
    limit: int,
    before: tuple[int, int] | None = None,
    *,
    campaign_id: bytes | None = None,
    open_only: bool = False,
) -> Page[TaskView]:
    """List tasks, the latest first.

    Args:
        store: The node's chain.
        limit: The largest number of items on the page.
        before: The `next` of the page before; None for the first page.
        campaign_id: List only tasks of this campaign, 32 bytes; None for all.
        open_only: List only tasks that are neither settled nor failed.

    Returns:
        A page of tasks.
    """
    if open_only:
        entries = _open_tasks(store, before, campaign_id)[: limit + 1]
    else:
        entries = store.index.list_tasks(limit + 1, before, campaign_id)
    return _page(entries, limit, lambda id: get_task(store, id))


def list_task_payments(store: ChainStore, task_id: bytes) -> list[PaymentView]:
    """List all payments of a task.

    Args:
        store: The node's chain.
        task_id: The task's id, 32 bytes.

    Returns:
        The payments, in the order in which they were made.
    """
    return [
        payment_view(Receipt.FromString(raw).payment, location.height)
        for location, raw, _ in _payments(store, task_id)
    ]


def build_payment_proofs(store: ChainStore, task_id: bytes, address: bytes) -> list[PaymentProof]:
    """Build proofs of a task's payments to an address, which can be verified offline.

    Args:
        store: The node's chain.
        task_id: The task's id, 32 bytes.
        address: The address, 20 bytes.

    Returns:
        One proof for each payment, in the order in which they were made.
    """
    proofs = []
    for location, raw, receipts in _payments(store, task_id):
        payment = Receipt.FromString(raw).payment
        if payment.address != address:
            continue
        proof = PaymentProof(
            header=store.header_bytes(location.height) or b"",
            certificate=store.certificate(location.height) or b"",
            receipt=raw,
            index=location.position,
            count=len(receipts),
            path=audit_path(receipts, location.position),
            payment=payment,
        )
        proofs.append(proof)
    return proofs


def find_reveal_transaction(
    store: ChainStore, task_id: bytes, miner: bytes
) -> tuple[bytes, int] | None:
    """Find the transaction in which a miner last revealed evidence for a task.

    Args:
        store: The node's chain.
        task_id: The task's id, 32 bytes.
        miner: The miner's address, 20 bytes.

    Returns:
        The serialised SignedTransaction and the height of its block; None when there is none.
    """
    location = store.index.find_reveal(task_id, miner)
    return None if location is None else (_transaction_at(store, location), location.height)


def _client_views(task: TaskState, terms: OpenTask) -> list[TaskClientView]:
    updates = [ClientUpdate.FromString(signed.body) for signed in terms.updates]
    values = list(task.settlement.mean_shapley_nano) or [0] * len(updates)
    payouts = [0] * len(updates)
    if task.phase == block_pb2.TASK_PHASE_SETTLED:
        payouts = list(split_training_price(values, terms.prices.training)[0])
    return [
        TaskClientView(
            address=format_optional_address(update.address),
            num_samples=update.num_samples,
            update=update.update.hex(),
            shapley_nano=value,
            payout=payout,
        )
        for update, value, payout in zip(updates, values, payouts, strict=True)
    ]


def _miner_view(address: bytes, miner: MinerState) -> TaskMinerView:
    return TaskMinerView(
        address=format_optional_address(address),
        committed=True,
        revealed=miner.revealed,
        inlier=miner.inlier,
        samples=miner.samples,
        evaluations=miner.evaluations,
        shapley_nano=miner.shapley_nano,
        reward=miner.reward,
        evidence_root=miner.evidence_root.hex(),
    )


def _open_tasks(
    store: ChainStore, before: tuple[int, int] | None, campaign_id: bytes | None
) -> list[IndexEntry]:
    """List the open tasks, the latest first. They are few, and only the state lists them."""
    entries = []
    for task_id, task in lifecycle.open_tasks(store):
        location = store.index.find_task(task_id, task.opened_height)
        terms = records.TERMS.get(store, task_id)
        if location is None or terms is None or campaign_id not in (None, terms.campaign_id):
            continue
        if before is None or location < before:
            entries.append(IndexEntry(task_id, location))
    return sorted(entries, key=lambda entry: entry.location, reverse=True)


def _payments(
    store: ChainStore, task_id: bytes
) -> Iterator[tuple[Location, bytes, tuple[bytes, ...]]]:
    """Yield location and receipt of each payment, with all receipts of its block."""
    blocks: dict[int, tuple[bytes, ...]] = {}
    for location in store.index.list_task_payments(task_id):
        if location.height not in blocks:
            blocks[location.height] = store.receipts(location.height)
        receipts = blocks[location.height]
        yield location, receipts[location.position], receipts


def _transaction_at(store: ChainStore, location: Location) -> bytes:
    stored = store.block(location.height)
    assert stored is not None, "the index points to a block that is not stored"
    return Block.FromString(stored.raw).transactions[location.position]


def _page(entries: list[IndexEntry], limit: int, view: Callable[[bytes], T | None]) -> Page[T]:
    """Make a page of the first `limit` entries, of which one more may be given."""
    shown = entries[:limit]
    views = [(view(entry.id), entry.location) for entry in shown]
    known = [(item, location) for item, location in views if item is not None]
    following = shown[-1].location if len(entries) > limit and shown else None
    return Page([item for item, _ in known], [location for _, location in known], following)
