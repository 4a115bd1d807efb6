"""Catching up on real blocks from honest and dishonest peers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.contract.state.state_tree import StateTree
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.network.error_details import read_error_details
from fedcoin.network.peers.connections import peer
from fedcoin.network.peers.gossip import consensus_stream
from fedcoin.network.peers.protection import limits
from fedcoin.network.peers.protection.limits import LIMITS, Limit
from fedcoin.network.peers.sync import block_source, catch_up, source_pace
from fedcoin.network.ports.consensus_port import Position
from fedcoin.v1 import block_gossip_service_pb2 as pb
from fedcoin.v1.block_pb2 import Block
from fedcoin.v1.transaction_pb2 import Bond
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_chain import LedgerChain
from tests.support.peer_nodes import PeerNode, running, visiting
from tests.support.transfers import transfer_to
from tests.support.waiting import until

KEYS = [KeyPair.from_seed(bytes([i]) * 32) for i in range(50, 56)]


def grown(blocks: int) -> LedgerChain:
    chain = LedgerChain.create()
    for _ in range(blocks):
        chain.produce(chain.sign(ALICE, transfer_to((BOB.address, 1000))))
    return chain


@pytest.fixture(scope="module")
def chain() -> LedgerChain:
    return grown(40)


async def node_at(
    folder: Path, chain: LedgerChain, number: int, height: int | None = None
) -> PeerNode:
    """A node that does not vote and has the first blocks of a chain."""
    node = PeerNode(folder / str(number), chain.genesis, KEYS[number], votes=False)
    for block, certificate in zip(chain.blocks[:height], chain.certificates, strict=False):
        await node.chain.import_block(block, certificate)
    return node


async def caught_up(node: PeerNode, chain: LedgerChain, timeout_s: float = 20) -> None:
    await asyncio.wait_for(node.chain.wait_above(chain.height - 1), timeout_s)
    assert node.store.tip_hash() == chain.hash
    await until(lambda: not node.chain.catching_up)


def score(node: PeerNode, number: int) -> float | None:
    peer = node.network.peer_set.get(KEYS[number].public_key)
    return None if peer is None else peer.score.value(node.network.peer_set.now())


async def test_from_several_peers_at_once(tmp_path: Path, chain: LedgerChain) -> None:
    sources = [await node_at(tmp_path, chain, number) for number in range(2)]
    late = await node_at(tmp_path, chain, 2, height=3)
    async with running(*sources, late):
        for source in sources:
            await late.network.add(source.address)
        await caught_up(late, chain)
        given = [late.peer(KEYS[number]).useful_blocks for number in range(2)]
        assert sum(given) == 37
        assert [score(late, number) for number in range(2)] == [0, 0]


async def test_through_a_change_of_validators(tmp_path: Path) -> None:
    chain = grown(3)
    chain.produce(chain.sign(BOB, Bond(amount=50 * FDC)))
    chain.keys[BOB.address] = BOB
    for _ in range(5):
        chain.produce()
    source = await node_at(tmp_path, chain, 0)
    late = await node_at(tmp_path, chain, 1, height=0)
    async with running(source, late):
        await late.network.add(source.address)
        await caught_up(late, chain)


async def test_an_announcement_is_enough(tmp_path: Path) -> None:
    chain = grown(2)
    source = await node_at(tmp_path, chain, 0)
    late = await node_at(tmp_path, chain, 1)
    async with running(source, late):
        await late.network.add(source.address)
        await until(lambda: source.linked() == late.linked() == 1)
        for _ in range(3):
            chain.produce()
            await source.chain.import_block(chain.blocks[-1], chain.certificates[-1])
        await caught_up(late, chain)


async def with_liar(
    folder: Path,
    chain: LedgerChain,
    corrupt: Callable[[PeerNode], None],
    check: Callable[[PeerNode], None],
) -> None:
    """Catch up while the first peer lies; returns what became of that peer."""
    liar, honest = [await node_at(folder, chain, number) for number in range(2)]
    corrupt(liar)
    late = await node_at(folder, chain, 2, height=0)
    async with running(liar, honest, late):
        await late.network.add(liar.address)
        # The liar must be asked before an honest peer is there.
        await until(lambda: score(late, 0) != 0)
        await late.network.add(honest.address)
        await caught_up(late, chain)
        check(late)


def banned(late: PeerNode) -> None:
    assert late.network.peer_set.banned() == {KEYS[0].public_key}


async def test_a_peer_that_sends_a_changed_block_is_banned(
    tmp_path: Path, chain: LedgerChain
) -> None:
    def corrupt(liar: PeerNode) -> None:
        block = liar.store.block

        def changed(height: int) -> StoredBlock | None:
            stored = block(height)
            if stored is None or height != 5:
                return stored
            message = Block.FromString(stored.raw)
            message.transactions[0] = message.transactions[0][:-1] + b"x"
            return StoredBlock(message.SerializeToString(), stored.certificate)

        liar.store.block = changed  # type: ignore[method-assign]

    await with_liar(tmp_path, chain, corrupt, banned)


async def test_a_peer_that_sends_another_block_is_banned(
    tmp_path: Path, chain: LedgerChain
) -> None:
    def corrupt(liar: PeerNode) -> None:
        block = liar.store.block
        liar.store.block = lambda height: block(min(height, 4))  # type: ignore[method-assign]

    await with_liar(tmp_path, chain, corrupt, banned)


async def test_a_peer_with_forged_headers_is_banned(tmp_path: Path, chain: LedgerChain) -> None:
    def corrupt(liar: PeerNode) -> None:
        certificate = liar.store.certificate

        def cut(height: int) -> bytes | None:
            found = certificate(height)
            return found and found[: len(found) // 2]

        liar.store.certificate = cut  # type: ignore[method-assign]

    await with_liar(tmp_path, chain, corrupt, banned)


async def test_a_peer_that_sends_a_wrong_certificate_is_banned(
    tmp_path: Path, chain: LedgerChain
) -> None:
    def corrupt(liar: PeerNode) -> None:
        block = liar.store.block

        def uncertified(height: int) -> StoredBlock | None:
            stored = block(height)
            return stored and StoredBlock(stored.raw, b"")

        liar.store.block = uncertified  # type: ignore[method-assign]

    await with_liar(tmp_path, chain, corrupt, banned)


async def test_a_peer_that_announces_blocks_that_it_lacks_loses_reputation(
    tmp_path: Path, chain: LedgerChain
) -> None:
    late = await node_at(tmp_path, chain, 2, height=2)
    honest = await node_at(tmp_path, chain, 1)
    boaster = await node_at(tmp_path, chain, 0, height=2)
    boaster.agreement.status = lambda: Position(1001, 0)  # type: ignore[method-assign]
    async with running(late, honest, boaster):
        await late.network.add(boaster.address)
        await until(lambda: score(late, 0) != 0)
        await late.network.add(honest.address)
        await caught_up(late, chain)


async def test_a_peer_that_stops_in_the_middle_is_replaced(
    tmp_path: Path, chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_source, "BLOCK_S", 0.5)
    lazy, honest = [await node_at(tmp_path, chain, number) for number in range(2)]
    block = lazy.store.block

    def slow(height: int) -> StoredBlock | None:
        if height > 2:
            time.sleep(0.7)
        return block(height)

    lazy.store.block = slow  # type: ignore[method-assign]
    late = await node_at(tmp_path, chain, 2, height=0)
    async with running(lazy, honest, late):
        await late.network.add(lazy.address)
        await late.network.add(honest.address)
        await caught_up(late, chain)


async def test_ranges_are_bounded_and_end_where_the_chain_ends(
    tmp_path: Path, chain: LedgerChain
) -> None:
    node = await node_at(tmp_path, chain, 0)
    async with running(node), visiting(node) as link:
        headers = await link.gossip.ListHeaders(
            pb.ListHeadersRequest(from_height=5, page_size=3), metadata=link.metadata
        )
        assert [h.header for h in headers.headers] == [b.header_bytes for b in chain.blocks[4:7]]
        everything = await link.gossip.ListHeaders(
            pb.ListHeadersRequest(from_height=1), metadata=link.metadata
        )
        assert len(everything.headers) == 40
        request = pb.StreamBlocksRequest(from_height=39, to_height=10**18)
        call = link.gossip.StreamBlocks(request, metadata=link.metadata)
        assert [reply.block async for reply in call] == [b.raw for b in chain.blocks[38:]]
        request.from_height, request.message_blocks = 1, 1_000
        sizes = [
            1 + len(reply.following)
            async for reply in link.gossip.StreamBlocks(request, metadata=link.metadata)
        ]
        assert sizes == [32, 8]
        for height in (0, 41, 2**64 - 1):
            wrong = link.gossip.StreamBlocks(
                pb.StreamBlocksRequest(from_height=height), metadata=link.metadata
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await wrong.read()
            assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
            assert read_error_details(caught.value).limit == "40"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await link.gossip.AnnounceBlock(
                pb.AnnounceBlockRequest(height=1, block_hash=b"short"), metadata=link.metadata
            )
        assert read_error_details(caught.value).reason == "MALFORMED"


async def test_a_long_chain_of_small_blocks_from_one_peer(
    tmp_path: Path, chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that serves many blocks quickly must not count as flooding."""
    slow = Limit(64, rate=20, burst=8, concurrent=4)
    monkeypatch.setattr(peer, "RANGE_LIMIT", slow)
    monkeypatch.setattr(limits, "LIMITS", {**LIMITS, "BlockGossipService/StreamBlocks": slow})
    monkeypatch.setattr(block_source, "RANGE_BLOCKS", 1)
    source = await node_at(tmp_path, chain, 0)
    late = await node_at(tmp_path, chain, 1, height=0)
    async with running(source, late):
        await late.network.add(source.address)
        await caught_up(late, chain)
        assert score(source, 1) == 0


