"""The API of a node that began from a snapshot, about earlier blocks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcoin.application.verification import proof_file
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.api.api_server import ApiServer
from fedcoin.network.api.backend import ApiBackend
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1 import node_service_pb2 as pb
from tests.support.keys import ALICE, CAROL
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_snapshots import snapshot_of
from tests.support.served_api import FakeNodeFacts, FakeOperator, FakePeers, GrowingChain, PoolPort
from tests.support.transfers import transfer_to


@dataclass
class RestoredChain:
    """The API's chain over a store that does not grow."""

    store: ChainStore
    ledger: Ledger
    catching_up: bool = False
    verified_votes: VerifiedVotes = field(default_factory=VerifiedVotes)

    @property
    def genesis(self) -> object:
        return self.ledger.genesis

    def height(self) -> int:
        return self.store.height()

    def block(self, height: int) -> StoredBlock | None:
        return self.store.block(height)

    async def wait_above(self, height: int) -> int:
        await asyncio.Event().wait()
        raise AssertionError("it never grows")

    async def wait_until_caught_up(self) -> None:
        raise AssertionError("no service of the API waits for this")


@dataclass
class Served:
    node: NodeClient
    origin: GrowingChain
    base: int
    old: LedgerCampaign
    """A task that was settled before the snapshot, except its last round, which was open."""
    first_task: bytes
    second_task: bytes
    before: bytes
    """A transaction from before the snapshot."""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "origin").mkdir()
    origin = GrowingChain.create(3, folder=tmp_path / "origin", users=("alice", "bob", "carol"))
    assert isinstance(origin, GrowingChain)
    assert origin.store is not None
    before = origin.sign(CAROL, transfer_to((ALICE.address, 7)))
    origin.produce(before)
    job = LedgerCampaign(origin)
    job.open_campaign()
    first_task = job.open_task()
    job.settle(dict.fromkeys(origin.miners, additive(5, 3, 0)))
    second_task = job.open_task()
    file = snapshot_of(origin.store, origin.genesis, tmp_path / "snapshot")
    base = origin.height
    job.settle(dict.fromkeys(origin.miners, additive(5, 3, 0)))

    check = SnapshotVerifier(origin.genesis)
    store = ChainStore.open(tmp_path / "chain.sqlite", origin.genesis)
    store.restore(read_verified_entries(file, check), check.finish)
    for height in range(base, origin.height):
        done = origin.executions[height]
        block, certificate = origin.blocks[height], origin.certificates[height]
        store.append(block, certificate, done.receipts, done.changes)
    chain = RestoredChain(store, Ledger(store, origin.genesis))
    backend = ApiBackend(
        chain,  # type: ignore[arg-type]
        PoolPort(origin),
        FakePeers(),
        ArtifactStore(tmp_path / "artifacts", 1 << 20),
        FakeNodeFacts(),
        FakeOperator(),
    )
    server = ApiServer(backend, listen="127.0.0.1:0", admin=tmp_path / "admin.sock")
    await server.start()
    await server.set_serving()
    async with NodeClient(server.address, timeout=30) as node:
        yield Served(node, origin, base, job, first_task, second_task, before.hash)
    await server.stop(0)
    store.close()
    origin.store.close()


async def refused(call: object, code: NetworkCode = NetworkCode.HISTORY_NOT_KEPT) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    assert caught.value.code == code.value, caught.value
    return caught.value


async def test_blocks(served: Served) -> None:
    node, base = served.node, served.base
    assert (await node.get_status()).first_height == base + 1
    for height in (1, base):
        failure = await refused(node.get_block(height))
        assert f"keeps blocks from {base + 1} on" in failure.message
    # The header of the snapshot's block is known, also by hash; its block is not.
    await refused(node.get_block(served.origin.blocks[base - 1].hash))
    await refused(node.get_block(served.origin.blocks[0].hash), NetworkCode.BLOCK_NOT_FOUND)
    await refused(node.get_block(served.origin.height + 1), NetworkCode.BLOCK_NOT_FOUND)
    assert (await node.get_block(base + 1)).block.height == base + 1
    shown = [view.height for view in await node.list_blocks(limit=1_000)]
    assert shown == list(range(served.origin.height, base, -1))


async def test_events(served: Served) -> None:
    async def first(height: int) -> pb.WatchEventsResponse:
        async for events in served.node.watch_events(height):
            return events
        raise AssertionError("nothing came")

    await refused(first(1))
    await refused(first(served.base))
    assert (await first(served.base + 1)).block.height == served.base + 1


async def test_transactions(served: Served) -> None:
    failure = await refused(
        served.node.get_transaction(served.before), NetworkCode.TRANSACTION_NOT_FOUND
    )
    assert f"keeps the blocks from {served.base + 1} on" in failure.message


async def test_tasks_and_campaigns_are_all_there(served: Served) -> None:
    node = served.node
    listed = await node.list_tasks()
    assert {task.task_id for task in listed} == {served.first_task.hex(), served.second_task.hex()}
    assert [task.opened_height for task in listed] == sorted(
        (task.opened_height for task in listed), reverse=True
    )
    assert [one.campaign_id for one in await node.list_campaigns()] == [
        served.old.campaign_id.hex()
    ]
    assert (await node.get_task(served.first_task)).closed_height <= served.base


async def test_payments_and_their_proofs(served: Served) -> None:
    node, client = served.node, served.old.clients[0]
    await refused(node.list_payments(served.first_task))
    await refused(node.get_payment_proofs(served.first_task, client.address))
    await refused(node.get_evidence(served.first_task, served.origin.miners[0].address))
    assert await node.list_payments(served.second_task)
    assert await node.get_evidence(served.second_task, served.origin.miners[0].address)
    # Later payments are proved from genesis, through the earlier headers.
    document = await proof_file.fetch_document(node, served.second_task, client.address)
    proved = proof_file.check_file(json.dumps(document).encode(), served.origin.genesis)
    assert proved.task_id == served.second_task
