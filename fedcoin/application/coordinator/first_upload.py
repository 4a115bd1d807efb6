"""Give a node what a campaign starts from, before its budget goes into escrow."""

from __future__ import annotations

from functools import partial

from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.client.node_client import NodeClient


async def upload_first(
    campaign: Campaign, store: ArtifactStore, node: NodeClient, delivery: Delivery
) -> None:
    """Upload the model and its weights, and check that the node takes the other artifacts.

    The updates and their averages are as long as the initial weights. The evaluation set is not
    sent: clients must not see it before the first round is over.

    Args:
        campaign: A campaign that is not yet on the chain.
        store: Holds its artifacts.
        node: The node to which they go.
        delivery: Repeats calls while the node is away.

    Raises:
        RefusalError: TOO_LARGE when the node does not store an artifact as large as a shard of the
            evaluation set.
        RpcError: The node refuses the model or the weights.
    """
    status = await delivery.retry_while_away(node.get_status)
    limit = status.max_artifact_bytes
    for shard in campaign.shards:
        size = store.path(shard.artifact).stat().st_size
        if size > limit:
            raise RefusalError(
                DataCode.TOO_LARGE,
                f"a shard of the evaluation set has {size} bytes; the node at {node.target} stores "
                f"artifacts up to {limit}: raise limits.artifact_bytes there, or choose a smaller "
                "coordinator.evaluation_size or more coordinator.evaluation_shards",
                field="evaluation",
                limit=str(limit),
            )
    for artifact in filter(None, (campaign.model, campaign.frozen, campaign.initial)):
        path = store.path(artifact)
        await delivery.retry_while_away(partial(node.upload_artifact, path))
