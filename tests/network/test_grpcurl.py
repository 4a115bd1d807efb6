"""The real grpcurl against a live node: list, describe, and a call of each service."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update
from fedcoin.data.protocol import PROTOCOL_VERSION
from fedcoin.network.federated.servicer import SERVICE as FEDERATED
from fedcoin.network.federated.servicer import FederatedLearningServicer
from fedcoin.network.listener import Listener, Service
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1 import node_service_pb2
from fedcoin.v1.federated_learning_service_pb2_grpc import (
    add_FederatedLearningServiceServicer_to_server,
)
from fedcoin.v1.task_pb2 import SignedReceipt
from tests.support.genesis import CHAIN_ID, FDC, GENESIS_HASH
from tests.support.keys import ALICE, STRANGER, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.served_api import ServedApi, serve_api

SERVICES = [
    "fedcoin.v1.ArtifactService",
    "fedcoin.v1.ArtifactUploadService",
    "fedcoin.v1.NodeService",
    "fedcoin.v1.ShapleyTaskService",
    "fedcoin.v1.TransactionService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


def find_grpcurl() -> str | None:
    """Find grpcurl on PATH or where Go installs programs."""
    found = shutil.which("grpcurl")
    if found is not None:
        return found
    folders = [Path.home() / "go" / "bin"]
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if os.access(go, os.X_OK):
        asked = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=False)
        folders.append(Path(asked.stdout.strip()) / "bin")
    return next((str(f / "grpcurl") for f in folders if (f / "grpcurl").is_file()), None)


GRPCURL = find_grpcurl()

pytestmark = pytest.mark.skipif(
    GRPCURL is None,
    reason="needs grpcurl: go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest",
)


async def run(*arguments: str) -> tuple[int, str, str]:
    assert GRPCURL is not None
    process = await asyncio.create_subprocess_exec(
        GRPCURL,
        "-plaintext",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def told(*arguments: str) -> str:
    code, out, err = await run(*arguments)
    assert code == 0, err
    return out


async def called(live: ServedApi, method: str, request: dict[str, Any] | None = None) -> Any:
    data = json.dumps(request or {})
    address = live.server.address
    # Print zero values as well, so that a test sees every field.
    return read(await told("-emit-defaults", "-d", data, address, f"fedcoin.v1.{method}"))


def read(text: str) -> Any:
    """Parse grpcurl's JSON, whose names are in camel case or as in the .proto files."""
    return json.loads(text, object_pairs_hook=lambda pairs: {snake(k): v for k, v in pairs})


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: "_" + found.group().lower(), name)


@pytest.fixture
async def live(tmp_path: Path) -> Any:
    async with serve_api(tmp_path) as live:
        yield live


async def test_list(live: ServedApi) -> None:
    assert (await told(live.server.address, "list")).split() == SERVICES
    methods = (await told(live.server.address, "list", "fedcoin.v1.NodeService")).split()
    known = node_service_pb2.DESCRIPTOR.services_by_name["NodeService"].methods_by_name
    assert methods == [f"fedcoin.v1.NodeService.{name}" for name in sorted(known)]


async def test_describe_every_service_and_a_message(live: ServedApi) -> None:
    for service in SERVICES:
        text = await told(live.server.address, "describe", service)
        assert f"{service} is a service" in text
        assert "rpc " in text
    text = await told(live.server.address, "describe", "fedcoin.v1.TaskView")
    assert "repeated .fedcoin.v1.TaskClientView clients = 10;" in text
    text = await told(
        "-msg-template", live.server.address, "describe", ".fedcoin.v1.SubmitTransactionRequest"
    )
    assert re.search('"transaction": ', text)


async def test_both_dialects_of_reflection(live: ServedApi) -> None:
    for version in ("v1", "v1alpha"):
        name = f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        text = await told("-d", '{"list_services": ""}', live.server.address, name)
        found = read(text)["list_services_response"]["service"]
        assert [service["name"] for service in found] == SERVICES


async def test_health(live: ServedApi) -> None:
    out = await told(live.server.address, "grpc.health.v1.Health/Check")
    assert read(out) == {"status": "SERVING"}


async def test_node_service(live: ServedApi) -> None:
    live.chain.produce()
    status = await called(live, "NodeService/GetStatus")
    assert (status["chain_id"], status["height"]) == (CHAIN_ID, "1")
    address = format_address(ALICE.address)
    account = await called(live, "NodeService/GetAccount", {"address": address})
    assert account["account"]["balance"] == str(1_000 * FDC)
    block = await called(live, "NodeService/GetBlock", {"height": 1})
    assert block["block"]["hash"] == live.chain.hash.hex()


async def test_watching_events_ends_when_the_caller_says(live: ServedApi) -> None:
    live.chain.produce()
    arguments = ("-max-time", "1", "-d", '{"from_height": 1}', live.server.address)
    code, out, err = await run(*arguments, "fedcoin.v1.NodeService/WatchEvents")
    assert read(out)["block"]["height"] == "1"
    assert code != 0
    assert "DeadlineExceeded" in err


async def test_shapley_task_service(live: ServedApi) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    job.settle(dict.fromkeys(live.chain.miners, additive(5, 3, 0)))
    found = await called(live, "ShapleyTaskService/ListTasks", {"page_size": 1})
    assert found["tasks"][0]["phase"] == "TASK_PHASE_SETTLED"
    asked = {"task_id": job.task_id.hex()}
    payments = (await called(live, "ShapleyTaskService/ListPayments", asked))["payments"]
    assert payments[0]["kind"] == "PAYMENT_KIND_TRAINING"
    asked["address"] = payments[0]["address"]
    proof = await called(live, "ShapleyTaskService/GetPaymentProof", asked)
    assert proof["proofs"][0]["payment"]["amount"] == payments[0]["amount"]


