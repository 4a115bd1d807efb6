"""A node fetches artifacts from any peer that has them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.client.artifact_client import ArtifactClient, Prove
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.sync import artifact_fetcher
from tests.conftest import ReportAttack
from tests.support.artifact_listener import data
from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.waiting import until

CONTENT = data(4)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[PeerNode]]:
    """A node that fetches, and three others."""
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, STRANGER, votes=False)
    async with running(first):
        others = [
            PeerNode(tmp_path / str(i), genesis, MINERS[i], [first.address], votes=False)
            for i in range(3)
        ]
        async with running(*others):
            await until(lambda: first.linked() == 3)
            yield [first, *others]


async def test_the_artifact_comes_from_the_peer_that_has_it(nodes: list[PeerNode]) -> None:
    id = nodes[2].artifacts.put(CONTENT)
    assert await nodes[0].network.artifact_fetcher.ensure([id, id], 5)
    assert nodes[0].artifacts.read(id) == CONTENT
    assert await nodes[0].network.artifact_fetcher.ensure([id], 0)
    assert await nodes[0].network.artifact_fetcher.ensure([], 0)


async def test_many_artifacts_are_fetched_for_many_callers(nodes: list[PeerNode]) -> None:
    ids = [nodes[1 + seed % 3].artifacts.put(data(2, seed)) for seed in range(12)]
    asked = await asyncio.gather(
        *(nodes[0].network.artifact_fetcher.ensure(ids[start:], 10) for start in range(4))
    )
    assert all(asked)
    assert set(ids) <= set(nodes[0].artifacts.ids())


async def test_a_missing_artifact_is_given_up_in_time(nodes: list[PeerNode]) -> None:
    began = time.monotonic()
    assert not await nodes[0].network.artifact_fetcher.ensure([bytes(32)], 0.3)
    assert time.monotonic() - began < 1.5
    assert nodes[0].network.artifact_fetcher.num_wanted == 0


@pytest.mark.slow
@pytest.mark.attack
async def test_who_looks_for_what_nobody_has_is_not_banned(
    nodes: list[PeerNode], report_attack: ReportAttack
) -> None:
    missing = [bytes([number]) * 32 for number in range(1, 251)]
    assert not await nodes[0].network.artifact_fetcher.ensure(missing, 10)
    assert nodes[0].linked() == 3
    scores = [node.score(nodes[0]) for node in nodes[1:]]
    assert scores == [0, 0, 0]
    report_attack(
        "as a requester, sign a task that names 250 updates which nobody has",
        "each validator asks all others again and again, and is banned by them for an hour",
        f"in 10 s of asking the scores are {scores}",
    )


@pytest.mark.slow
@pytest.mark.attack
async def test_a_silent_peer_does_not_keep_what_others_have(
    nodes: list[PeerNode], monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    by_key = {node.key.public_key: node for node in nodes}
    asked_first, *_, good = (by_key[peer.key] for peer in nodes[0].network.peer_set)
    silent = nodes[0].peer(asked_first).link
    assert silent is not None
    download = ArtifactClient.download_into

    async def wait_in_vain(client: ArtifactClient, *given: Any) -> int:
        if client is silent.artifacts:
            await asyncio.sleep(40)
            raise RpcError(
                StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "no answer", target="silent"
            )
        return await download(client, *given)

    monkeypatch.setattr(ArtifactClient, "download_into", wait_in_vain)
    ids = [good.artifacts.put(data(1, seed)) for seed in range(24)]
    assert await nodes[0].network.artifact_fetcher.ensure(ids, 20)
    # It was late, and is asked last now.
    more = [good.artifacts.put(data(1, seed)) for seed in range(24, 48)]
    began = time.monotonic()
    assert await nodes[0].network.artifact_fetcher.ensure(more, 20)
    took = time.monotonic() - began
    report_attack(
        "as a peer that is asked first, answer no question for an artifact",
        "all transfers of the node wait for it: none of 24 artifacts in 30 s",
        "another one is asked after 1 s for each of the first four; then it is asked last: the next"
        f" 24 come in {took:.1f} s",
    )


@pytest.mark.slow
async def test_who_sends_too_slowly_is_not_asked_first_again(
    nodes: list[PeerNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_key = {node.key.public_key: node for node in nodes}
    asked_first, *_, good = (by_key[peer.key] for peer in nodes[0].network.peer_set)
    slow = nodes[0].peer(asked_first).link
    assert slow is not None
    download = ArtifactClient.download_into

    async def send_slowly(client: ArtifactClient, *given: Any) -> int:
        if client is slow.artifacts:
            await asyncio.sleep(60)
        return await download(client, *given)

    monkeypatch.setattr(ArtifactClient, "download_into", send_slowly)
    monkeypatch.setattr(artifact_fetcher, "SLOW_S", 0.2)
    id = good.artifacts.put(CONTENT)
    assert not await nodes[0].network.artifact_fetcher.ensure([id], 0.5)
    assert await nodes[0].network.artifact_fetcher.ensure([id], 20)


async def test_an_artifact_that_arrives_later_is_found(
    nodes: list[PeerNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = nodes[3].artifacts.put(CONTENT)
    nodes[3].artifacts.remove(wanted)
    download, tries = ArtifactClient.download_into, []

    async def counted(
        client: ArtifactClient,
        store: ArtifactStore,
        artifact: bytes,
        max_bytes: int,
        prove: Prove | None,
    ) -> int:
        tries.append(artifact)
        return await download(client, store, artifact, max_bytes, prove)

    monkeypatch.setattr(ArtifactClient, "download_into", counted)
    fetching = asyncio.ensure_future(nodes[0].network.artifact_fetcher.ensure([wanted], 10))
    await until(lambda: len(tries) > 3, "all three others were asked, and one again")
    nodes[3].artifacts.put(CONTENT)
    assert await fetching


async def test_a_longer_wait_outlives_a_shorter_one(nodes: list[PeerNode]) -> None:
    wanted = nodes[3].artifacts.put(CONTENT)
    nodes[3].artifacts.remove(wanted)
    short = asyncio.ensure_future(nodes[0].network.artifact_fetcher.ensure([wanted], 0.2))
    long = asyncio.ensure_future(nodes[0].network.artifact_fetcher.ensure([wanted], 10))
    assert not await short
    nodes[3].artifacts.put(CONTENT)
    assert await long


async def test_a_cancelled_wait_leaves_nothing_behind(nodes: list[PeerNode]) -> None:
    waiting = asyncio.ensure_future(nodes[0].network.artifact_fetcher.ensure([bytes(32)], 60))
    await until(lambda: nodes[0].network.artifact_fetcher.num_wanted == 1)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await until(lambda: nodes[0].network.artifact_fetcher.num_wanted == 0)


async def test_a_liar_is_marked_and_another_asked(nodes: list[PeerNode]) -> None:
    liar, honest = nodes[1], nodes[2]
    id = liar.artifacts.put(CONTENT)
    honest.artifacts.put(CONTENT)
    path = liar.artifacts.path(id)
    path.write_bytes(CONTENT[:CHUNK_BYTES] + bytes(len(CONTENT) - CHUNK_BYTES))
    preferred = [liar.key.public_key]
    assert await nodes[0].network.artifact_fetcher.ensure([id], 10, preferred)
    assert nodes[0].artifacts.read(id) == CONTENT
    assert nodes[0].score(liar) > 40
    assert nodes[0].score(honest) == 0


async def test_one_that_goes_away_is_gone_around(nodes: list[PeerNode]) -> None:
    id = nodes[1].artifacts.put(CONTENT)
    nodes[2].artifacts.put(CONTENT)
    await nodes[1].network.stop(0)
    preferred = [nodes[1].key.public_key]
    assert await nodes[0].network.artifact_fetcher.ensure([id], 15, preferred)


async def test_an_artifact_that_is_larger_than_allowed_is_not_fetched(
    nodes: list[PeerNode],
) -> None:
    id = nodes[2].artifacts.put(CONTENT)
    fetcher = nodes[0].network.artifact_fetcher
    assert not await fetcher.ensure([id], 1, limits={id: len(CONTENT) - 1})
    assert nodes[0].artifacts.used_bytes() == 0
    assert nodes[0].linked() == 3, "the peer is not to blame"
    assert await fetcher.ensure([id], 5, limits={id: len(CONTENT)})


async def test_a_small_limit_of_one_caller_does_not_stop_another(nodes: list[PeerNode]) -> None:
    id = nodes[2].artifacts.put(CONTENT)
    fetcher = nodes[0].network.artifact_fetcher
    small, large = await asyncio.gather(
        fetcher.ensure([id], 5, limits={id: 1}), fetcher.ensure([id], 5)
    )
    assert small
    assert large
