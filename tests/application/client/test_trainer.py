"""A client against a real coordinator."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.client.round_payments import RoundStatus
from fedcoin.application.client.trainer import Trainer
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import Update
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.training import client_data, datasets
from fedcoin.learning.training.client_data import ClientData, compute_update
from fedcoin.learning.workers.training_pool import TrainingPool
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.task_pb2 import SignedReceipt
from fedcoin.v1.transaction_pb2 import CloseCampaign
from tests.conftest import ReportAttack
from tests.support.deadly_once import DeadlyOnce
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.training_site import SERVER, client_key, running, settings, site, started
from tests.support.waiting import LOADED_SECONDS, until

T = TypeVar("T")

NOWHERE = "127.0.0.1:9"
RIDER = ClientData(is_free_rider=True)


@pytest.mark.usefixtures("inline_workers")
async def test_it_waits_for_a_coordinator_and_survives_its_restart(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        coordinator = await here.prepared(settings())
        await coordinator.start()
        port = coordinator.address
        await coordinator.stop()  # The address is reserved, and nothing listens there.
        riders = here.riders(port)
        async with running(*riders) as tasks:
            await until(lambda: any("looking for the coordinator" in line for line in here.lines))
            async with started(here.coordinator(settings(listen=port))) as first:
                run = asyncio.create_task(first.run())
                await until(lambda: bool(first.campaign.history))
                run.cancel()
                await asyncio.wait([run])
            await asyncio.sleep(0.5)
            async with started(here.coordinator(settings(listen=port))) as second:
                await asyncio.wait_for(second.run(), 60)
                results = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert [[paid.round for paid in result] for result in results] == [[1, 2], [1, 2]]


@pytest.mark.usefixtures("inline_workers")
async def test_an_unreachable_coordinator_is_named(tmp_path: Path) -> None:
    trainer = Trainer(NOWHERE, client_key(0), RIDER, GENESIS_HASH, patience=0.5)
    try:
        with pytest.raises(RpcError, match=NOWHERE):
            await asyncio.wait_for(trainer.run(), 60)
    finally:
        await trainer.stop()


@pytest.mark.usefixtures("inline_workers")
async def test_refusals_end_it(tmp_path: Path) -> None:
    lines: list[str] = []
    async with site(tmp_path) as here:
        config = settings(clients=1, max_clients=1)
        async with started(await here.prepared(config)) as coordinator:
            elsewhere = Trainer(coordinator.address, client_key(0), RIDER, OTHER_GENESIS_HASH)
            late = Trainer(
                coordinator.address,
                client_key(0),
                RIDER,
                here.chain.genesis_hash,
                report=lines.append,
                clock_ms=lambda: 0,
            )
            first, second = here.riders(coordinator.address)
            try:
                with pytest.raises(RefusalError) as refused:
                    await asyncio.wait_for(elsewhere.run(), 60)
                assert refused.value.code is ApplicationCode.WRONG_NETWORK
                with pytest.raises(RpcError) as failed:
                    await asyncio.wait_for(late.run(), 60)
                assert failed.value.code == "BAD_PROOF"
                # These clients hold pixels from 0 to 16; those of the evaluation set were divided.
                assert any("warning" in line and "--scale 16" in line for line in lines)
                async with running(first):
                    await until(lambda: len(coordinator.campaign.clients) == 1)
                    with pytest.raises(RpcError) as failed:
                        await asyncio.wait_for(second.run(), 60)
                assert failed.value.code == "CAMPAIGN_FULL"
            finally:
                for trainer in (elsewhere, late, second):
                    await trainer.stop()


@pytest.mark.usefixtures("inline_workers")
async def test_receipts_are_kept_until_the_round_is_paid(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        config = settings(clients=1, rounds=1)
        async with started(await here.prepared(config)) as coordinator:
            folder = ReceiptFolder(tmp_path / "client", here.chain.genesis_hash)
            trainer = Trainer(
                coordinator.address,
                client_key(0),
                RIDER,
                here.chain.genesis_hash,
                receipts=folder,
                node=here.client,
                name="Praxis Süd",
            )
            async with running(trainer) as (task,):
                run = asyncio.create_task(coordinator.run())
                await until(lambda: bool(folder.load()))
                (kept,) = folder.load()
                assert kept.update == coordinator.campaign.updates[client_key(0).address]
                assert kept.receipt.server == SERVER.address
                weights = folder.weights_path(kept.update)
                assert compute_artifact_id(weights.read_bytes()) == kept.update.update
                await asyncio.wait_for(run, LOADED_SECONDS)
                await asyncio.wait_for(task, 30)
            assert folder.load() == (kept,)
            assert not weights.exists()
            (outcome,) = coordinator.campaign.history[0].clients
            assert (outcome.name, kept.update.name) == ("Praxis Süd", "Praxis Süd")


class LateTraining(TrainingPool):
    """Returns its first update when a round has ended without it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines
        self.is_first = True

    async def run(self, activity: str, function: Callable[..., T], *arguments: object) -> T:
        result = await super().run(activity, function, *arguments)
        if function is compute_update and self.is_first:
            self.is_first = False
            await until(lambda: any("1 did not come in time" in line for line in self.lines))
        return result