async def test_transaction_service(live: ServedApi) -> None:
    found = await called(live, "TransactionService/ListPendingTransactions")
    assert found == {"transactions": [], "next_page_token": ""}


async def test_artifact_service(live: ServedApi) -> None:
    data = b"weights"
    live.artifacts.put(data)
    out = await told(
        "-d",
        json.dumps({"id": base64.b64encode(compute_artifact_id(data)).decode()}),
        live.server.address,
        "fedcoin.v1.ArtifactService/GetManifest",
    )
    assert read(out)["manifest"]["size"] == "7"
    asked = {"id": base64.b64encode(compute_artifact_id(data)).decode()}
    status = await called(live, "ArtifactUploadService/GetUploadStatus", asked)
    assert status == {"next_chunk": 1, "complete": True}


async def test_admin_service_on_its_socket(live: ServedApi, tmp_path: Path) -> None:
    socket = str(tmp_path / "admin.sock")
    listed = (await told("-unix", socket, "list")).split()
    assert "fedcoin.v1.AdminService" in listed
    data = '{"level": "debug"}'
    await told("-unix", "-d", data, socket, "fedcoin.v1.AdminService/SetLogLevel")
    assert live.operator.level == 10


PEER_SERVICES = [
    "fedcoin.v1.ArtifactService",
    "fedcoin.v1.BlockGossipService",
    "fedcoin.v1.ConsensusService",
    "fedcoin.v1.PeerService",
    "fedcoin.v1.TransactionRelayService",
]


async def test_the_peers_listener(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    node = PeerNode(tmp_path, genesis, STRANGER)
    async with running(node):
        listed = (await told(node.address, "list")).split()
        assert [name for name in listed if name.startswith("fedcoin")] == PEER_SERVICES
        for service in PEER_SERVICES:
            assert "rpc " in await told(node.address, "describe", service)
        assert "SERVING" in await told(node.address, "grpc.health.v1.Health/Check")
        identity = {
            "chain_id": genesis.chain_id,
            "genesis_hash": base64.b64encode(genesis.hash).decode(),
            "protocol_version": PROTOCOL_VERSION,
            "agent": "grpcurl",
            "node_key": base64.b64encode(key_of("somebody").public_key).decode(),
        }
        hello = {
            "identity": identity,
            "nonce": base64.b64encode(bytes(32)).decode(),
            "address": node.address,
        }
        method = "fedcoin.v1.PeerService/Hello"
        answer = read(await told("-d", json.dumps(hello), node.address, method))
        assert answer["identity"]["chain_id"] == genesis.chain_id
        # Every other call needs the second step of the handshake, which takes a key.
        for method in (
            "PeerService/ListPeers",
            "BlockGossipService/ListHeaders",
            "ConsensusService/Exchange",
            "TransactionRelayService/RelayTransactions",
            "ArtifactService/GetManifest",
        ):
            code, _, err = await run("-d", "{}", node.address, f"fedcoin.v1.{method}")
            assert code == 64 + 16, err
            assert "NO_SESSION" in err
        # Reflection does not describe uploads, so grpcurl finds nothing to call.
        method = "fedcoin.v1.ArtifactUploadService/Upload"
        code, _, err = await run("-d", "{}", node.address, method)
        assert code == 1
        assert "does not expose service" in err


class NoRounds:
    """A campaign without clients."""

    genesis_hash = GENESIS_HASH

    async def register(self, public_key: bytes) -> pb.RegisterResponse:
        raise NotImplementedError

    async def watch(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        raise RefusalError(
            ApplicationCode.NOT_REGISTERED, "address has not joined", field="address"
        )
        yield

    async def announce(self, update: Update) -> int:
        raise NotImplementedError

    async def submit(self, update: Update) -> SignedReceipt:
        raise NotImplementedError

    def status(self) -> pb.GetCampaignStatusResponse:
        return pb.GetCampaignStatusResponse(rounds=3)


async def test_a_coordinators_listener() -> None:
    servicer = FederatedLearningServicer(NoRounds(), lambda: 0)

    def add(server: grpc.aio.Server) -> None:
        add_FederatedLearningServiceServicer_to_server(servicer, server)

    listener = Listener("127.0.0.1:0", [Service(FEDERATED, add)])
    await listener.start()
    try:
        assert FEDERATED in (await told(listener.address, "list")).split()
        assert "rpc Register" in await told(listener.address, "describe", FEDERATED)
        status = await told(listener.address, f"{FEDERATED}/GetCampaignStatus")
        assert read(status)["rounds"] == 3
        somebody = {"address": base64.b64encode(bytes(20)).decode()}
        data = json.dumps(somebody)
        code, _, err = await run("-d", data, listener.address, f"{FEDERATED}/WatchRounds")
        assert code == 64 + 5
        assert "NOT_REGISTERED" in err
    finally:
        await listener.stop(0)


async def test_errors_come_with_code_field_and_limit(live: ServedApi) -> None:
    data = '{"hash": "xyz"}'
    code, _, err = await run(
        "-d", data, live.server.address, "fedcoin.v1.TransactionService/GetTransaction"
    )
    assert code == 64 + 3  # grpcurl exits with 64 + the status.
    assert "Code: InvalidArgument" in err
    assert "hash is 'xyz'; it must be 64 hex digits" in err
    assert '"reason": "MALFORMED"' in err
    assert '"field": "hash"' in err
