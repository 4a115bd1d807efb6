"""A coordinator refuses wrong registrations and updates; every listener refuses wrong artifacts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.updates import sign_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, open_link
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.artifact_pb2 import ArtifactManifest
from fedcoin.v1.artifact_upload_service_pb2 import ArtifactChunk, UploadRequest, UploadResponse
from fedcoin.v1.artifact_upload_service_pb2_grpc import ArtifactUploadServiceStub
from fedcoin.v1.federated_learning_service_pb2_grpc import FederatedLearningServiceStub
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from tests.support.e2e.learners import CoordinatorProcess, Learner, prepared
from tests.support.e2e.materials import BIAS, id_of, update_of
from tests.support.e2e.network import BOND, Network
from tests.support.genesis import OTHER_GENESIS_HASH
from tests.support.handing_in import hand_in_update
from tests.support.keys import ALICE, key_of
from tests.support.programs import Stage
from tests.support.waiting import until

UPLOAD = "/fedcoin.v1.ArtifactUploadService/Upload"


@dataclass(frozen=True)
class Site:
    """A node, and a coordinator that waits for two clients' updates of round 1."""

    network: Network
    coordinator: CoordinatorProcess
    clients: tuple[Learner, Learner]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Stage(tmp_path_factory.mktemp("updates")) as stage:
        network = Network(stage, [BOND])
        made = asyncio.run(begin(network))
        yield made
        made.coordinator.program.stop()
        network.finish()


async def begin(network: Network) -> Site:
    await network.start()
    coordinator = await prepared(network, clients=2, rounds=2, max_clients=3, round_seconds=600)
    await coordinator.start()
    clients = Learner(coordinator, 0, 2), Learner(coordinator, 1, 2)
    async with FederatedClient(coordinator.address) as client:
        for learner in clients:
            await learner.join(client)
    await until(lambda: coordinator.state()["phase"] == "training", "clients train")
    return Site(network, coordinator, clients)


def unharmed(coordinator: CoordinatorProcess, before: dict[str, Any]) -> None:
    """Check that the coordinator stored nothing but announcements, and runs."""
    assert {**coordinator.state(), "announced": before["announced"]} == before
    assert coordinator.program.running


@dataclass
class Hand:
    """A client that signs and submits whatever a test makes."""

    site: Site
    client: FederatedClient

    async def weights(self, **arrays: Any) -> bytes:
        """Make valid weights with these tensors replaced."""
        base = bytes.fromhex(self.site.coordinator.state()["base"])
        raw, _ = await asyncio.to_thread(update_of, await self.client.download_artifact(base), 2, 0)
        return encode_tensors({**decode_tensors(raw), **arrays})

    def signed(
        self, update: bytes, key: KeyPair, genesis_hash: bytes = b"", **changes: Any
    ) -> SignedUpdate:
        state = self.site.coordinator.state()
        fields = {
            "campaign_id": bytes.fromhex(state["campaign_id"]),
            "round": state["round"],
            "base": bytes.fromhex(state["base"]),
            "update": update,
            "num_samples": 359,
            "address": key.address,
            **changes,
        }
        trusted = self.site.coordinator.chain.genesis_hash
        return sign_update(ClientUpdate(**fields), key, genesis_hash or trusted)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"round": 2}, "WRONG_ROUND"),
        ({"campaign_id": bytes(32)}, "WRONG_CAMPAIGN"),
        ({"base": bytes(32)}, "WRONG_BASE"),
        ({"update": bytes(32)}, "WEIGHTS_MISSING"),
        ({"num_samples": 0}, "MALFORMED"),
        ({"num_samples": 2**32 - 1}, "MALFORMED"),
        ({"address": ALICE.address}, "BAD_ADDRESS"),
        ({"genesis_hash": OTHER_GENESIS_HASH}, "BAD_SIGNATURE"),
        ({"key": key_of("somebody")}, "NOT_REGISTERED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_updates_with_a_wrong_field_are_refused(
    site: Site, changes: dict[str, Any], code: str
) -> None:
    before = site.coordinator.state()
    async with FederatedClient(site.coordinator.address) as client:
        hand = Hand(site, client)
        weights = await hand.weights()
        given = {"update": id_of(weights), "key": site.clients[0].key, **changes}
        with pytest.raises(RpcError) as caught:
            await hand_in_update(client, hand.signed(**given))
        assert caught.value.code == code, caught.value
    unharmed(site.coordinator, before)