async def test_fast_catch_up_does_not_flood_peers_with_statuses(
    tmp_path: Path, chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Limit(64, rate=20, burst=10)
    monkeypatch.setattr(limits, "LIMITS", {**LIMITS, "ConsensusMessage/status": few})
    monkeypatch.setattr(consensus_stream, "LIMITS", limits.LIMITS)
    source = await node_at(tmp_path, chain, 0)
    late = await node_at(tmp_path, chain, 1, height=0)
    async with running(source, late):
        await late.network.add(source.address)
        await caught_up(late, chain)
        # The node still learns the peer's final height.
        await until(lambda: source.peer(late).height == chain.height)
        assert score(source, 1) == 0


async def test_one_peer_lies_one_is_slow_and_one_vanishes(
    tmp_path: Path, chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest peer's blocks are enough, and nobody waits for the slow peer's answers."""
    monkeypatch.setattr(block_source, "RANGE_BLOCKS", 4)
    monkeypatch.setattr(block_source, "STALL_S", 0.1)
    liar, slow, vanishing, honest = [await node_at(tmp_path, chain, n) for n in range(4)]
    read = liar.store.block
    liar.store.block = lambda height: read(max(1, height - 1))  # type: ignore[method-assign]
    asked, gone = threading.Event(), threading.Event()
    delay(slow, until_set=gone)
    delay(vanishing, until_set=gone, asked=asked)
    late = await node_at(tmp_path, chain, 4, height=0)
    async with running(liar, slow, vanishing, honest, late):
        for source in (liar, slow, vanishing, honest):
            await late.network.add(source.address)
        await asyncio.to_thread(asked.wait, 10)
        stopping = asyncio.ensure_future(vanishing.network.stop(0))
        await caught_up(late, chain)
        gone.set()
        await stopping
        assert KEYS[0].public_key in late.network.peer_set.banned()
        assert late.peer(honest).useful_blocks > 0
        assert score(late, 3) == 0


async def test_peers_that_come_later_help_with_what_a_slow_one_sends_block_by_block(
    tmp_path: Path, chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_source, "MAX_MESSAGE_BLOCKS", 1)
    monkeypatch.setattr(block_source, "MAX_RANGE_S", 0.1)
    slow, honest = [await node_at(tmp_path, chain, n) for n in range(2)]
    read = slow.store.block

    def drip(height: int) -> StoredBlock | None:
        time.sleep(0.2)  # Less than STALL_S.
        return read(height)

    slow.store.block = drip  # type: ignore[method-assign]
    late = await node_at(tmp_path, chain, 2, height=0)
    async with running(slow, honest, late):
        await late.network.add(slow.address)
        await until(lambda: late.chain.height() > 0)
        await late.network.add(honest.address)
        await caught_up(late, chain)
        assert late.peer(honest).useful_blocks > 0


@pytest.mark.slow
@pytest.mark.attack
async def test_four_dripping_peers_that_came_first_give_way_to_a_faster_one(
    tmp_path: Path,
    chain: LedgerChain,
    monkeypatch: pytest.MonkeyPatch,
    report_attack: ReportAttack,
) -> None:
    monkeypatch.setattr(block_source, "MAX_MESSAGE_BLOCKS", 1)
    monkeypatch.setattr(block_source, "RANGE_BLOCKS", 4)
    monkeypatch.setattr(catch_up, "REVIEW_S", 0.05)
    *drippers, honest = [await node_at(tmp_path, chain, n) for n in range(5)]
    enough = threading.Event()
    for dripper in drippers:
        drip(dripper, enough)
    late = await node_at(tmp_path, chain, 5, height=0)
    async with running(*drippers, honest, late):
        for dripper in drippers:
            await late.network.add(dripper.address)
        await until(lambda: late.chain.height() > 0)
        await late.network.add(honest.address)
        await caught_up(late, chain)
        enough.set()
        assert late.peer(honest).useful_blocks > 20
    report_attack(
        "be the first four peers of a node that is far behind, and send it two blocks a second",
        "eight blocks a second, whoever connects later",
        "a fifth peer is asked beside them, and the slow ones are left",
    )


@pytest.mark.slow
@pytest.mark.attack
async def test_a_peer_that_is_fast_at_first_is_not_the_only_source_for_long(
    tmp_path: Path,
    chain: LedgerChain,
    monkeypatch: pytest.MonkeyPatch,
    report_attack: ReportAttack,
) -> None:
    monkeypatch.setattr(block_source, "MAX_MESSAGE_BLOCKS", 1)
    monkeypatch.setattr(block_source, "RANGE_BLOCKS", 4)
    monkeypatch.setattr(source_pace, "TRIAL_BLOCKS", 1)
    monkeypatch.setattr(catch_up, "REVIEW_S", 0.05)
    liar, honest = [await node_at(tmp_path, chain, n) for n in range(2)]
    drip(liar, threading.Event(), first=21)
    drip(honest, threading.Event(), 0.1)
    late = await node_at(tmp_path, chain, 2, height=0)
    async with running(liar, honest, late):
        for peer in (liar, honest):
            await late.network.add(peer.address)
        await caught_up(late, chain)
        assert late.peer(honest).useful_blocks > 7
    report_attack(
        "send a node that is far behind one range at once, so that slower peers are left, and then"
        " two blocks a second",
        "the other peers stay left: two blocks a second, for as long as 20,000 blocks",
        "the others are asked again within a second, and it is left",
    )


def drip(node: PeerNode, enough: threading.Event, seconds: float = 0.4, *, first: int = 0) -> None:
    """Let a peer take 0.4 s, less than STALL_S, for each block, or those from a first on."""
    read = node.store.block

    def slow(height: int) -> StoredBlock | None:
        if height >= first:
            enough.wait(seconds)
        return read(height)

    node.store.block = slow  # type: ignore[method-assign]


def delay(node: PeerNode, until_set: threading.Event, asked: threading.Event | None = None) -> None:
    """Let a peer answer no request for blocks before an event."""
    read = node.store.block

    def delayed(height: int) -> StoredBlock | None:
        if asked is not None:
            asked.set()
        until_set.wait(20)
        return read(height)

    node.store.block = delayed  # type: ignore[method-assign]


async def test_blocks_before_an_invalid_one_are_kept(tmp_path: Path, chain: LedgerChain) -> None:
    node = await node_at(tmp_path, chain, 0, height=2)
    heights: list[tuple[int, bool]] = []
    node.chain.on_block(lambda new: heights.append((new.block.height, new.is_followed)))
    certified = list(zip(chain.blocks, chain.certificates, strict=True))
    wrong = (chain.blocks[6], chain.certificates[5])
    with pytest.raises(RefusalError) as caught:
        await node.chain.import_blocks([*certified[:6], wrong, *certified[7:]])
    assert caught.value.code is ConsensusCode.BAD_CERTIFICATE
    assert node.chain.height() == 6
    assert heights == [(3, True), (4, True), (5, True), (6, False)]
    await node.chain.import_blocks(certified)
    assert node.store.tip_hash() == chain.hash
    assert node.chain.ledger.app_hash == StateTree.load(node.store.scan(b"")).root
    node.store.close()


async def test_progress_is_told_while_blocks_are_fetched(
    tmp_path: Path, chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "MAX_STEP_BLOCKS", 1)
    source = await node_at(tmp_path, chain, 0)
    late = await node_at(tmp_path, chain, 1, height=0)
    seen: list[int] = []

    def look(_: object) -> None:
        progress = late.network.sync_progress()
        if progress is not None:
            seen.append(progress.target_height)

    late.chain.on_block(look)
    async with running(source, late):
        await late.network.add(source.address)
        await caught_up(late, chain)
        assert set(seen) == {chain.height}
        assert late.network.sync_progress() is None
