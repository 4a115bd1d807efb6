"""A Flower run whose clients are paid by a real node, in this process on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")
pytest.importorskip("torch", reason="torch is not installed: make test-integrations has it")

import torch
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, Result

from fedcoin.application.client.receipt_claims import (
    build_registration,
    find_receipt,
    open_next_round,
)
from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.coordinator.settlement import RoundSettlement
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower import PaidFederation, SigningMod, keep_receipts
from fedcoin.integrations.flower.campaign_terms import read_terms_of_campaign
from fedcoin.integrations.flower.paid_rounds import PaidRounds
from fedcoin.integrations.torch import export
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.v1.block_pb2 import TaskPhase
from tests.support.flower_grid import NODE_IDS, LocalGrid, Train, training_app
from tests.support.training_site import SERVER, TrainingSite, client_key, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FDC = 10**8
ROUNDS = 2
NAMES = ("2.weight", "2.bias", "4.weight", "4.bias")
"""The names of the network's state dict."""
Arrays = dict[str, Any]


class Scale(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels / 16


def network() -> Any:
    torch.manual_seed(1)
    nn = torch.nn
    return nn.Sequential(nn.Flatten(), Scale(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def initial(dtype: str = "float32") -> ArrayRecord:
    state = network().state_dict()
    return ArrayRecord({name: Array(state[name].numpy().astype(dtype)) for name in NAMES})


def fitting(share: int, steps: int = 300) -> Train:
    """Train the last layer by gradient descent on a share of the digits."""
    digits = load_dataset("digits")
    x, y = digits.x_train[share::4].reshape(-1, 64) / 16, digits.y_train[share::4]
    wanted = np.eye(10, dtype=np.float32)[y]

    def train(arrays: Arrays, context: Context) -> tuple[Arrays, float]:
        weight, shift, kernel, bias = (np.array(arrays[name]) for name in NAMES)
        hidden = np.maximum(x @ weight.T + shift, 0)
        for _ in range(steps):
            scores = hidden @ kernel.T + bias
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            error = (scores / scores.sum(axis=1, keepdims=True) - wanted) / len(y)
            kernel -= (0.5 * error.T @ hidden).astype(kernel.dtype)
            bias -= (0.5 * error.sum(axis=0)).astype(bias.dtype)
        return {**arrays, NAMES[2]: kernel, NAMES[3]: bias}, len(y)

    return train


@dataclass
class PaidSite:
    """A node with coins, and what a paid federation on it needs."""

    here: TrainingSite
    model: Path

    def federation(self, strategy: Any = None, **campaign: object) -> PaidFederation:
        settings = {
            "model": str(self.model),
            "dataset": "digits",
            "rounds": ROUNDS,
            "budget": "20fdc",
            "commit_seconds": 20,
        }
        return PaidFederation(
            FedAvg() if strategy is None else strategy,
            node=self.here.client.target,
            key=SERVER,
            genesis=self.here.chain.genesis_hash,
            campaign={**settings, **campaign},
            folder=self.here.root / "campaign",
        )

    def mod(self, number: int, **changes: Any) -> SigningMod:
        given = {"key": client_key(number), "genesis": self.here.chain.genesis_hash, **changes}
        return SigningMod(**given)

    def grid(self, *trains: Train, mods: Mapping[int, Any] | None = None) -> LocalGrid:
        apps = {}
        for number, train in enumerate(trains):
            mod = (mods or {}).get(number, self.mod(number))
            apps[NODE_IDS[number]] = training_app(train, *([mod] if mod else []))
        return LocalGrid(apps)

    async def run(
        self, federation: Any, grid: LocalGrid, arrays: ArrayRecord | None = None, **more: Any
    ) -> Result:
        given = {"grid": grid, "initial_arrays": arrays or initial(), **more}
        return await asyncio.to_thread(federation.start, **given)

    async def balance(self, key: KeyPair) -> int:
        view = await self.here.client.get_account(key.address)
        return int(view.balance)


@pytest.fixture
async def paid(tmp_path: Path) -> AsyncIterator[PaidSite]:
    model = tmp_path / "model.onnx"
    export(network(), torch.zeros(1, 8, 8)).write(model)
    async with site(tmp_path) as here:
        yield PaidSite(here, model)


async def test_rounds_are_valued_and_paid(paid: PaidSite) -> None:
    trains = [fitting(0), fitting(1), fitting(2, steps=0)]
    federation = paid.federation()
    result = await paid.run(federation, paid.grid(*trains))
    assert [record.settled for record in federation.records] == [True] * ROUNDS
    first = result.train_metrics_clientapp[1]
    worker, idle = (format_address(client_key(number).address) for number in (0, 2))
    assert first[f"shapley:{worker}"] > first[f"shapley:{idle}"]
    assert first["utility-on-chain"] > 0.3
    assert result.train_metrics_clientapp[2]["loss"] == pytest.approx(0.5)
    paid_out = sum(
        metrics[f"paid-sap:{worker}"] for metrics in result.train_metrics_clientapp.values()
    )
    assert paid_out > 0
    assert await paid.balance(client_key(0)) == paid_out
    alone = LocalGrid({NODE_IDS[n]: training_app(train) for n, train in enumerate(trains)})
    bare = FedAvg().start(grid=alone, initial_arrays=initial(), num_rounds=ROUNDS)
    for name in NAMES:
        assert np.allclose(bare.arrays[name].numpy(), result.arrays[name].numpy(), atol=1e-5)
    with pytest.raises(RefusalError, match="has 0 rounds left"):
        await paid.run(paid.federation(), paid.grid(*trains))


class OneByOne(LocalGrid):
    """Hands each reply over by itself, and waits until `folder` holds one file more."""

    def __init__(self, apps: Mapping[int, Any], folder: Path) -> None:
        super().__init__(apps)
        self.folder = folder
        self.arrived: list[Message] = []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self.arrived.pop()]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        received: list[Message] = []
        for reply in super().send_and_receive(messages, timeout=timeout):
            before = len(list(self.folder.glob("*.data")))
            self.arrived.append(reply)
            received += self.pull_messages(())
            deadline = time.monotonic() + 60
            while len(list(self.folder.glob("*.data"))) == before:
                assert time.monotonic() < deadline, "the reply was not stored"
                time.sleep(0.01)
        return received


async def test_each_reply_is_stored_while_others_are_awaited(paid: PaidSite) -> None:
    federation = paid.federation(FedAvg(fraction_evaluate=0.0), rounds=1)
    apps = paid.grid(fitting(0, 50), fitting(1, 60), fitting(2, 70)).apps
    await paid.run(federation, OneByOne(apps, paid.here.root / "campaign" / "artifacts"))
    assert len(federation.records[0].clients) == 3


async def test_replies_that_cannot_be_paid_are_left_out(
    paid: PaidSite, caplog: pytest.LogCaptureFixture
) -> None:
    def doubled(message: Message, context: Context, call_next: Any) -> Message:
        """Change the arrays after the signature."""
        reply = paid.mod(2)(message, context, call_next)
        for record in reply.content.array_records.values():
            for key in record:
                record[key] = Array(2 * record[key].numpy())
        return reply

    def claims(message: Message, context: Context, call_next: Any) -> Message:
        """Claim more examples than were signed."""
        reply = paid.mod(3)(message, context, call_next)
        reply.content.metric_records["metrics"]["num-examples"] = 1000
        return reply

    def twin(message: Message, context: Context, call_next: Any) -> Message:
        """Sign with the key of the first client."""
        return paid.mod(0)(message, context, call_next)

    mods = {
        1: None,
        2: doubled,
        3: claims,
        4: paid.mod(4, genesis=bytes(32)),
        5: twin,
    }
    trains = [fitting(number % 4, 100) for number in range(6)]
    federation = paid.federation(rounds=1)
    result = await paid.run(federation, paid.grid(*trains, mods=mods))
    (record,) = federation.records
    assert [client.address for client in record.clients] == [client_key(0).address]
    for node, said in (
        (1, "holds no signed update"),
        (2, "signed other arrays than the reply holds"),
        (3, "the reply says 1000"),
        (4, "not a signature of this update"),
    ):
        assert any(
            f"node {NODE_IDS[node]} is left out" in line and said in line
            for line in caplog.text.splitlines()
        ), said
    assert "this client has submitted an update for round 1 already" in caplog.text
    assert result.train_metrics_clientapp[1]["is-paid"] == 1


async def test_a_client_signs_no_bad_number_of_examples_and_no_other_base(
    paid: PaidSite, caplog: pytest.LogCaptureFixture
) -> None:
    def without_examples(arrays: Arrays, context: Context) -> tuple[Arrays, float]:
        return arrays, -1

    def exchanged(message: Message, context: Context, call_next: Any) -> Message:
        """Give the client other arrays than the server names, as a dishonest server could."""
        for record in message.content.array_records.values():
            for key in record:
                record[key] = Array(record[key].numpy() + 1)
        return paid.mod(2)(message, context, call_next)

    grid = paid.grid(fitting(0, 50), without_examples, fitting(1, 50), mods={2: exchanged})
    federation = paid.federation(rounds=1)
    await paid.run(federation, grid)
    assert len(federation.records[0].clients) == 1
    assert "num-examples is -1" in caplog.text
    assert "the server is in error, and nothing is signed" in caplog.text


async def test_a_server_that_was_killed_goes_on(
    paid: PaidSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains = [fitting(0, 100), fitting(1, 100)]
    first = paid.federation(rounds=3)

    def killed(*arguments: Any) -> Any:
        raise OSError("no space left on device")

    def evaluate(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            # The next round ends after its updates were saved, before it is valued.
            monkeypatch.setattr(RoundSettlement, "open_task", killed)

    with pytest.raises(OSError, match="no space"):
        await asyncio.to_thread(first.start, paid.grid(*trains), initial(), evaluate_fn=evaluate)
    assert len(first.records) == 1
    monkeypatch.undo()
    second = paid.federation(rounds=3)
    result = await paid.run(second, paid.grid(*trains))
    assert [record.round for record in second.records] == [3]
    (campaign,) = await paid.here.client.list_campaigns()
    assert campaign.last_round == 3
    tasks = await paid.here.client.list_tasks(bytes.fromhex(campaign.campaign_id))
    assert sorted(task.round for task in tasks) == [1, 2, 3]
    assert result.arrays


async def test_clients_have_updates_valued_by_receipts_when_the_server_dies(
    paid: PaidSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies in round 2, after it has sent the receipts and before it opens the task."""
    here, genesis = paid.here, paid.here.chain.genesis_hash
    homes = {number: here.root / f"client-{number}" for number in (0, 1)}
    mods = {number: paid.mod(number, home=home) for number, home in homes.items()}
    grid = paid.grid(fitting(0, 100), fitting(1, 100), mods=mods)
    for number, app in enumerate(grid.apps.values()):
        keep_receipts(app, homes[number], genesis)

    async def killed(*arguments: Any) -> Any:
        raise OSError("the server is killed")

    def evaluate(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            monkeypatch.setattr(PaidRounds, "end", killed)

    server = paid.federation(rounds=3, receipt_seconds=6)
    with pytest.raises(OSError, match="killed"):
        await asyncio.to_thread(server.start, grid, initial(), timeout=90, evaluate_fn=evaluate)
    assert grid.timeouts == {90}  # A busy client has as long for its receipt as for training.
    assert len(server.records) == 1
    (campaign,) = await here.client.list_campaigns()
    campaign_id = bytes.fromhex(campaign.campaign_id)
    for number, home in homes.items():
        folder = ReceiptFolder(home, genesis)
        assert [kept.update.round for kept in folder.load()] == [1, 2]
        assert {kept.receipt.server for kept in folder.load()} == {SERVER.address}
        key = client_key(number)
        kept = find_receipt(folder, campaign_id, 2, key.address)
        await here.client.upload_artifact(folder.weights_path(kept.update))
        await Wallet(here.client, key, here.chain).execute(build_registration(kept, ()))
    wallet = Wallet(here.client, client_key(0), here.chain)
    opened = await open_next_round(here.client, wallet, campaign_id, (), print)
    async for view in here.client.watch_task(opened.hex()):
        last = view
    assert (last.round, len(last.clients), bool(last.opener)) == (2, 2, True)
    assert TaskPhase.Name(last.phase) == "TASK_PHASE_SETTLED"


async def test_a_server_that_fails_after_its_receipts_goes_on_with_the_same_updates(
    paid: PaidSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = paid.here.root / "client-0"
    grid = paid.grid(fitting(0, 100), fitting(1, 100), mods={0: paid.mod(0, home=home)})
    keep_receipts(grid.apps[NODE_IDS[0]], home, paid.here.chain.genesis_hash)

    def failing(*arguments: Any) -> Any:
        raise OSError("a client's reply makes the strategy fail")

    terms = {"rounds": 2, "receipt_seconds": 6}
    monkeypatch.setattr(FedAvg, "aggregate_train", failing)
    with pytest.raises(OSError, match="the strategy fail"):
        await paid.run(paid.federation(**terms), grid)
    monkeypatch.undo()
    second = paid.federation(**terms)
    await paid.run(second, grid)
    assert [record.round for record in second.records] == [2]
    (campaign,) = await paid.here.client.list_campaigns()
    assert campaign.last_round == 2
    kept = ReceiptFolder(home, paid.here.chain.genesis_hash).load()
    assert [one.update.round for one in kept] == [1, 2]


async def test_another_strategy_has_a_campaign_for_each_round(paid: PaidSite) -> None:
    def ordered_by_name(train: Train) -> Train:
        def trained(arrays: Arrays, context: Context) -> tuple[Arrays, float]:
            found, examples = train(arrays, context)
            return {name: found[name] for name in sorted(found)}, examples

        return trained

    # Momentum pairs arrays by position; JAX returns those of a dict sorted by name.
    trains = [fitting(0), fitting(1)]
    federation = paid.federation(FedAvgM(server_momentum=0.5))
    result = await paid.run(federation, paid.grid(*map(ordered_by_name, trains)))
    assert [record.settled for record in federation.records] == [True] * ROUNDS
    assert [record.round for record in federation.records] == [1, 1]
    alone = LocalGrid({NODE_IDS[n]: training_app(train) for n, train in enumerate(trains)})
    bare = FedAvgM(server_momentum=0.5).start(
        grid=alone, initial_arrays=initial(), num_rounds=ROUNDS
    )
    for name in NAMES:
        assert np.allclose(bare.arrays[name].numpy(), result.arrays[name].numpy(), atol=1e-5)


async def test_harm_counts_in_the_campaigns_of_all_rounds(paid: PaidSite) -> None:
    def sinking(arrays: Arrays, context: Context) -> tuple[Arrays, float]:
        return {name: np.float32(-9) * np.array(arrays[name]) for name in NAMES}, 100

    grid = paid.grid(fitting(0), sinking)
    terms = {"rounds": 3, "budget": "20fdc", "max_harm": "0.01"}
    federation = paid.federation(FedAdam(eta=0.05), **terms)
    await paid.run(federation, grid)
    assert [len(record.clients) for record in federation.records] == [2, 1, 1]
    assert min(client.shapley_nano for client in federation.records[0].clients) < -30_000_000
    # The campaigns of earlier rounds are read again after a restart.
    here, config = paid.here, read_terms_of_campaign(terms)
    again = PaidRounds(
        config, SERVER, here.chain.genesis_hash, here.client.target, here.root / "campaign", print
    )
    await again.open()
    assert again.campaign.harm.nano[client_key(1).address] > again.campaign.max_harm_nano
    await again.close()


async def test_float16_stays_float16(paid: PaidSite) -> None:
    seen: list[str] = []

    def train(arrays: Arrays, context: Context) -> tuple[Arrays, float]:
        seen.extend(str(array.dtype) for array in arrays.values())
        return fitting(0)(arrays, context)

    federation = paid.federation()
    grid = paid.grid(train, fitting(1))
    between = await paid.run(federation, grid, initial("float16"), num_rounds=1)
    result = await paid.run(federation, grid, between.arrays)
    assert set(seen) == {"float16"}
    assert {array.dtype for array in result.arrays.values()} == {"float16"}
    assert [record.settled for record in federation.records] == [True] * ROUNDS


async def test_a_round_without_replies_is_repeated_and_the_rest_returned(paid: PaidSite) -> None:
    def fail(arrays: Arrays, context: Context) -> tuple[Arrays, float]:
        raise RuntimeError("no data today")

    before = await paid.balance(SERVER)
    federation = paid.federation()
    await paid.run(federation, paid.grid(fail, fail), num_rounds=1)
    assert federation.records == []
    assert before - await paid.balance(SERVER) > 20 * FDC
    await asyncio.to_thread(paid.federation().return_rest)
    assert before - await paid.balance(SERVER) < FDC
