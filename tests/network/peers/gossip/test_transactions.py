"""Transactions reach all nodes in few calls, and are not sent back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.call_limits import MAX_BATCH
from fedcoin.network.error_details import read_error_details
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.gossip import transaction_outbox
from fedcoin.network.peers.gossip.transaction_outbox import MAX_HASHES, Outbox
from fedcoin.v1 import transaction_relay_service_pb2 as pb
from fedcoin.v1.transaction_service_pb2 import SubmitTransactionRequest
from fedcoin.v1.transaction_service_pb2_grpc import TransactionServiceStub
from tests.support.keys import ALICE, BOB, MINERS, STRANGER
from tests.support.ledger_chain import LedgerChain
from tests.support.node_core import make_network_genesis
from tests.support.overlap import Overlap
from tests.support.peer_nodes import FAST, PeerNode, channel_to, running, visiting
from tests.support.transfers import sign_transfer
from tests.support.transfers import transfer_to as give
from tests.support.waiting import until

ALONE = replace(FAST, peer_exchange=False)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[PeerNode]:
    made = PeerNode(tmp_path / "node", make_network_genesis(), MINERS[0])
    async with running(made):
        yield made


@contextlib.asynccontextmanager
async def line(folder: Path, count: int) -> AsyncIterator[list[PeerNode]]:
    """Nodes in a line, each connected to the one before; none votes."""
    genesis = make_network_genesis()
    nodes: list[PeerNode] = []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            seeds = [nodes[-1].address] if nodes else []
            node = PeerNode(
                folder / str(number),
                genesis,
                MINERS[number],
                seeds,
                votes=False,
                options=ALONE,
            )
            await stack.enter_async_context(running(node))
            nodes.append(node)
        ends = (0, count - 1)
        await until(lambda: all(n.linked() == (1 if i in ends else 2) for i, n in enumerate(nodes)))
        yield nodes


def transfer_on(node: PeerNode, nonce: int, **given: Any) -> Transaction:
    """Sign a transfer for the network of a node."""
    return sign_transfer(nonce, genesis_hash=node.genesis.hash, **given)


def record(node: PeerNode) -> list[tuple[bytes, int]]:
    """Record for each call who sends this node how many transactions."""
    calls: list[tuple[bytes, int]] = []
    transactions = node.network.transaction_relay
    receive = transactions.receive

    async def recorded(peer: Peer, raws: Sequence[bytes]) -> int:
        calls.append((peer.key, len(raws)))
        return await receive(peer, raws)

    transactions.receive = recorded  # type: ignore[method-assign]
    return calls


async def test_from_one_end_to_the_other_and_not_back(tmp_path: Path) -> None:
    async with line(tmp_path, 4) as nodes:
        at_first = record(nodes[0])
        transaction = transfer_on(nodes[0], 0)
        await nodes[0].pool.submit(transaction)
        await until(lambda: nodes[3].pool.get(transaction.hash) is not None)
        # A transaction that was sent back would arrive before the next one has reached the far end.
        await nodes[0].pool.submit(transfer_on(nodes[0], 1))
        await until(lambda: len(nodes[3].pool.pending()) == 2)
        assert at_first == []
        # The same transactions from the other end are new for no node.
        at_last = record(nodes[3])
        await nodes[0].pool.submit(transaction)
        nodes[3].network.transaction_relay.relay(transaction)
        await nodes[0].pool.submit(transfer_on(nodes[0], 2))
        await until(lambda: len(nodes[3].pool.pending()) == 3)
        assert at_first == []
        assert at_last == [(nodes[2].key.public_key, 1)]


async def test_many_travel_in_few_calls(tmp_path: Path) -> None:
    async with line(tmp_path, 2) as nodes:
        calls = record(nodes[1])
        for nonce in range(60):
            await nodes[0].pool.submit(transfer_on(nodes[0], nonce))
        await until(lambda: len(nodes[1].pool.pending()) == 60)
        assert sum(count for _, count in calls) == 60
        assert len(calls) <= 10


async def test_a_new_peer_gets_the_pending_transactions(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0], votes=False)
    async with running(first):
        for nonce in range(5):
            await first.pool.submit(transfer_on(first, nonce))
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], [first.address], votes=False)
        async with running(second):
            await until(lambda: len(second.pool.pending()) == 5)


async def test_what_came_from_a_peer_is_offered_by_its_hash(tmp_path: Path) -> None:
    """In a full mesh, the bytes of a transaction reach each node once."""
    genesis = make_network_genesis()
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[PeerNode] = []
        for number in range(3):
            seeds = [other.address for other in nodes]
            key = MINERS[number]
            node = PeerNode(tmp_path / str(number), genesis, key, seeds, votes=False)
            await stack.enter_async_context(running(node))
            nodes.append(node)
        await until(lambda: all(node.linked() == 2 for node in nodes))
        calls = [record(node) for node in nodes]
        for nonce in range(3):
            await nodes[0].pool.submit(transfer_on(nodes[0], nonce))
        await until(lambda: all(len(node.pool.pending()) == 3 for node in nodes))
        await asyncio.sleep(0.1)
        assert [sum(count for _, count in call) for call in calls] == [0, 3, 3]


async def offer_by_hand(node: PeerNode, *hashes: bytes) -> list[bytes]:
    async with visiting(node) as link:
        reply = await link.transactions.RelayTransactions(
            pb.RelayTransactionsRequest(hashes=hashes), metadata=link.metadata
        )
        return list(reply.wanted)


async def test_a_node_asks_for_what_it_lacks(node: PeerNode) -> None:
    has, lacks = transfer_on(node, 0), transfer_on(node, 1)
    await node.pool.submit(has)
    assert await offer_by_hand(node, lacks.hash, has.hash) == [lacks.hash]
    # What was here before is not asked for again.
    node.network.transaction_relay.relay(lacks)
    assert await offer_by_hand(node, lacks.hash) == []


@pytest.mark.parametrize(
    ("hashes", "code"), [([bytes(31)], "MALFORMED"), ([bytes(32)] * (MAX_HASHES + 1), "TOO_LARGE")]
)
async def test_wrong_hashes_are_refused(node: PeerNode, hashes: list[bytes], code: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await offer_by_hand(node, *hashes)
    assert read_error_details(caught.value).reason == code


async def relay_by_hand(node: PeerNode, *raws: bytes) -> int:
    async with visiting(node) as link:
        reply = await link.transactions.RelayTransactions(
            pb.RelayTransactionsRequest(transactions=raws), metadata=link.metadata
        )
        return reply.accepted


async def test_what_was_dropped_is_taken_again(
    node: PeerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or who fills the mempools for a moment would keep a transaction from all validators."""
    dropped = transfer_on(node, 0)
    node.network.transaction_relay.relay(dropped)
    assert await offer_by_hand(node, dropped.hash) == []
    assert await relay_by_hand(node, dropped.raw) == 0
    monkeypatch.setattr(node.pool, "dropped_reason", {dropped.hash: "it made room"}.get)
    assert await offer_by_hand(node, dropped.hash) == [dropped.hash]
    assert await relay_by_hand(node, dropped.raw) == 1


