"""Check what a coordinator needs to continue a campaign, and what its clients did meanwhile."""

from __future__ import annotations

from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.block_pb2 import TASK_PHASE_FAILED, TASK_PHASE_GAVE_WAY
from fedcoin.v1.views_pb2 import TaskView


def check_resumable(campaign: Campaign, chain: ChainIdentity, store: ArtifactStore) -> None:
    """Check that a saved campaign belongs to a network, and that its artifacts are there.

    Args:
        campaign: The saved campaign.
        chain: The network's name and genesis hash.
        store: The coordinator's artifacts.

    Raises:
        RefusalError: WRONG_CHAIN when the campaign belongs to another network; BAD_STATE when an
            artifact is missing that its next steps need.
    """
    if campaign.genesis_hash != chain.genesis_hash:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"the campaign's state is of chain {campaign.chain_id} with genesis "
            f"{campaign.genesis_hash.hex()}; this home's network is {chain.chain_id} "
            f"with genesis {chain.genesis_hash.hex()}: move the state away to begin a "
            "new campaign",
            field="genesis_hash",
            limit=chain.genesis_hash.hex(),
        )
    if campaign.phase is CampaignPhase.FINISHED:
        return
    needed = [campaign.model, campaign.base, *(shard.artifact for shard in campaign.shards)]
    needed += [campaign.frozen] if campaign.frozen else []
    needed += [update.update for update in campaign.updates.values()]
    missing = [artifact for artifact in needed if not store.has(artifact)]
    if missing:
        raise RefusalError(
            ApplicationCode.BAD_STATE,
            f"the campaign needs artifact {missing[0].hex()}, which is missing; restore the "
            "artifacts folder, or move the campaign's file away to begin a new campaign",
            field="artifacts",
        )


async def find_task_of_clients(node: NodeClient, campaign: Campaign) -> TaskView | None:
    """Find the task of the present round if clients opened it in the server's place.

    Args:
        node: A node of the campaign's network.
        campaign: An open campaign.

    Returns:
        The task, which is open or has ended the round; None when there is none by a client.

    Raises:
        RpcError: The node does not know the campaign, or the call failed.
    """
    view = await node.get_campaign(campaign.campaign_id)
    is_over = view.last_round >= campaign.round
    for task in await node.list_tasks(campaign.campaign_id):
        if task.round != campaign.round or task.phase == TASK_PHASE_GAVE_WAY:
            continue
        # The latest task is the one that counts: earlier ones of the round have failed.
        counts = is_over or task.phase != TASK_PHASE_FAILED
        return task if counts and task.opener else None
    return None
