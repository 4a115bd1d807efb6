"""A coordinator on a real chain, with clients over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator import round_service
from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.updates import decode_update
from fedcoin.learning.errors import LearningCode
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import SignedUpdate
from tests.conftest import ReportAttack
from tests.support.handing_in import hand_in_update
from tests.support.training_site import (
    FUNDS,
    SERVER,
    TrainingSite,
    client_key,
    hand_in,
    running,
    settings,
    signed,
    site,
    started,
    trained,
)
from tests.support.waiting import LOADED_SECONDS, until


@pytest.fixture(autouse=True)
def _brief_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)


@pytest.mark.timeout(300)
async def test_a_campaign_from_start_to_end(tmp_path: Path) -> None:
    config = settings(
        evaluation_shards=0,
        input_scale=16,
        join_seconds=LOADED_SECONDS,
        round_seconds=LOADED_SECONDS,
    )
    async with site(tmp_path) as here, started(here.coordinator(config)) as coordinator:
        honest = here.trainer(coordinator.address, 0)
        rider = here.trainer(coordinator.address, 1, is_free_rider=True)
        async with running(honest, rider) as tasks:
            history = await asyncio.wait_for(coordinator.run(), LOADED_SECONDS)
            paid, unpaid = await asyncio.wait_for(asyncio.gather(*tasks), 30)
        assert [record.round for record in history] == [1, 2]
        assert all(record.settled for record in history)
        assert history[1].utility > history[0].utility > 18
        # Each gain is paid at 70 FDC for 100 %: all that the budget has for training. Returned base
        # weights get nothing.
        values = [max(client.shapley_nano for client in record.clients) for record in history]
        assert all(value > 0 for value in values)
        assert [payment.payout for payment in paid] == [
            value * 70 * SAP_PER_FDC // 10**9 for value in values
        ]
        assert [payment.payout for payment in unpaid] == [0, 0]
        assert [payment.num_samples for payment in paid] == [359, 359]
        account = await here.client.get_account(client_key(0).address)
        assert account.balance == sum(payment.payout for payment in paid)
        tasks_on_chain = await here.client.list_tasks(coordinator.campaign.campaign_id)
        assert [view.round for view in tasks_on_chain] == [2, 1]
        # Each round was evaluated on its own half of the evaluation set.
        assert [view.evaluation_size for view in tasks_on_chain] == [180, 180]
        assert len(set(coordinator.campaign.shards)) == 2
        assert (await here.client.get_account(client_key(1).address)).balance == 0


@pytest.mark.usefixtures("inline_workers")
async def test_clients_are_counted_as_they_come(tmp_path: Path) -> None:
    """Two clients that register while the disk is slow are both counted."""
    config = settings(clients=3, rounds=1)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        keys = [client_key(number).public_key for number in range(3)]
        await asyncio.gather(*(coordinator.round_service.register(key) for key in [*keys, keys[0]]))
        joined = [line.partition("joined; ")[2] for line in here.lines if "joined; " in line]
        assert joined == [
            f"the campaign has {total}" for total in ("1 client", "2 clients", "3 clients")
        ]
        run = asyncio.create_task(coordinator.run())
        await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
        weights = compute_artifact_id(trained(0))
        updates = [
            decode_update(signed(coordinator, n, weights), here.chain.genesis_hash)
            for n in range(3)
        ]
        for position, update in enumerate(updates, 1):
            assert await coordinator.round_service.announce(update) == position
        async with FederatedClient(coordinator.address) as client:
            await client.upload_artifact(trained(0))
        await asyncio.gather(*(coordinator.round_service.submit(update) for update in updates))
        counts = [line.partition("; ")[2] for line in here.lines if "submitted" in line]
        assert counts == ["1 of 3", "2 of 3", "3 of 3"]
        (record,) = await asyncio.wait_for(run, 60)
        assert record.settled


@pytest.mark.usefixtures("inline_workers")
async def test_a_set_that_is_too_small_for_its_shards(tmp_path: Path) -> None:
    config = settings(evaluation_size=10, evaluation_shards=11)
    async with site(tmp_path) as here:
        with pytest.raises(RefusalError) as caught:
            await here.coordinator(config).start()
        assert (caught.value.code, caught.value.limit) == (LearningCode.BAD_SHARE, "10")
        assert not here.state_path.exists()


@pytest.mark.usefixtures("inline_workers")
async def test_a_client_that_vanishes_is_left_out(tmp_path: Path) -> None:
    config = settings(clients=3, round_seconds=5)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        async with FederatedClient(coordinator.address) as vanishing:
            await vanishing.register(client_key(9), here.chain.genesis_hash, unix_ms())
        async with running(*here.riders(coordinator.address)):
            began = time.monotonic()
            history = await asyncio.wait_for(coordinator.run(), 60)
        assert [len(record.clients) for record in history] == [2, 2]
        # The round waits for the missing client once.
        assert time.monotonic() - began > 5
        assert "1 did not come in time" in "\n".join(here.lines)
        assert coordinator.campaign.clients[client_key(9).address].missed


@pytest.mark.usefixtures("inline_workers")
async def test_a_campaign_without_clients_returns_its_budget(tmp_path: Path) -> None:
    config = settings(join_seconds=0.5)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        with pytest.raises(RefusalError) as caught:
            await coordinator.run()
        assert caught.value.code is ApplicationCode.GAVE_UP
        campaign = await here.client.get_campaign(coordinator.campaign.campaign_id)
        assert campaign.closed
        account = await here.client.get_account(SERVER.address)
        assert FUNDS - SAP_PER_FDC // 100 < account.balance < FUNDS  # Less fees.
        assert coordinator.campaign.phase is CampaignPhase.FINISHED
        assert await coordinator.run() == ()


@pytest.mark.usefixtures("inline_workers")
async def test_a_changed_list_of_clients_holds_from_the_next_round_on(tmp_path: Path) -> None:
    file = tmp_path / "clients"
    both = [format_address(client_key(number).address) for number in (0, 1)]
    file.write_text("".join(f"{address} 2000\n" for address in both))
    config = settings(clients_file=str(file), round_seconds=LOADED_SECONDS)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        async with running(*here.riders(coordinator.address)):
            run = asyncio.create_task(coordinator.run())
            await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
            file.write_text(f"{both[0]} 2000\n")
            history = await asyncio.wait_for(run, LOADED_SECONDS)
        assert [len(record.clients) for record in history] == [2, 1]
        assert all(record.settled for record in history)
        view = await here.client.get_campaign(coordinator.campaign.campaign_id)
        assert view.clients_count == 1


@pytest.mark.usefixtures("inline_workers")
async def test_a_client_that_may_not_join_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_service, "MAX_REFUSED", 2)
    file = tmp_path / "clients"
    file.write_text(f"{format_address(client_key(0).address)} 2000\n")
    config = settings(clients_file=str(file), clients=1)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await until(lambda: bool(coordinator.campaign.listed))
        async with FederatedClient(coordinator.address) as client:
            for number in (1, 1, 2, 3):
                with pytest.raises(RpcError):
                    await client.register(client_key(number), here.chain.genesis_hash, unix_ms())
        run.cancel()
        await asyncio.wait([run])
        said = [line for line in here.lines if "may not join" in line]
        names = [format_address(client_key(number).address) for number in (1, 2)]
        assert [line.split(" ")[0] for line in said] == names
        assert all("[NOT_LISTED]" in line for line in said)
        assert "2 clients were refused; others are not reported" in here.lines


@pytest.mark.usefixtures("inline_workers")
async def test_a_round_without_updates_is_repeated(tmp_path: Path) -> None:
    config = settings(clients=1, rounds=1, round_seconds=2)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        async with FederatedClient(coordinator.address) as client:
            await client.register(client_key(0), here.chain.genesis_hash, unix_ms())
        run = asyncio.create_task(coordinator.run())
        await until(lambda: any("0 updates" in line for line in here.lines))
        await until(lambda: coordinator.campaign.phase is CampaignPhase.WAITING)
        async with FederatedClient(coordinator.address) as client:
            weights = trained(0)
            while not coordinator.campaign.updates:
                await client.register(client_key(0), here.chain.genesis_hash, unix_ms())
                await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
                # On a busy machine the client may be too late again.
                with contextlib.suppress(RpcError):
                    update = signed(coordinator, 0, compute_artifact_id(weights))
                    await hand_in_update(client, update, weights)
        (record,) = await asyncio.wait_for(run, 60)
        assert record.settled


class Killed(BaseException):
    """Stops a coordinator from within."""


class DyingNode(NodeClient):
    """Raises before or after the n-th transaction is submitted."""

    def __init__(self, target: str, number: int, before: bool) -> None:
        super().__init__(target)
        self._left = number
        self._before = before

    async def submit_transaction(self, raw: bytes) -> str:
        self._left -= 1
        if self._left == 0 and self._before:
            raise Killed
        hash = await super().submit_transaction(raw)
        if self._left == 0:
            raise Killed
        return hash


async def check_books(here: TrainingSite, coordinator: Coordinator) -> None:
    """Check that each round ran once, and that the server paid and was paid once."""
    assert len(await here.client.list_campaigns()) == 1
    tasks = await here.client.list_tasks(coordinator.campaign.campaign_id)
    assert [view.round for view in tasks] == [2, 1]
    account = await here.client.get_account(SERVER.address)
    budget, aggregating = 100 * SAP_PER_FDC, 10 * SAP_PER_FDC
    paid = sum(client.payout for view in tasks for client in view.clients)
    refunds = 70 * SAP_PER_FDC - paid
    assert 0 < FUNDS - budget + aggregating + refunds - account.balance < SAP_PER_FDC // 20  # Fees.
    assert account.nonce == 3


@pytest.mark.parametrize(
    ("number", "before"),
    [
        (1, False),
        (2, True),
        *(
            pytest.param(number, before, marks=pytest.mark.slow)
            for number, before in ((1, True), (2, False), (3, True), (3, False))
        ),
    ],
)
@pytest.mark.usefixtures("inline_workers")
async def test_killed_around_each_transaction(tmp_path: Path, number: int, before: bool) -> None:
    """Opening the campaign and the first two tasks each happens exactly once."""
    config = settings()
    async with site(tmp_path) as here:
        dying = DyingNode(here.client.target, number, before)
        coordinator = await here.prepared(config, node=dying)
        await coordinator.start()
        port = coordinator.address
        riders = here.riders(port)
        async with dying, running(*riders) as tasks:
            with pytest.raises(Killed):
                await asyncio.wait_for(coordinator.run(), 60)
            await coordinator.stop()
            async with started(here.coordinator(settings(listen=port))) as again:
                history = await asyncio.wait_for(again.run(), 60)
                assert [record.round for record in history] == [1, 2]
                await check_books(here, again)
                results = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert [[paid.round for paid in result] for result in results] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    "line",
    [
        "submitted",
        "average",
        pytest.param("is open: 2", marks=pytest.mark.slow),
        pytest.param("joined;", marks=pytest.mark.slow),
        pytest.param("clients train", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("inline_workers")
async def test_killed_at_any_step(tmp_path: Path, line: str) -> None:
    async with site(tmp_path) as here:

        def report(text: str) -> None:
            here.lines.append(text)
            if line in text:
                raise Killed

        first = await here.prepared(settings(), report=report)
        await first.start()
        port = first.address
        async with running(*here.riders(port)):
            run = asyncio.create_task(first.run())
            await until(lambda: any(line in text for text in here.lines))
            run.cancel()
            await asyncio.wait([run])
            await first.stop()
            async with started(here.coordinator(settings(listen=port))) as again:
                history = await asyncio.wait_for(again.run(), 60)
                assert [record.round for record in history] == [1, 2]
                await check_books(here, again)


async def code_of(
    client: FederatedClient, update: SignedUpdate, weights: bytes | None = None
) -> str:
    """Return the code that an update is refused with."""
    with pytest.raises(RpcError) as caught:
        await hand_in_update(client, update, weights)
    return caught.value.code


async def genesis_hash_of(client: FederatedClient) -> bytes:
    return bytes.fromhex((await client.get_campaign_status()).genesis_hash)


async def register(client: FederatedClient, *numbers: int) -> None:
    for number in numbers:
        await client.register(client_key(number), await genesis_hash_of(client), unix_ms())


async def registration_code(client: FederatedClient, number: int) -> str:
    """Return the code that a registration is refused with."""
    with pytest.raises(RpcError) as caught:
        await register(client, number)
    return caught.value.code


async def check_signed_fields(client: FederatedClient, coordinator: Coordinator) -> None:
    """Check that the coordinator verifies every field that a client signs."""
    good, other = compute_artifact_id(trained(0)), b"x" * 32
    cases: dict[str, dict[str, Any]] = {
        "WRONG_CAMPAIGN": {"campaign_id": other},
        "WRONG_ROUND": {"round": 2},
        "WRONG_BASE": {"base": other},
        "WEIGHTS_MISSING": {"update": other},
        "MALFORMED": {"num_samples": 0},
        "BAD_ADDRESS": {"address": client_key(1).address},
    }
    for code, changes in cases.items():
        assert await code_of(client, signed(coordinator, 0, good, **changes)) == code
    assert await code_of(client, signed(coordinator, 7, good)) == "NOT_REGISTERED"


async def check_broken_weights(client: FederatedClient, coordinator: Coordinator) -> None:
    weights = decode_tensors(trained(0))
    broken = {
        "WRONG_SHAPE": {**weights, "w1": weights["w3"]},
        "WRONG_DTYPE": {**weights, "w1": weights["w1"].astype(np.int32)},
        "NOT_FINITE": {**weights, "w1": weights["w1"] * np.float32(np.nan)},
        "WRONG_NAMES": {"w0": weights["w0"]},
    }
    for code, tensors in broken.items():
        raw = encode_tensors(tensors)
        update = signed(coordinator, 0, compute_artifact_id(raw))
        assert await code_of(client, update, raw) == code
    junk = b"\xff\xff not a tensor in sight"
    update = signed(coordinator, 0, compute_artifact_id(junk))
    assert await code_of(client, update, junk) == "BAD_TENSOR"


@pytest.mark.usefixtures("inline_workers")
async def test_updates_that_are_refused(tmp_path: Path) -> None:
    config = settings(clients=3, rounds=1, max_clients=3)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        async with FederatedClient(coordinator.address) as client:
            await register(client, 0, 1)
            good = compute_artifact_id(trained(0))
            await until(lambda: bool(coordinator.campaign.campaign_id))
            assert await code_of(client, signed(coordinator, 0, good)) == "ROUND_NOT_OPEN"
            await register(client, 2)
            assert await registration_code(client, 3) == "CAMPAIGN_FULL"
            await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
            await check_signed_fields(client, coordinator)
            await check_broken_weights(client, coordinator)
            assert coordinator.campaign.updates == {}
            await hand_in_update(client, signed(coordinator, 0, good), trained(0))
            await hand_in_update(client, signed(coordinator, 0, good))
            again = signed(coordinator, 0, good, num_samples=99)
            assert await code_of(client, again) == "ALREADY_SUBMITTED"
        await hand_in(coordinator, 1, 2)
        (record,) = await asyncio.wait_for(run, 60)
        assert {c.num_samples for c in record.clients} == {10, 11, 12}
        async with FederatedClient(coordinator.address) as client:
            assert await registration_code(client, 4) == "CAMPAIGN_FINISHED"


@pytest.mark.attack
@pytest.mark.usefixtures("inline_workers")
async def test_nobody_copies_an_update_from_its_upload(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """The coordinator takes only weights that were announced, and its books show who was first."""
    config = settings(clients=2, rounds=1)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        async with FederatedClient(coordinator.address) as client:
            await register(client, 0, 1)
            await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
            weights = trained(0)
            artifact = compute_artifact_id(weights)
            with pytest.raises(RpcError) as caught:
                await client.upload_artifact(weights)
            assert caught.value.code == "NOT_ANNOUNCED"
            own = signed(coordinator, 1, compute_artifact_id(trained(1)))
            assert await client.announce_update(own) == 1
            assert await client.announce_update(signed(coordinator, 0, artifact)) == 2
            await client.upload_artifact(weights)
            # Client 1 saw the upload. It cannot put the copy in place of what it announced ...
            copy = signed(coordinator, 1, artifact)
            with pytest.raises(RpcError) as caught:
                await client.submit_update(copy)
            assert caught.value.code == "NOT_ANNOUNCED"
            # ... without coming after the owner.
            assert await client.announce_update(copy) == 2
            await client.submit_update(signed(coordinator, 0, artifact))
            await client.submit_update(copy)
        (record,) = await asyncio.wait_for(run, 60)
        assert record.announced == (client_key(0).address, client_key(1).address)
        owner, copier = (
            next(c for c in record.clients if c.address == client_key(number).address)
            for number in (0, 1)
        )
        assert abs(owner.shapley_nano - copier.shapley_nano) <= 1
        report_attack(
            "a client copies another's weights from their upload",
            "the place before the owner, who cannot show that it was first",
            "the place after the owner in the coordinator's books",
        )


@pytest.mark.usefixtures("inline_workers")
async def test_clients_learn_the_plan_and_their_payouts(tmp_path: Path) -> None:
    config = settings(clients=1, rounds=1)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        async with FederatedClient(coordinator.address) as client:
            joined = await client.register(client_key(0), here.chain.genesis_hash, unix_ms())
            assert joined.plan.epochs == 2
            assert joined.plan.learning_rate_micro == 100_000
            told = []
            async for change in client.watch_rounds(client_key(0).address):
                told.append(change)
                if change.phase == pb.ROUND_PHASE_TRAINING:
                    assert change.base == coordinator.campaign.base
                    assert unix_ms() < change.deadline_ms <= unix_ms() + 60_000
                    update = signed(coordinator, 0, compute_artifact_id(trained(0)))
                    await hand_in_update(client, update, trained(0))
            (record,) = await asyncio.wait_for(run, 60)
            phases = [change.phase for change in told]
            assert phases[-4:] == [
                pb.ROUND_PHASE_SETTLING,
                pb.ROUND_PHASE_SETTLING,
                pb.ROUND_PHASE_SETTLED,
                pb.ROUND_PHASE_FINISHED,
            ]
            settled = told[-2]
            assert settled.task_id == record.task_id
            assert settled.payout == record.clients[0].payout
            status = await client.get_campaign_status()
            assert list(status.clients) == [format_address(client_key(0).address)]
            assert list(status.utilities) == [record.utility]
            assert status.evaluation_size == 360


@pytest.mark.usefixtures("inline_workers")
async def test_states_that_cannot_be_continued_are_refused(tmp_path: Path) -> None:
    async with site(tmp_path) as here:

        async def refusal_of(coordinator: Coordinator) -> RefusalError:
            with pytest.raises(RefusalError) as caught:
                await coordinator.start()
            return caught.value

        for text in ("", "[]", "{}", '{"version": 99}'):
            here.state_path.write_text(text)
            refusal = await refusal_of(here.coordinator(settings()))
            assert refusal.code is ApplicationCode.BAD_STATE
        coordinator = await here.prepared(settings())
        content = json.loads(here.state_path.read_text())
        here.state_path.write_text(json.dumps({**content, "genesis_hash": bytes(32).hex()}))
        assert (await refusal_of(coordinator)).code is DataCode.WRONG_CHAIN
        await here.prepared(settings())
        shutil.rmtree(here.root / "server")
        refusal = await refusal_of(here.coordinator(settings()))
        assert refusal.code is ApplicationCode.BAD_STATE


@pytest.mark.usefixtures("inline_workers")
async def test_a_port_in_use_and_an_empty_purse(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        taken = settings(listen=here.node.api.address)
        with pytest.raises(RefusalError) as caught:
            await (await here.prepared(taken)).start()
        assert caught.value.code is NetworkCode.PORT_IN_USE
        rich = settings(budget="1000000fdc")
        async with started(await here.prepared(rich)) as coordinator:
            with pytest.raises(RpcError) as failure:
                await coordinator.run()
            assert failure.value.code == "INSUFFICIENT_BALANCE"
            assert coordinator.campaign.pending == b""
