"""The client's part of receipts: it keeps the server's signed receipt for each of its updates.

With a receipt and the weights a client can have its update valued when the server opens no task, or
one without it. Both are kept as the home's `receipts` folder keeps them, for the commands
`fedcoin-node task receipts`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower.node_options import context_genesis, context_home
from fedcoin.integrations.flower.round_terms import RECEIPT_ACTION, read_receipt


def keep_receipts(
    app: ClientApp,
    home: Path | Callable[[Context], Path | None] = context_home,
    genesis: bytes | Callable[[Context], bytes] = context_genesis,
) -> None:
    """Let a client's app keep the receipts that a `PaidFederation` sends after each training.

    The app's function of training must have a `SigningMod` with the same home and genesis.

    Args:
        app: The client's app; it gets a function for queries of the action `RECEIPT_ACTION`.
        home: The client's home folder, or a function that finds it for the app's context. By
            default it comes from the node's config, entry `fedcoin-home`.
        genesis: The genesis hash of the network (32 bytes), or a function that finds it; by default
            from the node's config, entry `fedcoin-genesis`.
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
        ReceiptFolder(folder, known).add_receipt(read_receipt(message.content), unix_ms())
        return Message(RecordDict(), reply_to=message)

    app.query(RECEIPT_ACTION)(keep)
