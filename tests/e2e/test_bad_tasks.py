"""An API refuses campaigns and tasks that break a rule, each with its own code, and changes
nothing.

Artifacts and API are real. At the end a valid task is settled.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.messages.updates import sign_update
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import task_pb2
from fedcoin.v1.artifact_pb2 import ModelSpec
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from fedcoin.v1.transaction_pb2 import CloseCampaign
from tests.support.e2e.campaigns import BUDGET, Campaign, check_paid, reached
from tests.support.e2e.materials import BIAS, KERNEL, SPEC, Round, digits, id_of, model_bytes
from tests.support.e2e.network import FUNDS, Network, serving, wallet_on
from tests.support.genesis import OTHER_GENESIS_HASH
from tests.support.keys import ALICE, BOB, key_of
from tests.support.small_models import dense, flatten, layer, sequential, spec_of

WORK = Round(3, size=100)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("tasks")) as network:
        yield network


@pytest.fixture(scope="module")
def campaign_id(network: Network) -> bytes:
    """A campaign whose first round has no task yet."""

    async def begin() -> bytes:
        async with network.nodes[0].client() as client:
            campaign = Campaign(client, network.chain, WORK)
            await campaign.upload()
            return await campaign.open()

    return asyncio.run(begin())


@asynccontextmanager
async def unharmed(network: Network) -> AsyncIterator[NodeClient]:
    """Yield a client of a node, and check afterwards that the node is unchanged."""
    async with network.nodes[0].client() as client:
        before = await client.get_status()
        tasks = await client.list_tasks()
        yield client
        after = await client.get_status()
        assert (after.height, after.app_hash) == (before.height, before.app_hash)
        assert after.pending_transactions == 0
        assert await client.list_tasks() == tasks


def altered(raw: bytes, **arrays: Any) -> bytes:
    """Replace tensors in encoded weights."""
    return encode_tensors({**decode_tensors(raw), **arrays})


def poisoned(raw: bytes, value: float) -> bytes:
    """Set one weight to this number."""
    bias = np.array(decode_tensors(raw)[BIAS])
    bias[3] = value
    return altered(raw, **{BIAS: bias})


FIRST = WORK.updates[0]
KERNEL_OF_FIRST = np.array(decode_tensors(FIRST)[KERNEL])
BIAS_OF_FIRST = np.array(decode_tensors(FIRST)[BIAS])

WEIGHTS = {
    "wrong shape": ("WRONG_SHAPE", altered(FIRST, **{KERNEL: KERNEL_OF_FIRST.T.copy()})),
    "a row too many": ("WRONG_SHAPE", altered(FIRST, **{BIAS: np.zeros(11, np.float32)})),
    "whole numbers": ("WRONG_DTYPE", altered(FIRST, **{BIAS: np.zeros(10, np.int32)})),
    "NaN": ("NOT_FINITE", poisoned(FIRST, float("nan"))),
    "infinity": ("NOT_FINITE", poisoned(FIRST, float("-inf"))),
    "enormous": ("OUT_OF_RANGE", poisoned(FIRST, 1e30)),
    "a tensor missing": ("WRONG_NAMES", encode_tensors({KERNEL: KERNEL_OF_FIRST})),
    "a tensor too many": ("WRONG_NAMES", altered(FIRST, extra=np.zeros(1, np.float32))),
    "in another order": (
        "WRONG_NAMES",
        encode_tensors({BIAS: BIAS_OF_FIRST, KERNEL: KERNEL_OF_FIRST}),
    ),
    "no tensors at all": ("BAD_TENSOR", b"\xffno tensors\xff" * 20),
    "cut off": ("BAD_TENSOR", FIRST[:-7]),
}


@pytest.mark.parametrize("name", WEIGHTS)
async def test_an_update_that_does_not_fit_is_refused(
    network: Network, campaign_id: bytes, name: str
) -> None:
    code, raw = WEIGHTS[name]
    async with unharmed(network) as client:
        campaign = Campaign(client, network.chain, WORK, campaign_id=campaign_id)
        bad = id_of(raw)
        await campaign.upload(raw)
        updates = [campaign.update(0, update=bad), campaign.update(1), campaign.update(2)]
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(updates=updates)
        assert caught.value.code == code, caught.value
        # As the aggregate, these weights are refused too.
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(aggregate=bad)
        assert caught.value.code == code


Terms = Callable[[Campaign], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """Terms of a task that break a rule, and the code of the refusal."""

    name: str
    code: str
    terms: Terms


def other_signer(campaign: Campaign) -> SignedUpdate:
    """Return the last client's update with a signature for another chain."""
    envelope = campaign.update(2)
    forged = sign_update(
        ClientUpdate.FromString(envelope.body), campaign.keys[2], OTHER_GENESIS_HASH
    )
    return SignedUpdate(
        body=envelope.body, public_key=envelope.public_key, signature=forged.signature
    )