async def test_what_both_sides_dropped_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user submits it again, and the peer that had it before must get its bytes again."""
    async with line(tmp_path, 2) as nodes:
        transaction = transfer_on(nodes[0], 0)
        calls = record(nodes[1])
        await nodes[0].pool.submit(transaction)
        await until(lambda: nodes[1].pool.get(transaction.hash) is not None)
        for node in nodes:
            node.mempool.remove(transaction.hash)
            monkeypatch.setattr(node.pool, "dropped_reason", {transaction.hash: "no room"}.get)
        await nodes[0].pool.submit(transaction)
        await until(lambda: nodes[1].pool.get(transaction.hash) is not None)
        assert [count for _, count in calls] == [1, 1]


async def test_one_batch_of_all_peers_is_verified_at_a_time(
    node: PeerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Overlap(node.pool.decode_all)
    monkeypatch.setattr(node.pool, "decode_all", verify)
    raws = [transfer_on(node, nonce).raw for nonce in range(12)]
    async with visiting(node) as one, visiting(node, BOB) as other:
        batches = zip((one, other) * 3, (raws[at : at + 2] for at in range(0, 12, 2)), strict=True)
        await asyncio.gather(
            *(
                link.transactions.RelayTransactions(
                    pb.RelayTransactionsRequest(transactions=batch), metadata=link.metadata
                )
                for link, batch in batches
            )
        )
    assert (verify.calls, verify.most) == (6, 1)


async def test_invalid_transactions_are_dropped_and_blamed_on_the_peer(node: PeerNode) -> None:
    good = transfer_on(node, 0)
    forged = bytearray(good.raw)
    forged[-1] ^= 1
    assert await relay_by_hand(node, bytes(forged)) == 0
    # A bad signature ends the connection, and its points outlive it.
    assert node.network.peer_set.get(STRANGER.public_key) is None
    assert await relay_by_hand(node, b"\xff\xff", good.raw, good.raw) == 1
    assert node.score(STRANGER) >= 65
    assert node.pool.get(good.hash) is not None


async def test_a_refusal_by_the_ledger_alone_blames_no_peer(node: PeerNode) -> None:
    assert await relay_by_hand(node, transfer_on(node, 0, fee=1).raw) == 0
    assert node.score(STRANGER) == 0


async def test_a_transaction_in_a_block_is_not_relayed(tmp_path: Path) -> None:
    chain = LedgerChain.create()
    paid = chain.sign(ALICE, give((BOB.address, 1000)))
    chain.produce(paid)
    node = PeerNode(tmp_path / "restarted", chain.genesis, MINERS[0], votes=False)
    await node.chain.import_block(chain.blocks[0], chain.certificates[0])
    async with running(node):
        relayed: list[bytes] = []
        node.network.transaction_relay.relay = lambda transaction: relayed.append(  # type: ignore[method-assign]
            transaction.hash
        )
        assert await relay_by_hand(node, paid.raw) == 0
    assert relayed == []


async def test_what_was_met_first_in_a_block_is_neither_asked_for_nor_verified(
    node: PeerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    final, other = transfer_on(node, 0), transfer_on(node, 1)
    node.network.transaction_relay.note_final([final])
    assert await offer_by_hand(node, final.hash, other.hash) == [other.hash]
    verified: list[bytes] = []
    decode_all = node.pool.decode_all

    async def noted(raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        verified.extend(raws)
        return await decode_all(raws)

    monkeypatch.setattr(node.pool, "decode_all", noted)
    await relay_by_hand(node, final.raw)
    assert verified == []


async def test_too_many_at_once_are_refused(node: PeerNode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await relay_by_hand(node, *[b"x"] * (MAX_BATCH + 1))
    assert read_error_details(caught.value).reason == "TOO_LARGE"
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_too_many_bytes_at_once_are_refused(node: PeerNode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await relay_by_hand(node, bytes(600_000), bytes(600_000))
    assert read_error_details(caught.value).reason == "TOO_LARGE"
    assert await relay_by_hand(node, bytes(2 << 20)) == 0


async def test_a_known_transaction_counts_once(node: PeerNode) -> None:
    good = [transfer_on(node, nonce).raw for nonce in range(3)]
    assert await relay_by_hand(node, *good, transfer_on(node, 50).raw, good[0]) == 4
    assert await relay_by_hand(node, *good) == 0


async def test_wallets_are_not_served(node: PeerNode) -> None:
    async with channel_to(node) as channel:
        stub = TransactionServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SubmitTransaction(SubmitTransactionRequest(transaction=sign_transfer(0).raw))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_full_outbox_lets_go_of_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_outbox, "MAX_WAITING", 3)
    monkeypatch.setattr(transaction_outbox, "MAX_WAITING_BYTES", 10)
    identity = Identity(STRANGER.public_key, "x", None, 0)
    outbox = Outbox(Peer(identity, "", outbound=False, now=0.0))
    for raw in (b"1", b"2", b"3", b"4"):
        outbox.put(raw)
    assert outbox.batch() == [b"2", b"3", b"4"]
    for raw in (b"12345", b"6789", b"abcd"):
        outbox.put(raw)
    assert outbox.batch() == [b"6789", b"abcd"]
    monkeypatch.setattr(transaction_outbox, "MAX_BATCH_BYTES", 3)
    for raw in (b"large", b"1", b"2", b"3", b"4"):
        outbox.put(raw)
    monkeypatch.setattr(transaction_outbox, "MAX_WAITING", 10)
    assert len(outbox) == 3
    assert [outbox.batch(), outbox.batch() if len(outbox) else None] == [[b"2", b"3", b"4"], None]
    for raw in (b"large", b"1", b"2"):
        outbox.put(raw)
    assert [outbox.batch(), outbox.batch()] == [[b"large"], [b"1", b"2"]]