@pytest.mark.usefixtures("inline_workers")
async def test_a_late_client_is_told_so_and_a_new_one_hears_of_all_rounds(tmp_path: Path) -> None:
    async with site(tmp_path) as here:

        def clock_ms() -> int:
            # The first round is over as soon as one update is there.
            is_over = coordinator.campaign.round == 1 and coordinator.campaign.updates
            return unix_ms() + (60_000 if is_over else 0)

        coordinator = await here.prepared(settings(), clock_ms=clock_ms)
        async with started(coordinator):
            punctual = here.trainer(coordinator.address, 0, is_free_rider=True)
            training = LateTraining(here.lines)
            slow = Trainer(
                coordinator.address,
                client_key(1),
                RIDER,
                here.chain.genesis_hash,
                training=training,
                report=here.lines.append,
            )
            async with running(punctual, slow) as (first, second):
                await asyncio.wait_for(coordinator.run(), LOADED_SECONDS)
                paid, late = await asyncio.wait_for(asyncio.gather(first, second), 30)
            await training.stop()
            assert [payment.status for payment in paid] == [RoundStatus.PAID] * 2
            assert late[0].status is RoundStatus.LATE
            assert (late[0].round, late[0].payout, late[0].shapley_nano) == (1, 0, 0)
            assert any("round 1: late, so that it has no value" in line for line in here.lines)
            again = here.trainer(coordinator.address, 0, is_free_rider=True)
            async with running(again) as (task,):
                assert await asyncio.wait_for(task, 60) == paid


