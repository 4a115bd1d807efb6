"""What services read: views of the latest state and of the blocks behind it.

Ids and addresses are bytes here; whoever serves text parses it first. What does not exist is None
or an empty list, never an error. Lists come the latest first, a page at a time: the page's `next`
is the place to go on from, None on the last.
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
    """Part of a list."""

    items: list[T]
    locations: list[Location]
    """Of each item."""
    next: Location | None
    """From where the next page goes on."""


# Accounts and validators ------------------------------------------------------------------


def get_account(ledger: Ledger, address: bytes) -> AccountView:
    """One address; zero everywhere when it was never used."""
    bond = records.BONDS.get(ledger.reader, address) or BondState()
    return account_view(address, ledger.account(address), bond)


def list_validators(ledger: Ledger, next_height: int) -> list[ValidatorView]:
    """The validators of the next height, by address."""
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
    """One block."""
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
    """What a block paid, in order."""
    found = (Receipt.FromString(raw) for raw in store.receipts(height))
    return [payment_view(r.payment, height) for r in found if r.HasField("payment")]


def list_block_tasks(store: ChainStore, state: StateReader, height: int) -> list[TaskView]:
    """The tasks that entered a phase in a block, each once, as they stand now."""
    found = (Receipt.FromString(raw) for raw in store.receipts(height))
    ids = dict.fromkeys(r.task.task_id for r in found if r.HasField("task"))
    views = (get_task(state, task_id) for task_id in ids)
    return [view for view in views if view is not None]


def get_transaction(store: ChainStore, hash: bytes) -> TransactionView | None:
    """One final transaction."""
    place = store.index.find_transaction(hash)
    if place is None:
        return None
    return transaction_view(
        decode_stored_transaction(_transaction_at(store, place)),
        views_pb2.TRANSACTION_STATUS_FINAL,
        height=place.height,
        index=place.position,
    )


# Campaigns and tasks ----------------------------------------------------------------------


def get_campaign(state: StateReader, campaign_id: bytes) -> CampaignView | None:
    """One campaign."""
    found = records.CAMPAIGNS.get(state, campaign_id)
    return None if found is None else campaign_view(campaign_id, found)


def list_campaigns(
    store: ChainStore, limit: int, before: tuple[int, int] | None = None
) -> Page[CampaignView]:
    """Campaigns, the latest first."""
    return _page(
        store.index.list_campaigns(limit + 1, before), limit, lambda id: get_campaign(store, id)
    )


def get_task(state: StateReader, task_id: bytes) -> TaskView | None:
    """One task, with its clients and the miners of its present or last attempt."""
    found = records.TASKS.get(state, task_id)
    terms = records.TERMS.get(state, task_id)
    if found is None or terms is None:
        return None
    job = records.CAMPAIGNS.get(state, terms.campaign_id)
    miners = records.MINERS.scan(state, task_id)
    return TaskView(
        task_id=task_id.hex(),
        campaign_id=terms.campaign_id.hex(),
        round=terms.round,
        phase=found.phase,
        attempt=found.attempt,
        schedule=terms.sampling.schedule,
        evaluation_size=terms.evaluation.size,
        difficulty_nano=found.difficulty_nano,
        prices=terms.prices,
        clients=_clients(found, terms),
        miners=[_miner(address, miner) for address, miner in miners],
        winner=format_optional_address(found.settlement.winner),
        server=format_optional_address(job.terms.server) if job is not None else "",
        opened_ms=found.opened_ms,
        closed_ms=found.closed_ms,
        deadline_ms=found.deadline_ms,
        opened_height=found.opened_height,
        closed_height=found.closed_height,
        challenge=found.challenge.hex(),
    )


def list_tasks(
    store: ChainStore,
    limit: int,
    before: tuple[int, int] | None = None,
    *,
    campaign_id: bytes | None = None,
    open_only: bool = False,
) -> Page[TaskView]:
    """Tasks, the latest first; of one campaign, or neither settled nor failed, if so asked."""
    if open_only:
        found = list(_open_tasks(store, before, campaign_id))[: limit + 1]
    else:
        found = store.index.list_tasks(limit + 1, before, campaign_id)
    return _page(found, limit, lambda id: get_task(store, id))


def list_task_payments(store: ChainStore, task_id: bytes) -> list[PaymentView]:
    """What a task paid, in the order in which it did."""
    return [
        payment_view(Receipt.FromString(raw).payment, place.height)
        for place, raw, _ in _payments(store, task_id)
    ]


def build_payment_proofs(store: ChainStore, task_id: bytes, address: bytes) -> list[PaymentProof]:
    """What proves offline each payment of a task to an address."""
    proofs = []
    for place, raw, receipts in _payments(store, task_id):
        payment = Receipt.FromString(raw).payment
        if payment.address != address:
            continue
        proof = PaymentProof(
            header=store.header_bytes(place.height) or b"",
            certificate=store.certificate(place.height) or b"",
            receipt=raw,
            index=place.position,
            count=len(receipts),
            path=audit_path(receipts, place.position),
            payment=payment,
        )
        proofs.append(proof)
    return proofs


def find_reveal_transaction(
    store: ChainStore, task_id: bytes, miner: bytes
) -> tuple[bytes, int] | None:
    """The transaction of a miner's latest reveal for a task, and the block that holds it."""
    place = store.index.find_reveal(task_id, miner)
    return None if place is None else (_transaction_at(store, place), place.height)


def _clients(found: TaskState, terms: OpenTask) -> list[TaskClientView]:
    updates = [ClientUpdate.FromString(signed.body) for signed in terms.updates]
    values = list(found.settlement.mean_shapley_nano) or [0] * len(updates)
    payouts = [0] * len(updates)
    if found.phase == block_pb2.TASK_PHASE_SETTLED:
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


def _miner(address: bytes, miner: MinerState) -> TaskMinerView:
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
) -> Iterator[IndexEntry]:
    """Open tasks, the latest first; they are few, and only the state knows which they are."""
    opened = []
    for task_id, found in lifecycle.open_tasks(store):
        place = store.index.find_task(task_id, found.opened_height)
        terms = records.TERMS.get(store, task_id)
        if place is None or terms is None or campaign_id not in (None, terms.campaign_id):
            continue
        if before is None or place < before:
            opened.append(IndexEntry(task_id, place))
    yield from sorted(opened, key=lambda one: one.location, reverse=True)


def _payments(
    store: ChainStore, task_id: bytes
) -> Iterator[tuple[Location, bytes, tuple[bytes, ...]]]:
    """Each payment's place and receipt, with all receipts of its block."""
    blocks: dict[int, tuple[bytes, ...]] = {}
    for place in store.index.list_task_payments(task_id):
        if place.height not in blocks:
            blocks[place.height] = store.receipts(place.height)
        receipts = blocks[place.height]
        yield place, receipts[place.position], receipts


def _transaction_at(store: ChainStore, place: Location) -> bytes:
    stored = store.block(place.height)
    assert stored is not None, "an index that points to no block"
    return Block.FromString(stored.raw).transactions[place.position]


def _page(found: list[IndexEntry], limit: int, view: Callable[[bytes], T | None]) -> Page[T]:
    """The first `limit` of what was found, and where the rest begins."""
    shown = found[:limit]
    views = [(view(opened.id), opened.location) for opened in shown]
    known = [(one, place) for one, place in views if one is not None]
    more = shown[-1].location if len(found) > limit and shown else None
    return Page([one for one, _ in known], [place for _, place in known], more)
