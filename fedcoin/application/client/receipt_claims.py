"""What a client does with its receipts when the server does not open the round's task.

It registers them, with the weights on a node that the voters can fetch them from, and after the
receipt window it opens the task for all clients that registered.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fedcoin.application.client.receipt_folder import KeptReceipt, ReceiptFolder
from fedcoin.application.client.usable_updates import fetch_usable
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.reader_prover import make_prover
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.contract.actions.receipt_terms import (
    MAX_EXACT_CLIENTS,
    MAX_RECEIPT_SAMPLES,
    MIN_COMMIT_WINDOW_MS,
    MIN_REVEAL_WINDOW_MS,
)
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient, build_admission
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.model.look_alikes import LIMIT_UNIT, group_files, group_weights
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2
from fedcoin.v1.shapley_task_service_pb2 import GetNextRoundResponse
from fedcoin.v1.task_pb2 import OpenTask, Sampling
from fedcoin.v1.transaction_pb2 import RegisterReceipt

_POLL_SECONDS: Final = 0.5
_ATTEMPTS: Final = 3


def find_receipt(
    folder: ReceiptFolder, campaign_id: bytes, round: int, address: bytes
) -> KeptReceipt:
    """Find the receipt of a client for a round; of several the latest one whose weights are kept.

    Args:
        folder: The home's receipts.
        campaign_id: The campaign's id, 32 bytes.
        round: The round's number, from 1.
        address: The client's address, 20 bytes.

    Returns:
        The receipt with its update.

    Raises:
        RefusalError: NO_RECEIPT when there is none; BAD_RECEIPT when a file is damaged.
    """
    wanted = (campaign_id, round, address)
    found = [
        kept
        for kept in folder.load()
        if (kept.update.campaign_id, kept.update.round, kept.update.address) == wanted
    ]
    if found:
        return max(
            found,
            key=lambda kept: (folder.weights_path(kept.update).exists(), kept.receipt.time_ms),
        )
    raise RefusalError(
        ApplicationCode.NO_RECEIPT,
        f"there is no receipt for an update of {format_address(address)} in round {round} of this"
        " campaign",
        field="campaign_id",
    )


def build_registration(
    kept: KeptReceipt, listed: Sequence[ListedClient], task_id: bytes = b""
) -> RegisterReceipt:
    """Build the action that registers a receipt.

    Args:
        kept: The receipt with its update.
        listed: The campaign's list of clients; empty without one.
        task_id: The task that the server opened for the update's round, 32 bytes; empty before it
            has.

    Returns:
        The action, for a transaction of the client.
    """
    action = RegisterReceipt(
        update=kept.update.envelope, receipt=kept.receipt.envelope, task_id=task_id
    )
    if listed:
        action.admission.CopyFrom(build_admission(listed, kept.update.address))
    return action


async def open_next_round(
    node: NodeClient,
    wallet: Wallet,
    campaign_id: bytes,
    listed: Sequence[ListedClient],
    report: Callable[[str], None],
    name_server: Callable[[], bytes] = bytes,
) -> bytes:
    """Open the task of a round that the server left, with all registered updates.

    Updates whose weights the node does not have, or that are no weights of the model, are left out;
    voters refuse the task if they can fetch them and find them sound.

    Args:
        node: A node that has the clients' weights.
        wallet: The client's wallet; it pays the deposit and gets the aggregation price.
        campaign_id: The campaign's id, 32 bytes.
        listed: The campaign's list of clients; empty without one.
        report: Gets a line about each thing worth knowing.
        name_server: Gives the node's key, 32 bytes, as `server` of `make_prover`; called where the
            campaign is private. By default the node is trusted to tell its key.

    Returns:
        The task's id, 32 bytes, once it is open.

    Raises:
        RefusalError: NO_RECEIPT when nothing is registered; NO_FILE when no evaluation set has been
            published; BAD_TENSOR when weights cannot be read.
        RpcError: The node refuses the task.
    """
    next_round = await node.get_next_round(campaign_id)
    server = name_server() if next_round.campaign.is_private else b""
    await _wait_until_due(node, next_round, report)
    updates = [decode_update(u, wallet.chain.genesis_hash) for u in next_round.updates]
    _check_possible(next_round, updates)
    prove: Prove | None = None
    if next_round.campaign.is_private:
        network = wallet.chain.genesis_hash
        prove = await make_prover(node, wallet.key, network, campaign_id, server=server)
    model, workers = next_round.campaign.model, WorkerPool()
    with tempfile.TemporaryDirectory(prefix="fedcoin-round-") as name:
        try:
            usable = await fetch_usable(node, updates, model, Path(name), workers, report, prove)
            terms = await _build_task(
                node, next_round, campaign_id, usable, Path(name), workers, prove
            )
        finally:
            await workers.stop()
    if listed:
        terms.admissions.extend(build_admission(listed, update.address) for update in usable)
    opened = await wallet.submit(terms)
    await wallet.wait_until_final(opened)
    return opened.hash


async def _wait_until_due(
    node: NodeClient, next_round: GetNextRoundResponse, report: Callable[[str], None]
) -> None:
    """Wait until the chain has a block at which clients may open the task."""
    due_ms = next_round.campaign.receipts_due_ms
    is_said = False
    while (await node.get_status()).block_time_ms < due_ms:
        if not is_said:
            seconds = max(0, due_ms - unix_ms()) / 1000
            report(f"only the server may open the task for another {seconds:.0f} s; waiting")
            is_said = True
        await asyncio.sleep(_POLL_SECONDS)


def _check_possible(next_round: GetNextRoundResponse, updates: Sequence[Update]) -> None:
    if not updates:
        raise RefusalError(
            ApplicationCode.NO_RECEIPT,
            f"no receipt is registered for round {next_round.round}",
            field="campaign_id",
        )
    if not next_round.HasField("evaluation"):
        raise RefusalError(
            ApplicationCode.NO_FILE,
            "no evaluation set of this campaign has been published, so that no miner can value"
            " the updates; the round's training price is burned when the campaign closes",
            field="campaign_id",
        )


async def _build_task(
    node: NodeClient,
    next_round: GetNextRoundResponse,
    campaign_id: bytes,
    updates: Sequence[Update],
    folder: Path,
    workers: WorkerPool,
    prove: Prove | None,
) -> OpenTask:
    paths = [folder / update.update.hex() for update in updates]
    groups: tuple[int, ...] = ()
    limit = next_round.campaign.similarity_limit_ppm
    if limit:
        base = folder / "base"
        base.write_bytes(await node.download_artifact(updates[0].base, prove=prove))
        groups = await workers.run("while grouping", group_files, base, paths, limit / LIMIT_UNIT)
    weights = group_weights(groups) if groups else (1,) * len(updates)
    average = await workers.run("while averaging", average_files, paths, weights)
    exact = len(updates) <= MAX_EXACT_CLIENTS
    return OpenTask(
        campaign_id=campaign_id,
        round=next_round.round,
        base=updates[0].base,
        aggregate=await node.upload_artifact(average, prove),
        updates=[update.envelope for update in updates],
        evaluation=next_round.evaluation,
        utility=next_round.campaign.utility,
        empty_coalition=task_pb2.EMPTY_COALITION_BASE_MODEL,
        averaging=task_pb2.AVERAGING_EQUAL,
        sampling=Sampling(schedule=task_pb2.SCHEDULE_EXACT)
        if exact
        else Sampling(schedule=task_pb2.SCHEDULE_ANTITHETIC, max_samples=MAX_RECEIPT_SAMPLES),
        prices=next_round.prices,
        commit_window_ms=MIN_COMMIT_WINDOW_MS,
        reveal_window_ms=MIN_REVEAL_WINDOW_MS,
        max_attempts=_ATTEMPTS,
        groups=groups,
    )
