"""Read campaigns and tasks."""

from __future__ import annotations

from fedcoin.contract.queries.pages import Page, make_page
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.tasks.frozen_power import read_declined
from fedcoin.contract.tasks.settlement import client_values
from fedcoin.contract.views import (
    campaign_view,
    format_optional_address,
)
from fedcoin.data.storage.block_index import IndexEntry
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.incentive.training_reward import compute_payouts, compute_prices_due
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import Receipt
from fedcoin.v1.shapley_task_service_pb2 import GetNextRoundResponse
from fedcoin.v1.state_pb2 import CampaignState, MinerState, TaskState
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask
from fedcoin.v1.views_pb2 import (
    CampaignView,
    TaskClientView,
    TaskMinerView,
    TaskView,
)


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
    return make_page(
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
        utility=terms.utility,
        averaging=terms.averaging,
        difficulty_nano=task.difficulty_nano,
        prices=terms.prices,
        clients=_client_views(task, terms, campaign),
        miners=[_miner_view(address, miner) for address, miner in miners],
        winner=format_optional_address(task.settlement.winner),
        server=format_optional_address(campaign.terms.server) if campaign is not None else "",
        opener=format_optional_address(task.opener),
        aggregate=terms.aggregate.hex(),
        evaluation=terms.evaluation.artifact.hex(),
        opened_ms=task.opened_ms,
        closed_ms=task.closed_ms,
        deadline_ms=task.deadline_ms,
        opened_height=task.opened_height,
        closed_height=task.closed_height,
        challenge=task.challenge.hex(),
        total_power=task.total_power,
        work=task.work,
        offer=task.offer,
        unit_price=campaign.terms.unit_price if campaign is not None else 0,
        declined=map(format_optional_address, read_declined(state, task_id)),
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
    return make_page(entries, limit, lambda id: get_task(store, id))


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


def get_next_round(store: ChainStore, campaign_id: bytes) -> GetNextRoundResponse | None:
    """Read what the task of a campaign's next round must hold.

    Args:
        store: The node's chain.
        campaign_id: The campaign's id, 32 bytes.

    Returns:
        The round, or None when there is no such campaign.
    """
    campaign = records.CAMPAIGNS.get(store, campaign_id)
    if campaign is None:
        return None
    number = campaign.last_round + 1
    found = GetNextRoundResponse(campaign=campaign_view(campaign_id, campaign), round=number)
    if number <= campaign.terms.rounds and not campaign.closed:
        due = compute_prices_due(campaign.terms, number, campaign.training_fund)
        found.prices.training = due.training
        found.prices.aggregation = due.aggregation
        found.prices.mining = due.mining
    for entry in store.index.list_tasks(1, None, campaign_id):
        terms = records.TERMS.get(store, entry.id)
        if terms is not None:
            found.evaluation.CopyFrom(terms.evaluation)
    receipts = records.RECEIPTS.scan(store, campaign_id)
    found.updates.extend(receipt.update for _, receipt in receipts)
    return found


def _client_views(
    task: TaskState, terms: OpenTask, campaign: CampaignState | None
) -> list[TaskClientView]:
    updates = [ClientUpdate.FromString(signed.body) for signed in terms.updates]
    values = client_values(terms, task.settlement.mean_shapley_nano or [0] * len(updates))
    groups = terms.groups or range(len(updates))
    payouts = [0] * len(updates)
    if task.phase == block_pb2.TASK_PHASE_SETTLED and campaign is not None:
        price = terms.prices.training - task.training_burned
        payouts = list(compute_payouts(campaign.terms, values, price))
    return [
        TaskClientView(
            address=format_optional_address(update.address),
            num_samples=update.num_samples,
            update=update.update.hex(),
            shapley_nano=value,
            payout=payout,
            group=group,
            name=update.name,
            privacy=update.privacy if update.HasField("privacy") else None,
        )
        for update, value, payout, group in zip(updates, values, payouts, groups, strict=True)
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
        power=miner.power,
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
