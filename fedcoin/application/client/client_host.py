"""Run many clients in one process, which train in a few worker processes that they share.

Each client has its own key, joins by itself and is paid by itself; only the connection to the
coordinator and the training processes are shared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.client.round_payments import RoundPayment
from fedcoin.application.client.trainer import Trainer
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.workers.training_pool import TrainingPool
from fedcoin.network.client.renewed_channel import Credentials

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """What one client of this process trains and signs with."""

    name: str
    """Names the client in log lines."""
    key: KeyPair
    """Signs its updates, and is paid."""
    data: ClientData
    """Its training data."""
    receipts: ReceiptFolder
    """Where the coordinator's receipts for its updates are kept."""
    claimed_name: str = ""
    """What it calls itself in its updates; empty for no name."""


@dataclass(frozen=True, slots=True)
class HostedPayments:
    """What became of the clients of one process."""

    payments: tuple[tuple[RoundPayment, ...], ...]
    """The payments of each client, as `Trainer.run` returns them, in the order of the clients."""
    missing_rounds: int
    """How many rounds had not come to their end when the campaign was over."""


async def run_clients(
    clients: Sequence[ClientIdentity],
    server: str,
    genesis_hash: bytes,
    *,
    processes: int,
    credentials: Credentials | None = None,
    proxy: str = "",
) -> HostedPayments:
    """Run clients until the campaign is over; the first failure of one ends all.

    Args:
        clients: What each client trains and signs with, at least one.
        server: The coordinator's `host:port`.
        genesis_hash: The genesis hash of the network to sign for, 32 bytes.
        processes: In how many worker processes they train, at least 1.
        credentials: TLS, or None for plaintext.
        proxy: The HTTP proxy for a coordinator on the Internet; empty for none.

    Returns:
        The payments of each client, and how many rounds the campaign lacked at its end.

    Raises:
        RefusalError: A code such as BAD_DATASET or WRONG_SHAPE when a client's data are faulty or
            do not fit the model; BAD_PLAN when the coordinator's training plan is out of range;
            WRONG_NETWORK when the coordinator belongs to another network; BAD_RECEIPT when it
            answers an update without a valid receipt; NOT_FINITE when a training diverges.
        RpcError: The coordinator refuses a client, or could not be reached for `trainer.PATIENCE_S`
            seconds.
        WorkerError: A training process died twice in a round.
    """
    training = TrainingPool(processes)
    trainers = [
        Trainer(
            server,
            client.key,
            client.data,
            genesis_hash,
            training=training,
            report=_Reporter(client),
            credentials=credentials,
            proxy=proxy,
            receipts=client.receipts,
            name=client.claimed_name,
        )
        for client in clients
    ]
    tasks = [asyncio.create_task(trainer.run()) for trainer in trainers]
    try:
        payments = tuple(await asyncio.gather(*tasks))
        return HostedPayments(payments, max(trainer.missing_rounds for trainer in trainers))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await training.stop()


class _Reporter:
    """Logs what one client reports under its name."""

    def __init__(self, client: ClientIdentity) -> None:
        self._name = f"{client.name} ({format_address(client.key.address)})"

    def __call__(self, line: str) -> None:
        logger.info("%s: %s", self._name, line)
