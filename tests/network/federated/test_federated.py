"""The coordinator's service and its client over a real connection, with a campaign in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import Update, sign_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.federated.registration import MAX_CLOCK_DIFFERENCE_MS, registration_body
from fedcoin.network.federated.servicer import SERVICE, FederatedLearningServicer
from fedcoin.network.listener import Listener, Service
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1 import federated_learning_service_pb2_grpc
from fedcoin.v1.task_pb2 import ClientUpdate, SignedReceipt, SignedUpdate
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH

CHAIN = "test-chain"
NOW_MS = 1_700_000_000_000
KEY = KeyPair.from_seed(b"k" * 32)


@dataclass
class Memory:
    """A campaign that accepts and records everything."""

    genesis_hash: bytes = GENESIS_HASH
    joined: list[bytes] = field(default_factory=list)
    announced: list[Update] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)

    async def register(self, public_key: bytes) -> pb.RegisterResponse:
        self.joined.append(public_key)
        return pb.RegisterResponse(chain_id=CHAIN, rounds=2)

    async def watch(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        if address != KEY.address:
            raise RefusalError(ApplicationCode.NOT_REGISTERED, "who is that?", field="address")
        yield pb.WatchRoundsResponse(phase=pb.ROUND_PHASE_TRAINING, round=1)
        yield pb.WatchRoundsResponse(phase=pb.ROUND_PHASE_FINISHED, round=1)

    async def announce(self, update: Update) -> int:
        self.announced.append(update)
        return len(self.announced)

    async def submit(self, update: Update) -> SignedReceipt:
        self.updates.append(update)
        return sign_receipt(update, 1, KEY, GENESIS_HASH)

    def status(self) -> pb.GetCampaignStatusResponse:
        return pb.GetCampaignStatusResponse(chain_id=CHAIN, rounds=2)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Memory, FederatedClient]]:
    memory = Memory()
    servicer = FederatedLearningServicer(memory, lambda: NOW_MS)
    add = federated_learning_service_pb2_grpc.add_FederatedLearningServiceServicer_to_server
    listener = Listener("127.0.0.1:0", [Service(SERVICE, lambda server: add(servicer, server))])
    await listener.start()
    try:
        async with FederatedClient(listener.address) as client:
            yield memory, client
    finally:
        await listener.stop()


def signed(genesis_hash: bytes = GENESIS_HASH) -> SignedUpdate:
    body = ClientUpdate(
        campaign_id=b"c" * 32,
        round=1,
        base=b"b" * 32,
        update=b"u" * 32,
        num_samples=5,
        address=KEY.address,
    )
    return sign_update(body, KEY, genesis_hash)


async def test_joining_watching_and_handing_in() -> None:
    async with served() as (memory, client):
        assert (await client.get_campaign_status()).chain_id == CHAIN
        assert (await client.register(KEY, GENESIS_HASH, NOW_MS)).rounds == 2
        assert memory.joined == [KEY.public_key]
        phases = [change.phase async for change in client.watch_rounds(KEY.address)]
        assert phases == [pb.ROUND_PHASE_TRAINING, pb.ROUND_PHASE_FINISHED]
        assert await client.announce_update(signed()) == 1
        receipt = await client.submit_update(signed())
        assert receipt == sign_receipt(memory.updates[0], 1, KEY, GENESIS_HASH)
        assert memory.announced == memory.updates
        assert memory.updates[0].address == KEY.address


async def failure_of(call: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_a_registration_is_proved() -> None:
    async with served() as (memory, client):
        for genesis_hash, time_ms in (
            (OTHER_GENESIS_HASH, NOW_MS),
            (GENESIS_HASH, NOW_MS + MAX_CLOCK_DIFFERENCE_MS + 1),
            (GENESIS_HASH, NOW_MS - MAX_CLOCK_DIFFERENCE_MS - 1),
            (GENESIS_HASH, -1),
        ):
            failure = await failure_of(client.register(KEY, genesis_hash, time_ms))
            assert failure.status is grpc.StatusCode.UNAUTHENTICATED
            assert failure.code == "BAD_PROOF"
        stub = federated_learning_service_pb2_grpc.FederatedLearningServiceStub(client.channel)
        for request in (
            pb.RegisterRequest(),
            pb.RegisterRequest(public_key=b"short", signature=b"s" * 64, time_ms=NOW_MS),
            pb.RegisterRequest(public_key=KEY.public_key, time_ms=NOW_MS),
        ):
            assert (await failure_of(client.call(stub.Register, request))).code == "MALFORMED"
        assert memory.joined == []


async def test_bad_updates_and_watchers() -> None:
    async with served() as (memory, client):
        other = signed(OTHER_GENESIS_HASH)
        assert (await failure_of(client.submit_update(other))).code == "BAD_SIGNATURE"
        assert (await failure_of(client.announce_update(other))).code == "BAD_SIGNATURE"
        assert (await failure_of(client.submit_update(SignedUpdate()))).code == "MALFORMED"
        stub = federated_learning_service_pb2_grpc.FederatedLearningServiceStub(client.channel)
        nothing = client.call(stub.SubmitUpdate, pb.SubmitUpdateRequest())
        assert (await failure_of(nothing)).code == "MALFORMED"
        for address, code in ((b"x" * 20, "NOT_REGISTERED"), (b"", "MALFORMED")):
            failure = await failure_of(asyncio.wait_for(anext(client.watch_rounds(address)), 5))
            assert failure.code == code
        assert memory.announced == memory.updates == []


async def test_random_bytes_are_refused() -> None:
    async with served() as (_, client):
        for name in (
            "Register",
            "WatchRounds",
            "AnnounceUpdate",
            "SubmitUpdate",
            "GetCampaignStatus",
        ):
            method: Any = client.channel.unary_unary(f"/{SERVICE}/{name}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(b"\xff\xff\xff\x07 junk", timeout=5)
            assert caught.value.code() is not grpc.StatusCode.UNKNOWN


def test_the_signed_time_is_eight_bytes() -> None:
    assert registration_body(1) == bytes(7) + b"\x01"
    assert registration_body(-1) == b"\xff" * 8