@pytest.mark.parametrize(
    ("tensors", "code"),
    [
        ({BIAS: np.zeros(9, np.float32)}, "WRONG_SHAPE"),
        ({BIAS: np.zeros(10, np.int64)}, "WRONG_DTYPE"),
        ({BIAS: np.full(10, np.nan, np.float32)}, "NOT_FINITE"),
        ({BIAS: np.full(10, 1e20, np.float32)}, "OUT_OF_RANGE"),
        ({"more": np.zeros(1, np.float32)}, "WRONG_NAMES"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_weights_that_do_not_fit_are_refused(
    site: Site, tensors: dict[str, Any], code: str
) -> None:
    before = site.coordinator.state()
    async with FederatedClient(site.coordinator.address) as client:
        hand = Hand(site, client)
        weights = await hand.weights(**tensors)
        update = hand.signed(id_of(weights), site.clients[0].key)
        with pytest.raises(RpcError) as caught:
            await hand_in_update(client, update, weights)
        assert caught.value.code == code
    unharmed(site.coordinator, before)


async def test_registrations_without_a_valid_proof_are_refused(site: Site) -> None:
    before = site.coordinator.state()
    key, other = key_of("newcomer"), key_of("other")
    genesis_hash, now = site.coordinator.chain.genesis_hash, unix_ms()

    def request(at: int, signed_at: int, signer: KeyPair, network: bytes) -> pb.RegisterRequest:
        body = signed_at.to_bytes(8, "big", signed=True)
        return pb.RegisterRequest(
            public_key=key.public_key,
            time_ms=at,
            signature=signer.sign(SigningContext.REGISTER, network, body),
        )

    late = now - 3_600_000
    wrong = [
        request(now, now, other, genesis_hash),
        request(now, now, key, OTHER_GENESIS_HASH),
        request(now, now + 1, key, genesis_hash),
        request(late, late, key, genesis_hash),
    ]
    async with FederatedClient(site.coordinator.address) as client:
        stub = FederatedLearningServiceStub(client.channel)
        for message in wrong:
            with pytest.raises(RpcError) as caught:
                await client.call(stub.Register, message)
            assert caught.value.code == "BAD_PROOF"
            assert caught.value.status == StatusCode.UNAUTHENTICATED
        # The campaign has room for one more client.
        await client.register(key_of("third"), genesis_hash, unix_ms())
        with pytest.raises(RpcError) as caught:
            await client.register(key, genesis_hash, unix_ms())
        assert caught.value.code == "CAMPAIGN_FULL"
    assert len(site.coordinator.state()["clients"]) == len(before["clients"]) + 1


async def upload(target: str, *parts: UploadRequest) -> str:
    """Upload these messages; returns the code of the refusal, or an empty string."""
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.stream_unary(
            UPLOAD,
            request_serializer=UploadRequest.SerializeToString,
            response_deserializer=UploadResponse.FromString,
        )
        try:
            await call(iter(parts), timeout=20)
        except grpc.aio.AioRpcError as error:
            return rpc_error_of(error, target).code
    return ""


def parts_of(raw: bytes, chunks: Sequence[tuple[int, bytes]]) -> list[UploadRequest]:
    """Return the manifest of `raw`, followed by these chunks."""
    manifest = UploadRequest(manifest=build_manifest(raw))
    return [manifest, *(UploadRequest(chunk=ArtifactChunk(index=i, data=d)) for i, d in chunks)]


async def announce(site: Site, artifact: bytes) -> None:
    """Announce weights in the name of the first client."""
    async with FederatedClient(site.coordinator.address) as client:
        await client.announce_update(Hand(site, client).signed(artifact, site.clients[0].key))


def lies_about(raw: bytes) -> Iterator[ArtifactManifest]:
    """Return manifests that contradict themselves."""
    named = build_manifest(raw)
    named.id = bytes(32)
    yield named
    larger = build_manifest(raw)
    larger.size += CHUNK_BYTES
    yield larger
    hashed = build_manifest(raw)
    hashed.chunk_hashes[0] = bytes(32)
    yield hashed
    shorter = build_manifest(raw)
    del shorter.chunk_hashes[-1]
    yield shorter


@pytest.mark.parametrize("listener", ["node", "coordinator"])
async def test_wrong_chunks_are_refused(site: Site, listener: str) -> None:
    target = site.network.nodes[0].api if listener == "node" else site.coordinator.address
    raw = bytes(range(256)) * 1024 * 2 + listener.encode() + b" rest"
    pieces = [raw[i : i + CHUNK_BYTES] for i in range(0, len(raw), CHUNK_BYTES)]
    assert len(pieces) == 3
    forged = bytes([pieces[0][0] ^ 1]) + pieces[0][1:]
    manifest = build_manifest(raw)
    if listener == "coordinator":
        assert await upload(target, *parts_of(raw, [])) == "NOT_ANNOUNCED"
        await announce(site, manifest.id)
    assert await upload(target, *parts_of(raw, [(0, forged)])) == "BAD_CHUNK"
    assert await upload(target, *parts_of(raw, [(0, pieces[0][:-1])])) == "BAD_CHUNK"
    assert await upload(target, *parts_of(raw, [(0, pieces[0] + b"x")])) == "BAD_CHUNK"
    assert await upload(target, *parts_of(raw, [(0, b"")])) == "BAD_CHUNK"
    assert await upload(target, *parts_of(raw, [(1, pieces[1])])) == "BAD_CHUNK"
    # The server keeps the correct first chunk and then expects the second one.
    two = [(0, pieces[0]), (1, pieces[2])]
    assert await upload(target, *parts_of(raw, two)) == "BAD_CHUNK"
    assert await upload(target, *parts_of(raw, [])) == "CHUNK_OUT_OF_ORDER"
    assert await upload(target, UploadRequest(chunk=ArtifactChunk(data=b"x"))) == "MALFORMED"
    assert await upload(target) == "MALFORMED"
    for lie in lies_about(raw):
        code = await upload(target, UploadRequest(manifest=lie))
        is_unknown = listener == "coordinator" and lie.id != manifest.id
        assert code == ("NOT_ANNOUNCED" if is_unknown else "BAD_ARTIFACT"), lie
    giant = build_manifest(raw)
    giant.size = 2**40
    assert await upload(target, UploadRequest(manifest=giant)) in ("TOO_LARGE", "BAD_ARTIFACT")
    async with NodeClient(target) as client:
        assert not await client.has_artifact(manifest.id)
        assert await client.upload_artifact(raw) == manifest.id
        assert await client.download_artifact(manifest.id) == raw
        with pytest.raises(RpcError) as caught:
            await client.download_artifact(id_of(b"not there"))
        assert caught.value.code == "ARTIFACT_NOT_FOUND"


@pytest.mark.parametrize("listener", ["node", "coordinator"])
async def test_a_wrong_size_does_not_block_a_correct_upload(site: Site, listener: str) -> None:
    """The last chunk proves the size, so a wrong size does not block a later correct upload."""
    target = site.network.nodes[0].api if listener == "node" else site.coordinator.address
    raw = f"for the {listener}".encode() * 40_000
    lie = build_manifest(raw)
    lie.size += 1
    pieces = [raw[i : i + CHUNK_BYTES] for i in range(0, len(raw), CHUNK_BYTES)]
    chunks = [UploadRequest(chunk=ArtifactChunk(index=i, data=d)) for i, d in enumerate(pieces)]
    wrong = UploadRequest(chunk=ArtifactChunk(index=1, data=pieces[1] + b"!"))
    if listener == "coordinator":
        await announce(site, lie.id)
    assert await upload(target, UploadRequest(manifest=lie), chunks[0], wrong) == "BAD_CHUNK"
    async with NodeClient(target) as client:
        artifact = await client.upload_artifact(raw)
        assert await client.download_artifact(artifact) == raw


async def test_peers_cannot_upload_artifacts(site: Site) -> None:
    """A node fetches artifacts from peers itself, and accepts no uploads from them."""
    node = site.network.nodes[0]
    key = key_of("peer")
    introduction = Introduction(node.home.genesis(), key, "peer/1", lambda: "", lambda: 0)
    link = await open_link(
        parse_endpoint(node.peers), introduction, Security(None, insecure=False), 5.0
    )
    try:
        for metadata in ((), link.metadata):
            stub = ArtifactUploadServiceStub(link.channel)
            call = stub.Upload(iter(parts_of(b"gift", [])), metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    finally:
        await link.close()


async def test_a_valid_update_is_accepted_once(site: Site) -> None:
    """The same update may be submitted again, a different one of the same client may not."""
    async with FederatedClient(site.coordinator.address) as client:
        hand = Hand(site, client)
        first, second = await hand.weights(), await hand.weights(**{BIAS: np.ones(10, np.float32)})
        key = site.clients[0].key
        await hand_in_update(client, hand.signed(id_of(first), key), first)
        await hand_in_update(client, hand.signed(id_of(first), key), first)
        with pytest.raises(RpcError) as caught:
            await hand_in_update(client, hand.signed(id_of(second), key), second)
        assert caught.value.code == "ALREADY_SUBMITTED"
    assert len(site.coordinator.state()["updates"]) == 1
