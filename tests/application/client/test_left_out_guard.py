"""A client whose coordinator leaves its update out of the round's task, on a real chain."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.client import left_out_guard
from fedcoin.application.client.left_out_guard import LeftOutGuard
from fedcoin.application.client.receipt_folder import ReceiptFolder, check_receipt
from fedcoin.application.client.trainer import Trainer
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.clock import unix_ms
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.learning.training.client_data import ClientData
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.task_pb2 import SignedReceipt
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from tests.conftest import ReportAttack
from tests.support.receipt_campaign import FAIR, settle
from tests.support.receipt_campaign import campaign as receipt_campaign
from tests.support.served_api import serve_api
from tests.support.training_site import (
    MINER,
    SERVER,
    TrainingSite,
    client_key,
    running,
    settings,
    site,
)
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("inline_workers")

CONFIG = settings(clients=2, rounds=2, round_seconds=8, receipt_seconds=3600)


class ForgetfulCoordinator(Coordinator):
    """Drops the update of client 0 when it has signed for it."""

    def _sign_receipt(self, update: Update) -> SignedReceipt:
        if update.address == client_key(0).address:
            del self.campaign.updates[update.address]
        return sign_receipt(update, unix_ms(), SERVER, self._chain.genesis_hash)


def watchful(here: TrainingSite, target: str, number: int, folder: ReceiptFolder) -> Trainer:
    return Trainer(
        target,
        client_key(number),
        ClientData("digits", num_clients=2, index=number, is_free_rider=True),
        here.chain.genesis_hash,
        report=here.lines.append,
        receipts=folder,
        node=here.client,
    )


@pytest.mark.parametrize("is_settled", [True, False])
async def test_a_round_that_was_settled_at_the_end_is_not_reported(
    tmp_path: Path, is_settled: bool
) -> None:
    lines: list[str] = []
    async with serve_api(tmp_path) as served:
        job = receipt_campaign(served.chain)
        genesis_hash, now_ms = served.chain.genesis.hash, served.chain.time_ms
        client = job.clients[0]
        update = decode_update(job.update(client, 1), genesis_hash)
        receipt = sign_receipt(update, now_ms, job.server, genesis_hash)
        server = job.server.address
        kept = check_receipt(receipt, update, genesis_hash, server=server, now_ms=now_ms)
        async with NodeClient(served.server.address) as node:
            guard = LeftOutGuard(node, client, genesis_hash, lines.append)
            guard.add(kept)
            job.open_task(**FAIR)
            if is_settled:
                settle(job)
            await guard.report_unsettled()
    assert ["has not settled the round" in line for line in lines] == [True] * (not is_settled)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("has_coins", [True, False])
async def test_the_client_registers_its_receipt(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_attack: ReportAttack,
    has_coins: bool,
) -> None:
    monkeypatch.setattr(left_out_guard, "POLL_SECONDS", 0.1)
    async with site(tmp_path) as here:
        await here.prepared(CONFIG)
        coordinator = ForgetfulCoordinator(
            CONFIG, SERVER, here.client, here.chain, here.store(), here.state_path,
            report=here.lines.append,
        )  # fmt: skip
        if has_coins:
            coins = TransferOutput(recipient=client_key(0).address, amount=SAP_PER_FDC)
            await Wallet(here.client, MINER, here.chain).execute(Transfer(outputs=[coins]))
        await coordinator.start()
        folder = ReceiptFolder(tmp_path / "clients", here.chain.genesis_hash)
        run = asyncio.create_task(coordinator.run())
        try:
            async with running(
                *(watchful(here, coordinator.address, number, folder) for number in (0, 1))
            ):
                wanted = "is registered: the round's" if has_coins else "could not be registered"
                await until(lambda: any(wanted in line for line in here.lines), seconds=100)
                campaign = await here.client.get_campaign(coordinator.campaign.campaign_id)
                (line,) = [line for line in here.lines if wanted in line]
        finally:
            run.cancel()
            await asyncio.wait([run])
            await coordinator.stop()
        assert bool(campaign.closing_ms) == has_coins
        assert has_coins or "task receipts register" in line
    whose = "" if has_coins else ", of a client without coins"
    report_attack(
        f"a coordinator drops an update for which it has signed{whose}, and opens the round"
        " without it",
        "the update for nothing",
        "the client's program registers the receipt at once: the round's price is burned, and the"
        " campaign ends (real nodes)"
        if has_coins
        else "the client's program says how to register the receipt, once there are coins for the"
        " fee",
    )
