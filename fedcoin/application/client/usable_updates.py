"""The registered updates that a client can put into the task that it opens.

A server can sign receipts for any update, also for weights that it gives to no node or that do not
fit the model. Voters refuse a task with such an update, so that a client may leave it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update
from fedcoin.learning.model.artifact_checks.job_checks import check_update_file
from fedcoin.learning.model.artifact_sizes import max_weights_bytes
from fedcoin.learning.model.spec import MAX_SPEC_BYTES, parse_spec
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError


async def fetch_usable(
    node: NodeClient,
    updates: Sequence[Update],
    model: str,
    folder: Path,
    workers: WorkerPool,
    report: Callable[[str], None],
    prove: Prove | None = None,
) -> list[Update]:
    """Fetch the weights of updates that miners can value; leave the others out.

    Args:
        node: A node that has the weights.
        updates: The registered updates.
        model: The id of the campaign's model, hex.
        folder: Where the weights go, each into a file that is named by its artifact id.
        workers: Check the weights.
        report: Gets a line about each update that is left out.
        prove: Makes a proof where the campaign is private.

    Returns:
        The usable updates, in order.

    Raises:
        RefusalError: The code of a fault in the model; NO_FILE when no update is usable.
        RpcError: The node cannot be reached, or does not have the model.
        WorkerError: The worker process died twice.
    """
    spec_path = folder / "model"
    raw = await node.download_artifact(model, max_bytes=MAX_SPEC_BYTES, prove=prove)
    await asyncio.to_thread(spec_path.write_bytes, raw)
    limit = max_weights_bytes(await asyncio.to_thread(parse_spec, raw))
    usable = []
    for update in updates:
        path = folder / update.update.hex()
        try:
            weights = await node.download_artifact(update.update, max_bytes=limit, prove=prove)
            await asyncio.to_thread(path.write_bytes, weights)
            await workers.run("while checking an update", check_update_file, spec_path, path)
        except RpcError as error:
            if error.is_transient:
                raise
            problem = error.message
        except RefusalError as refusal:
            problem = refusal.message
        else:
            usable.append(update)
            continue
        report(f"left out {format_address(update.address)}: {problem}")
    if not usable:
        raise RefusalError(
            ApplicationCode.NO_FILE,
            "the node has sound weights of none of the registered updates: send it yours with"
            " `task receipts register`",
            field="campaign_id",
        )
    return usable
