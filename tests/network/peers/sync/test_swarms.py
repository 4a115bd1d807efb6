"""Catching up from swarms of dishonest peers: real sync code in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
import pytest

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peer_options import PeerOptions
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer_set import PeerClocks, PeerSet
from fedcoin.network.peers.protection.bans import Bans
from fedcoin.network.peers.sync.catch_up import CatchUp
from fedcoin.network.peers.sync.snapshot_sync import GRACE_S, SnapshotOptions, SnapshotSync
from fedcoin.testing.scale_simulation.virtual_time import run_in_virtual_time
from fedcoin.v1 import block_gossip_service_pb2 as pb
from tests.conftest import ReportAttack
from tests.support.keys import ALICE, BOB
from tests.support.ledger_chain import LedgerChain
from tests.support.node_core import NodeCore
from tests.support.transfers import transfer_to

T = TypeVar("T")

NUM_BLOCKS = 40


@pytest.fixture(scope="module")
def chain() -> LedgerChain:
    chain = LedgerChain.create()
    for _ in range(NUM_BLOCKS):
        chain.produce(chain.sign(ALICE, transfer_to((BOB.address, 1000))))
    return chain


@dataclass
class Conduct:
    """How a peer answers."""

    headers_s: float = 0.05
    """How long it takes for headers, in seconds."""
    max_headers: int = 200
    """How many it sends at most."""
    block_s: float = 0.002
    """How long it takes for a block, in seconds."""


class InMemoryLink:
    """Stands for the link to a peer that has a whole chain."""

    def __init__(self, number: int, chain: LedgerChain, conduct: Conduct) -> None:
        self.key = KeyPair.from_seed(number.to_bytes(32, "big"))
        self.endpoint = Endpoint(f"10.0.0.{number}", 7000)
        self.identity = Identity(self.key.public_key, "test/1", None, chain.height)
        self.gossip, self._chain, self._conduct = self, chain, conduct
        self.ListHeaders, self.StreamBlocks = self._headers, self._blocks
        self.ListSnapshots, self.StreamSnapshot = self._list_snapshots, self._send_no_snapshot

    async def call(self, method: Callable[..., Any], request: object, *, timeout: float) -> Any:
        return await _within(timeout, method(request))

    def open_stream(self, method: Callable[..., Any], request: object) -> Any:
        return _Replies(method(request))

    async def close(self, grace_s: float | None = None) -> None:
        """Nothing is open."""

    async def _headers(self, request: pb.ListHeadersRequest) -> pb.ListHeadersResponse:
        await asyncio.sleep(self._conduct.headers_s)
        first = request.from_height - 1
        span = slice(first, first + min(request.page_size, self._conduct.max_headers))
        pairs = zip(self._chain.blocks[span], self._chain.certificates[span], strict=True)
        return pb.ListHeadersResponse(
            headers=[pb.CertifiedHeader(header=b.header_bytes, certificate=c) for b, c in pairs]
        )

    async def _blocks(
        self, request: pb.StreamBlocksRequest
    ) -> AsyncIterator[pb.StreamBlocksResponse]:
        for height in range(request.from_height, request.to_height + 1):
            await asyncio.sleep(self._conduct.block_s)
            yield pb.StreamBlocksResponse(
                block=self._chain.blocks[height - 1].raw,
                certificate=self._chain.certificates[height - 1],
            )

    async def _list_snapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsResponse:
        heights = range(self._chain.height - 16, self._chain.height)
        return pb.ListSnapshotsResponse(
            snapshots=[
                pb.SnapshotInfo(height=height, block_hash=sha256(self.key.address, bytes([height])))
                for height in heights
            ]
        )

    async def _send_no_snapshot(
        self, request: pb.StreamSnapshotRequest
    ) -> AsyncIterator[pb.StreamSnapshotResponse]:
        await asyncio.sleep(1e9)
        yield pb.StreamSnapshotResponse()


class _Replies:
    def __init__(self, replies: AsyncIterator[Any]) -> None:
        self._replies = replies

    def __enter__(self) -> _Replies:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def read(self, timeout: float) -> Any:
        return await _within(timeout, anext(self._replies, None))


async def _within(timeout: float, work: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(work, timeout)
    except asyncio.TimeoutError:
        late = grpc.StatusCode.DEADLINE_EXCEEDED
        raise RpcError(late, late.name, "too late", target="a peer") from None


def seconds_to_catch_up(folder: Path, chain: LedgerChain, conducts: list[Conduct]) -> float:
    """Return the virtual time until a node has the chain from peers, in seconds."""

    async def run() -> float:
        now = asyncio.get_running_loop().time
        node = NodeCore(folder / "chain.sqlite", chain.genesis, None)
        peers = PeerSet(PeerOptions(listen=""), Bans(), PeerClocks(now, now))
        catch_up = CatchUp(node.chain, node.chain, peers)
        for number, conduct in enumerate(conducts, 1):
            peers.attach(cast(Link, InMemoryLink(number, chain, conduct)), outbound=True)
        syncing = asyncio.ensure_future(catch_up.run())
        try:
            await node.chain.wait_above(chain.height - 1)
            return now()
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)
            await node.stop()

    return run_in_virtual_time(run())


@pytest.mark.attack
@pytest.mark.parametrize(
    ("how", "conduct", "before"),
    [
        (
            "one header at a time, after 1.9 s",
            Conduct(headers_s=1.9, max_headers=1),
            "one block in 1.9 s, for as long as 20,000 blocks",
        ),
        ("no headers", Conduct(headers_s=1e9), "nothing for 310 s"),
        pytest.param(
            "two blocks a second",
            Conduct(block_s=0.45),
            "no more than now",
            marks=pytest.mark.slow,
        ),
        pytest.param("no blocks", Conduct(block_s=1e9), "no more than now", marks=pytest.mark.slow),
    ],
)
def test_each_dishonest_peer_of_a_swarm_delays_a_node_for_little_more_than_a_second(
    tmp_path: Path,
    chain: LedgerChain,
    monkeypatch: pytest.MonkeyPatch,
    report_attack: ReportAttack,
    how: str,
    conduct: Conduct,
    before: str,
) -> None:
    # The dishonest peers, which were there first, are asked first.
    monkeypatch.setattr(random, "shuffle", lambda peers: None)
    took_s = seconds_to_catch_up(tmp_path, chain, [*[conduct] * 31, Conduct()])
    assert took_s < 45
    report_attack(
        f"be 31 of the 32 peers of a node that is far behind, and send it {how}",
        before,
        f"{took_s:.0f} s, once; then the honest peer is asked first",
    )


def test_a_peer_that_sends_headers_slowly_is_used_where_there_is_no_other(
    tmp_path: Path, chain: LedgerChain
) -> None:
    """Late peers are not given up: a slow line is no offence."""
    slow = Conduct(headers_s=3.0, max_headers=20)
    assert seconds_to_catch_up(tmp_path, chain, [slow]) < 8


@pytest.mark.attack
def test_a_peer_that_lists_snapshots_which_do_not_exist_stalls_an_attempt_once(
    tmp_path: Path, chain: LedgerChain, report_attack: ReportAttack
) -> None:
    async def attempt() -> float:
        now = asyncio.get_running_loop().time
        node = NodeCore(tmp_path / "chain.sqlite", chain.genesis, None)
        peers = PeerSet(PeerOptions(listen=""), Bans(), PeerClocks(now, now))
        for number in range(1, 4):
            peers.attach(cast(Link, InMemoryLink(number, chain, Conduct())), outbound=True)
        options = SnapshotOptions(SnapshotFolder(tmp_path / "snapshots"), join_behind=3)
        sync = SnapshotSync(node.chain, node.chain, peers, options)
        try:
            await sync.attempt(list(peers))
            return now()
        finally:
            await node.stop()

    took_s = run_in_virtual_time(attempt())
    assert took_s < 3 * (GRACE_S + 1)
    report_attack(
        "be 3 peers of a new node, list 16 snapshots each that do not exist, and send nothing",
        "720 s an attempt, in which no other snapshot is fetched",
        f"{took_s:.0f} s an attempt: each peer is asked once",
    )