def updates(*changes: dict[str, Any]) -> Terms:
    """Return the honest updates with changed fields."""
    given = [*changes, *[{}] * (3 - len(changes))]
    return lambda c: {"updates": [c.update(i, **change) for i, change in enumerate(given)]}


def last(make: Callable[[Campaign], SignedUpdate]) -> Terms:
    return lambda c: {"updates": [c.update(0), c.update(1), make(c)]}


def sampling(schedule: int, **more: int) -> Terms:
    return lambda c: {"sampling": task_pb2.Sampling(schedule=schedule, **more)}  # type: ignore[arg-type]


def priced(train: int, com: int, sap: int) -> Terms:
    return lambda c: {"prices": task_pb2.RoundPrices(training=train, aggregation=com, mining=sap)}


def shard(**more: Any) -> Terms:
    given = {"artifact": id_of(WORK.evaluation), "size": 100}
    return lambda c: {"evaluation": task_pb2.EvaluationShard(**{**given, **more})}


CASES = [
    Case("no clients", "NO_CLIENTS", lambda c: {"updates": []}),
    Case("a client twice", "DUPLICATE_CLIENT",
         lambda c: {"updates": [c.update(0), c.update(0), c.update(1)]}),
    Case("clients out of order", "CLIENTS_OUT_OF_ORDER",
         lambda c: {"updates": [c.update(1), c.update(0), c.update(2)]}),
    Case("an update of another round", "UPDATE_OF_OTHER_ROUND", updates({"round": 2})),
    Case("an update of another campaign", "UPDATE_OF_OTHER_CAMPAIGN",
         updates({}, {"campaign_id": bytes(32)})),
    Case("an update from other weights", "UPDATE_OF_OTHER_BASE", updates({"base": bytes(32)})),
    Case("an update for somebody else's purse", "BAD_ADDRESS",
         updates({}, {}, {"address": ALICE.address})),
    Case("an update without samples", "MALFORMED", updates({"num_samples": 0})),
    Case("an update signed for another chain", "BAD_SIGNATURE", last(other_signer)),
    Case("prices that do not add up", "WRONG_PRICES", priced(BUDGET, BUDGET, BUDGET)),
    Case("prices swapped", "WRONG_PRICES",
         priced(BUDGET * 2 // 10, BUDGET // 10, BUDGET * 7 // 10)),
    Case("no prices", "WRONG_PRICES", priced(0, 0, 0)),
    Case("an average of something else", "WRONG_AGGREGATE",
         lambda c: {"aggregate": id_of(WORK.updates[1])}),
    Case("a size that is not the set's", "WRONG_SIZE", shard(size=99)),
    Case("an evaluation set of another campaign", "WRONG_SHARD", shard(artifact=bytes(32))),
    Case("a shard that there is not", "WRONG_SHARD", shard(index=1)),
    Case("a round too far", "WRONG_ROUND", lambda c: {"round": 2}),
    Case("other first weights", "WRONG_BASE", lambda c: {"base": id_of(WORK.updates[0])}),
    Case("a campaign that there is not", "UNKNOWN_CAMPAIGN",
         lambda c: {"campaign_id": bytes(32)}),
    Case("no schedule", "BAD_PLAN", sampling(0)),
    Case("samples under exact", "BAD_PLAN", sampling(task_pb2.SCHEDULE_EXACT, max_samples=5)),
    Case("no samples", "BAD_PLAN", sampling(task_pb2.SCHEDULE_PERMUTATION)),
    Case("samples without end", "BAD_PLAN",
         sampling(task_pb2.SCHEDULE_PERMUTATION, max_samples=2**32 - 1)),
    Case("no utility", "BAD_UTILITY", lambda c: {"utility": 0}),
    Case("a window too short", "BAD_WINDOW", lambda c: {"commit_window_ms": 1_999}),
    Case("a window without end", "BAD_WINDOW", lambda c: {"reveal_window_ms": 2**63}),
    Case("attempts without end", "BAD_ATTEMPTS", lambda c: {"max_attempts": 17}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_terms_that_break_a_rule_are_refused(
    network: Network, campaign_id: bytes, case: Case
) -> None:
    async with unharmed(network) as client:
        campaign = Campaign(client, network.chain, WORK, campaign_id=campaign_id)
        await campaign.upload()
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(**case.terms(campaign))
        assert caught.value.code == case.code, caught.value


async def test_more_clients_than_exact_allows_are_refused(
    network: Network, campaign_id: bytes
) -> None:
    async with unharmed(network) as client:
        crowd = copy.copy(WORK)
        crowd.clients = 17
        crowd.updates, crowd.num_samples = WORK.updates[:1] * 17, [1] * 17
        campaign = Campaign(client, network.chain, crowd, campaign_id=campaign_id)
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(aggregate=id_of(WORK.aggregate))
        assert caught.value.code == "TOO_MANY_CLIENTS"


async def test_only_the_server_opens_tasks_and_only_the_requester_closes(
    network: Network, campaign_id: bytes
) -> None:
    async with unharmed(network) as client:
        campaign = Campaign(client, network.chain, WORK, campaign_id=campaign_id, server=BOB)
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task()
        assert caught.value.code == "NOT_THE_SERVER"
        with pytest.raises(RpcError) as caught:
            await (await wallet_on(client, BOB)).submit(CloseCampaign(campaign_id=campaign_id))
        assert caught.value.code == "NOT_THE_REQUESTER"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"budget": FUNDS}, "INSUFFICIENT_BALANCE"),
        ({"budget": 2**63}, "AMOUNT_OVERFLOW"),
        ({"budget": 0}, "ZERO_AMOUNT"),
        ({"budget": 1, "rounds": 2}, "BUDGET_TOO_SMALL"),
        ({"rounds": 0}, "BAD_ROUNDS"),
        ({"split": task_pb2.PriceSplit()}, "BAD_PRICE_SPLIT"),
        ({"split": task_pb2.PriceSplit(training=2**32 - 1)}, "BAD_PRICE_SPLIT"),
        ({"server": b"short"}, "BAD_SERVER"),
        ({"model": b""}, "BAD_HASH"),
        ({"spread": 0}, "BAD_SPREAD"),
        ({"mining_reward": 9}, "BAD_MINING_REWARD"),
        ({"evaluation_shards": 0}, "BAD_SHARDS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_campaign_that_breaks_a_rule_is_refused(
    network: Network, changes: dict[str, Any], code: str
) -> None:
    async with unharmed(network) as client:
        campaign = Campaign(client, network.chain, WORK)
        with pytest.raises(RpcError) as caught:
            await campaign.open(**changes)
        assert caught.value.code == code, caught.value


def labelled(*labels: int) -> bytes:
    """Return an evaluation set of 100 examples that begins with these labels."""
    y = digits().y_test[:100].copy()
    y[: len(labels)] = labels
    return encode_tensors({"x": digits().x_test[:100], "y": y})


def lambda_model() -> bytes:
    """Return a model whose Lambda layer would run code of its author."""
    layers = [flatten(), layer("Lambda", function="os.system('true')"), dense(10, "softmax")]
    shapes = [tuple(weight.shape) for weight in SPEC.weights]
    return model_bytes(spec_of(sequential((8, 8), *layers), (8, 8), 10, shapes))


def foreign_model() -> bytes:
    """Return a model with a layer of a module that is not Keras."""
    text = json.loads(SPEC.keras_json)
    text["config"]["layers"][1]["module"] = "os"
    spec = ModelSpec()
    spec.CopyFrom(SPEC)
    spec.keras_json = json.dumps(text)
    return model_bytes(spec)


MATERIALS = {
    "a label too high": ("LABEL_OUT_OF_RANGE", {"evaluation": labelled(3, 10)}),
    "a label below zero": ("LABEL_OUT_OF_RANGE", {"evaluation": labelled(-1)}),
    "no labels": ("WRONG_NAMES", {"evaluation": encode_tensors({"x": digits().x_test[:100]})}),
    "pixels that are NaN": (
        "NOT_FINITE",
        {"evaluation": encode_tensors({"x": digits().x_test[:100] * np.float32(np.nan),
                                       "y": digits().y_test[:100]})},
    ),
    "images of another size": (
        "WRONG_SHAPE",
        {"evaluation": encode_tensors({"x": digits().x_test[:100, :7],
                                       "y": digits().y_test[:100]})},
    ),
    "first weights that are NaN": ("NOT_FINITE", {"base": poisoned(WORK.base, float("nan"))}),
    "a model that runs code": ("FORBIDDEN_LAYER", {"model": lambda_model()}),
    "a model of a foreign module": ("FORBIDDEN_LAYER", {"model": foreign_model()}),
    "a model that is none": ("BAD_MODEL", {"model": model_bytes(ModelSpec(keras_json="{}"))}),
}  # fmt: skip


@pytest.mark.parametrize("name", MATERIALS)
async def test_tasks_with_broken_artifacts_are_refused(network: Network, name: str) -> None:
    """The chain accepts the campaign without seeing its artifacts; the node refuses its task."""
    code, changes = MATERIALS[name]
    work = copy.copy(WORK)
    for field, raw in changes.items():
        setattr(work, field, raw)
    async with network.nodes[0].client() as client:
        campaign = Campaign(client, network.chain, work)
        await campaign.upload()
        await campaign.open()
        async with unharmed(network):
            with pytest.raises(RpcError) as caught:
                await campaign.submit_task()
            assert caught.value.code == code, caught.value
        before = await client.get_account(ALICE.address)
        closing = CloseCampaign(campaign_id=campaign.campaign_id)
        await (await wallet_on(client, ALICE)).execute(closing)
        after = await client.get_account(ALICE.address)
        assert BUDGET - 10**6 < after.balance - before.balance < BUDGET


@pytest.mark.slow
async def test_missing_artifacts_are_refused(network: Network, campaign_id: bytes) -> None:
    """The node searches for the artifact, and gives up in the end."""
    async with unharmed(network) as client:
        campaign = Campaign(client, network.chain, WORK, campaign_id=campaign_id)
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(aggregate=id_of(b"never uploaded"))
        assert caught.value.code == "UNKNOWN_ARTIFACT"


async def test_a_valid_task_is_settled_after_the_refusals(
    network: Network, campaign_id: bytes
) -> None:
    async with network.nodes[0].client() as client:
        campaign = Campaign(client, network.chain, WORK, campaign_id=campaign_id)
        await campaign.upload()
        task_id = await campaign.open_task()
        check_paid(await reached(client, task_id, "SETTLED"))
        # The campaign's only round is settled.
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(round=2)
        assert caught.value.code == "CAMPAIGN_CLOSED"
        assert (await client.get_account(key_of("client 0").address)).balance > 0
