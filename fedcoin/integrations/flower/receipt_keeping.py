"""The client's part of receipts: it keeps the server's signed receipt for each of its updates.

With a receipt and the weights a client can have its update valued when the server opens no task, or
one without it. Both are kept as the home's `receipts` folder keeps them, for the commands
`fedcoin-node task receipts`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower.event_loop_thread import EventLoopThread
from fedcoin.integrations.flower.node_options import context_genesis, context_home, context_node
from fedcoin.integrations.flower.round_terms import RECEIPT_ACTION, read_receipt
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.views_pb2 import CampaignView

logger: Final = logging.getLogger("flwr")


def keep_receipts(
    app: ClientApp,
    home: Path | Callable[[Context], Path | None] = context_home,
    genesis: bytes | Callable[[Context], bytes] = context_genesis,
    node: str | Callable[[Context], str] = context_node,
) -> None:
    """Let a client's app keep the receipts that a `PaidFederation` sends after each training.

    The app's function of training must have a `SigningMod` with the same home and genesis.

    Args:
        app: The client's app; it gets a function for queries of the action `RECEIPT_ACTION`.
        home: The client's home folder, or a function that finds it for the app's context. By
            default it comes from the node's config, entry `fedcoin-home`.
        genesis: The genesis hash of the network (32 bytes), or a function that finds it; by default
            from the node's config, entry `fedcoin-genesis`.
        node: `host:port` of a FedCoin node in plaintext, or a function that finds it; by default
            from the node's config, entry `fedcoin-node`. It says which rounds are over, so that
            their weights are deleted. Without one the weights are kept for 30 days, and up to 1
            GiB.
    """

    def keep(message: Message, context: Context) -> Message:
        folder = home(context) if callable(home) else home
        if folder is None:
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                "the node's config names no fedcoin-home, in which receipts are kept",
                field="fedcoin-home",
            )
        known = genesis if isinstance(genesis, bytes) else genesis(context)
        receipts = ReceiptFolder(folder, known)
        kept = receipts.add_receipt(read_receipt(message.content), unix_ms())
        target = node(context) if callable(node) else node
        if target:
            _drop_ended(receipts, kept.update.campaign_id, target)
        return Message(RecordDict(), reply_to=message)

    app.query(RECEIPT_ACTION)(keep)


def _drop_ended(receipts: ReceiptFolder, campaign_id: bytes, target: str) -> None:
    async def ask() -> CampaignView:
        async with NodeClient(target) as client:
            return await client.get_campaign(campaign_id)

    try:
        with EventLoopThread() as loop:
            receipts.drop_ended(loop.call(ask()))
    except RpcError as error:
        logger.warning("weights of earlier rounds are kept: the node %s: %s", target, error)
