"""Many clients in one process, against a real coordinator and node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.client.client_host import ClientIdentity, run_clients
from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.client_data import ClientData
from tests.support.genesis import GENESIS_HASH
from tests.support.training_site import TrainingSite, client_key, settings, site, started
from tests.support.waiting import LOADED_SECONDS

NOWHERE = "127.0.0.1:9"


def identity(here: TrainingSite, number: int, data: ClientData) -> ClientIdentity:
    receipts = ReceiptFolder(here.root / f"client-{number}", here.chain.genesis_hash)
    return ClientIdentity(f"client-{number}", client_key(number), data, receipts)


@pytest.mark.timeout(300)
async def test_each_client_is_paid_by_itself(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        config = settings(clients=3, rounds=2)
        held = [
            ClientData(num_clients=3, index=n, is_free_rider=n == 1, scale=16) for n in range(3)
        ]
        clients = [identity(here, number, data) for number, data in enumerate(held)]
        async with started(await here.prepared(config)) as coordinator:
            hosted = asyncio.create_task(
                run_clients(clients, coordinator.address, here.chain.genesis_hash, processes=2)
            )
            records = await asyncio.wait_for(coordinator.run(), LOADED_SECONDS)
            ended = await asyncio.wait_for(hosted, 60)
    paid = ended.payments
    assert ended.missing_rounds == 0
    outcomes = {(record.round, c.address): c for record in records for c in record.clients}
    for client, payments in zip(clients, paid, strict=True):
        assert [payment.round for payment in payments] == [1, 2]
        for payment in payments:
            outcome = outcomes[payment.round, client.key.address]
            assert (payment.payout, payment.num_samples) == (outcome.payout, outcome.num_samples)
        assert len(client.receipts.load()) == 2
    assert sum(payment.payout for payment in paid[0]) > 0
    assert [payment.payout for payment in paid[1]] == [0, 0]


async def test_a_failing_client_ends_all(tmp_path: Path) -> None:
    # The first client looks for a coordinator for ten minutes.
    clients = [
        ClientIdentity(str(number), client_key(number), data, ReceiptFolder(tmp_path, GENESIS_HASH))
        for number, data in enumerate([ClientData(is_free_rider=True), ClientData("missing.npz")])
    ]
    before = asyncio.all_tasks()
    with pytest.raises(RefusalError) as caught:
        await asyncio.wait_for(run_clients(clients, NOWHERE, GENESIS_HASH, processes=1), 60)
    assert caught.value.code is LearningCode.UNKNOWN_DATASET
    assert not [task for task in asyncio.all_tasks() - before if not task.done()]