@pytest.mark.usefixtures("inline_workers")
async def test_a_round_that_all_clients_missed_begins_again_with_them(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        config = settings(clients=1, rounds=1, round_seconds=2)
        async with started(await here.prepared(config)) as coordinator:
            training = LateTraining(here.lines)
            slow = Trainer(
                coordinator.address,
                client_key(1),
                RIDER,
                here.chain.genesis_hash,
                training=training,
                report=here.lines.append,
            )
            async with running(slow) as (task,):
                await asyncio.wait_for(coordinator.run(), LOADED_SECONDS)
                (outcome,) = await asyncio.wait_for(task, 30)
            await training.stop()
        assert outcome.status is RoundStatus.PAID
        told = " ".join(here.lines)
        assert told.index("late, so that it has no value") < told.index("begins again")


@pytest.mark.usefixtures("inline_workers")
async def test_nothing_is_handed_in_while_the_campaign_closes(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """A receipt that is given when the campaign is about to close could come too late."""
    async with site(tmp_path) as here:
        config = settings(clients=1, rounds=1, receipt_seconds=3600)
        async with started(await here.prepared(config)) as coordinator:
            run = asyncio.create_task(coordinator.run())
            await until(lambda: bool(coordinator.campaign.campaign_id))
            closing = CloseCampaign(campaign_id=coordinator.campaign.campaign_id)
            await Wallet(here.client, SERVER, here.chain).execute(closing)
            trainer = Trainer(
                coordinator.address,
                client_key(0),
                RIDER,
                here.chain.genesis_hash,
                report=here.lines.append,
                node=here.client,
            )
            async with running(trainer):
                await until(lambda: any("nothing is handed in" in line for line in here.lines))
                assert not coordinator.campaign.announced
            run.cancel()
            await asyncio.wait([run])
    report_attack(
        "a requester asks to close, and its coordinator collects updates until then",
        "the updates for nothing",
        "clients that ask a node hand in nothing",
    )


class OtherSigner(Coordinator):
    """Signs its receipts with a key that the chain does not know."""

    def _sign_receipt(self, update: Update) -> SignedReceipt:
        return sign_receipt(update, unix_ms(), client_key(9), self._chain.genesis_hash)


@pytest.mark.usefixtures("inline_workers")
async def test_a_receipt_of_another_key_ends_it(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    async with site(tmp_path) as here:
        await here.prepared(settings(clients=1))
        coordinator = OtherSigner(
            settings(clients=1),
            SERVER,
            here.client,
            here.chain,
            here.store(),
            here.state_path,
            report=here.lines.append,
        )
        async with started(coordinator):
            run = asyncio.create_task(coordinator.run())
            trainer = Trainer(
                coordinator.address,
                client_key(0),
                RIDER,
                here.chain.genesis_hash,
                node=here.client,
            )
            try:
                with pytest.raises(RefusalError) as caught:
                    await asyncio.wait_for(trainer.run(), LOADED_SECONDS)
            finally:
                await trainer.stop()
                run.cancel()
                await asyncio.wait([run])
    assert caught.value.code is ApplicationCode.BAD_RECEIPT
    report_attack(
        "a coordinator signs its receipts for updates with another key than the campaign's server",
        "there were no receipts",
        "its clients leave after one round (`BAD_RECEIPT`)",
    )


@pytest.mark.usefixtures("inline_workers")
async def test_bad_data_is_known_before_joining() -> None:
    trainer = Trainer(NOWHERE, client_key(0), ClientData("missing.npz"), GENESIS_HASH)
    try:
        with pytest.raises(RefusalError) as caught:
            await trainer.run()
        assert caught.value.code is LearningCode.UNKNOWN_DATASET
    finally:
        await trainer.stop()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("inline_workers")
async def test_data_that_does_not_suit_the_model(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, x_train=np.zeros((5, 3, 3)), y_train=np.arange(5))
    async with site(tmp_path) as here:
        config = settings(clients=1, rounds=1)
        async with started(await here.prepared(config)) as coordinator:
            run = asyncio.create_task(coordinator.run())
            trainer = Trainer(
                coordinator.address,
                client_key(0),
                ClientData(str(path)),
                here.chain.genesis_hash,
            )
            try:
                with pytest.raises(RefusalError) as caught:
                    await asyncio.wait_for(trainer.run(), LOADED_SECONDS)
                assert caught.value.code is LearningCode.WRONG_SHAPE
                # In words about the client's file, and before any round waits for the client.
                assert caught.value.message.startswith(f"{path} has examples of shape (3, 3)")
                assert not coordinator.campaign.clients
            finally:
                await trainer.stop()
                run.cancel()
                await asyncio.wait([run])


async def test_ones_own_file_and_a_killed_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training is killed once, and the update is submitted all the same."""
    killed = tmp_path / "killed"
    monkeypatch.setattr(client_data, "compute_update", DeadlyOnce(compute_update, killed))
    digits = datasets.load_dataset("digits", scale=16)
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=digits.x_train[:300], y_train=digits.y_train[:300])
    lines: list[str] = []
    async with site(tmp_path) as here:
        config = settings(
            clients=1,
            rounds=1,
            epochs=12,
            join_seconds=LOADED_SECONDS,
            round_seconds=LOADED_SECONDS,
        )
        async with started(await here.prepared(config)) as coordinator:
            trainer = Trainer(
                coordinator.address,
                client_key(0),
                ClientData(str(path)),
                here.chain.genesis_hash,
                report=lines.append,
            )
            async with running(trainer) as (task,):
                (record,) = await asyncio.wait_for(coordinator.run(), LOADED_SECONDS)
                (paid,) = await asyncio.wait_for(task, 20)
        assert killed.exists()
        assert paid.num_samples == 300
        assert paid.payout == record.clients[0].payout > 0
        assert paid.shapley_nano == record.clients[0].shapley_nano > 0
        assert record.utility > 72
        assert any("paid" in line for line in lines)
        assert not any("warning" in line for line in lines)


async def test_training_that_dies_twice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_data, "prepare_training", Deadly())
    trainer = Trainer(NOWHERE, client_key(0), RIDER, GENESIS_HASH)
    began = time.monotonic()
    with pytest.raises(WorkerError):
        await trainer.run()
    assert time.monotonic() - began < 30


class Deadly:
    """Kills the process that unpickles it."""

    def __call__(self, *_: object) -> int:
        raise AssertionError("called in the parent")

    def __reduce__(self) -> tuple[object, ...]:
        return os.abort, ()
