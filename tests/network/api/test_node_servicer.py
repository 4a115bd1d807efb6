"""NodeService on a live server over a real chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode

import fedcoin
from fedcoin.contract.state import records
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages import canonical
from fedcoin.data.protocol import PROTOCOL_VERSION
from fedcoin.network.api import request_fields
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import node_service_pb2 as pb
from fedcoin.v1 import node_service_pb2_grpc as rpc
from fedcoin.v1.block_pb2 import TASK_PHASE_COMMIT
from fedcoin.v1.state_pb2 import AccountState
from tests.support.database_edits import editing
from tests.support.genesis import CHAIN_ID, FDC, GENESIS_MS
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.served_api import NODE, ServedApi, serve_api
from tests.support.transfers import transfer_to
from tests.support.waiting import until


def pay(live: ServedApi, amount: int = FDC, to: KeyPair = BOB) -> bytes:
    """Make a block with one transfer; returns its hash."""
    transaction = live.chain.sign(ALICE, transfer_to((to.address, amount)))
    live.chain.produce(transaction)
    return transaction.hash


async def refused(call: object, code: str, field: str) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    assert (caught.value.code, caught.value.field) == (code, field)
    return caught.value


async def test_status_of_genesis(live: ServedApi) -> None:
    status = await live.node.get_status()
    assert status.chain_id == CHAIN_ID
    assert status.genesis_hash == status.block_hash == live.chain.genesis.hash.hex()
    assert status.app_hash == live.chain.ledger.app_hash.hex()
    assert (status.height, status.block_time_ms) == (0, GENESIS_MS)
    assert status.counted_supply == status.supply == live.chain.genesis.supply


async def test_status_after_a_block(live: ServedApi) -> None:
    pay(live)
    await live.pool.submit(live.chain.sign(ALICE, transfer_to((BOB.address, 1))))
    await live.peers.add("10.0.0.1:7050")
    live.port.catching_up = True
    status = await live.node.get_status()
    assert status.node_key == NODE.public_key.hex()
    assert status.address == format_address(NODE.address)
    assert (status.height, status.block_hash) == (1, live.chain.hash.hex())
    header = live.chain.header
    assert header is not None
    assert (status.app_hash, status.block_time_ms) == (header.app_hash.hex(), header.time_ms)
    assert (status.peers, status.pending_transactions) == (1, 1)
    assert status.catching_up
    assert status.validator
    assert status.mining
    assert 10 << 20 < status.rss_bytes < 10 << 30
    assert status.start_ms == 812
    assert status.worker_sandbox == "bubblewrap"
    assert status.max_artifact_bytes == 1 << 20
    assert status.counted_supply == status.supply
    assert status.peer_address == "127.0.0.1:7050"
    assert status.total_power == live.chain.ledger.validators().total_power
    assert status.connected_power == 5
    assert status.clock_difference_ms == -250
    assert status.tls_expiry_ms == 1_800_000_000_000
    votes = (status.last_vote_height, status.last_vote_ms, status.vote_overdue)
    assert votes == (7, 1_700_000_000_000, True)


async def test_version(live: ServedApi) -> None:
    version = await live.node.get_version()
    assert version.version == fedcoin.__version__
    assert version.protocol_version == PROTOCOL_VERSION


async def test_accounts(live: ServedApi) -> None:
    pay(live, 5 * FDC)
    bob = await live.node.get_account(BOB.address)
    assert (bob.address, bob.balance) == (format_address(BOB.address), 1_005 * FDC)
    miner = await live.node.get_account(NODE.address)
    assert (miner.bond, miner.unbonding) == (10 * FDC, 0)
    unused = await live.node.get_account(key_of("nobody").address)
    assert (unused.balance, unused.nonce, unused.bond) == (0, 0, 0)
    assert unused.address == format_address(key_of("nobody").address)


async def test_an_accounts_next_nonce_counts_pending_transactions(live: ServedApi) -> None:
    pay(live)
    assert (await live.node.get_account(ALICE.address)).nonce == 1
    for ahead in range(2):
        raw = live.chain.sign(ALICE, transfer_to((BOB.address, 1)), ahead=ahead).raw
        await live.node.submit_transaction(raw)
    assert (await live.node.get_account(ALICE.address)).nonce == 3


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("", "MALFORMED"),
        ("fc1qqqq", "BAD_ADDRESS"),
        ("00" * 20, "BAD_ADDRESS"),
        (format_address(bytes(20))[:-1] + "x", "BAD_ADDRESS"),
        ("x" * 100_000, "BAD_ADDRESS"),
    ],
)
async def test_malformed_addresses(live: ServedApi, address: str, code: str) -> None:
    failure = await refused(live.node.get_account(address), code, "address")
    assert failure.status is StatusCode.INVALID_ARGUMENT
    assert live.server.address in str(failure)


async def test_validators_come_in_pages(tmp_path: Path) -> None:
    async with serve_api(tmp_path, validators=5) as live:
        everyone = await live.node.list_validators()
        assert len(everyone) == 5
        assert [v.address for v in everyone] == [
            format_address(v.address) for v in live.chain.ledger.validators()
        ]
        assert sum(v.next_proposer for v in everyone) == 1
        assert {v.bond for v in everyone} == {10 * FDC}
        stub = rpc.NodeServiceStub(live.node.channel)
        seen: list[str] = []
        token = ""
        while True:
            request = pb.ListValidatorsRequest(page_size=2, page_token=token)
            reply = await stub.ListValidators(request)
            seen += [v.address for v in reply.validators]
            token = reply.next_page_token
            if not token:
                break
        assert seen == [v.address for v in everyone]


async def test_a_block_by_height_and_by_hash(live: ServedApi) -> None:
    first = pay(live)
    second = pay(live)
    by_height = await live.node.get_block(2)
    assert by_height == await live.node.get_block(live.chain.hash)
    assert by_height == await live.node.get_block(live.chain.hash.hex().upper())
    view = by_height.block
    header = live.chain.header
    assert header is not None
    assert (view.height, view.hash) == (2, live.chain.hash.hex())
    assert view.parent_hash == live.chain.blocks[0].hash.hex()
    assert view.proposer == format_address(header.proposer)
    assert list(view.transactions) == [second.hex()]
    assert len(view.signers) == 2
    assert first != second


async def test_the_first_digits_of_a_blocks_hash_are_enough(
    live: ServedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(17):
        pay(live)
    blocks = live.chain.blocks
    digits = blocks[4].hash.hex()
    for text in (digits[:8], digits[:63].upper()):
        assert (await live.node.get_block(text)).block.hash == digits
    # Of 17 hashes, two begin with the same digit.
    monkeypatch.setattr(request_fields, "MIN_HASH_DIGITS", 1)
    by_digit = [[one for one in blocks if one.hash.hex()[0] == each] for each in "0123456789abcdef"]
    shared = next(group for group in by_digit if len(group) > 1)
    failure = await refused(live.node.get_block(shared[0].hash.hex()[0]), "MALFORMED", "hash")
    assert all(one.hash.hex() in failure.message for one in shared[:5])


async def test_blocks_that_are_not_there(live: ServedApi) -> None:
    pay(live)
    for which, field in ((2, "height"), (2**63 - 1, "height"), (bytes(32), "hash")):
        failure = await refused(live.node.get_block(which), "BLOCK_NOT_FOUND", field)
        assert failure.status is StatusCode.NOT_FOUND
        assert failure.limit == "1"
    await refused(live.node.get_block(0), "MALFORMED", "height")
    await refused(live.node.get_block(2**64 - 1), "MALFORMED", "height")
    await refused(live.node.get_block("0" * 8), "BLOCK_NOT_FOUND", "hash")
    for hash in ("", "ab", "0" * 7, "g" * 64, "g" * 8, "ab " * 32, "0" * 65):
        await refused(live.node.get_block(hash), "MALFORMED", "hash")
    stub = rpc.NodeServiceStub(live.node.channel)
    call = live.node.call(stub.GetBlock, pb.GetBlockRequest())
    await refused(call, "BAD_SELECTOR", "selector")


async def test_blocks_come_latest_first_and_in_pages(live: ServedApi) -> None:
    for _ in range(7):
        live.chain.produce()
    assert [b.height for b in await live.node.list_blocks(3)] == [7, 6, 5]
    assert [b.height for b in await live.node.list_blocks(100)] == [7, 6, 5, 4, 3, 2, 1]
    stub = rpc.NodeServiceStub(live.node.channel)
    first = await stub.ListBlocks(pb.ListBlocksRequest(page_size=3))
    live.chain.produce()
    rest = await stub.ListBlocks(
        pb.ListBlocksRequest(page_size=100, page_token=first.next_page_token)
    )
    assert [b.height for b in rest.blocks] == [4, 3, 2, 1]
    assert rest.next_page_token == ""


async def test_no_blocks_is_an_empty_page(live: ServedApi) -> None:
    assert await live.node.list_blocks() == []


@pytest.mark.parametrize("token", ["x", "!!!!", "AAAA", "A" * 4_000, "é"])
async def test_page_tokens_that_no_list_gave(live: ServedApi, token: str) -> None:
    stub = rpc.NodeServiceStub(live.node.channel)
    call = live.node.call(stub.ListBlocks, pb.ListBlocksRequest(page_token=token))
    failure = await refused(call, "BAD_PAGE_TOKEN", "page_token")
    assert failure.status is StatusCode.INVALID_ARGUMENT


async def test_fees(live: ServedApi) -> None:
    fees = await live.node.get_fees()
    rules = live.chain.genesis.parameters
    assert (fees.base_fee, fees.fee_per_kib) == (rules.base_fee, rules.fee_per_kib)
    assert (fees.max_expiry_blocks, fees.min_bond) == (rules.max_expiry_blocks, rules.min_bond)
    assert fees.commit_deposit == rules.commit_deposit
    assert (fees.mempool_fee_rate, fees.next_block_fee_rate) == (0, 0)
    assert (fees.state_fee, fees.task_deposit) == (rules.state_fee, rules.task_deposit)
    pending = live.pool.pending()
    assert fees.pending_transactions == len(pending)
    assert fees.pending_bytes == sum(len(transaction.raw) for transaction in pending)


async def test_peers_by_address(live: ServedApi) -> None:
    for host in ("10.0.0.2:7050", "10.0.0.1:7050"):
        await live.peers.add(host)
    peers = await live.node.list_peers()
    assert [peer.address for peer in peers] == ["10.0.0.1:7050", "10.0.0.2:7050"]
    assert peers[0].node_key == key_of("10.0.0.1:7050").public_key.hex()
    assert (peers[0].outbound, peers[0].height, peers[0].agent) == (True, 3, "fedcoin/0.1.0")


async def test_events_of_the_past_and_then_live(live: ServedApi) -> None:
    pay(live)
    pay(live)
    events = live.node.watch_events(from_height=1)
    assert [(await anext(events)).block.height for _ in range(2)] == [1, 2]
    waiting = asyncio.ensure_future(anext(events))
    await until(lambda: live.port.num_waiting == 1)
    assert not waiting.done()
    pay(live)
    assert (await waiting).block.height == 3
    await events.aclose()


async def test_events_tell_what_was_paid_and_which_tasks_moved(live: ServedApi) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    opened = live.chain.height
    job.settle({miner: additive(5, 3, 0) for miner in live.chain.miners})
    events = [event async for event in take(live, opened)]
    assert [task.phase for task in events[0].tasks] == [TASK_PHASE_COMMIT]
    settled = events[-1]
    assert settled.block.settlement.task_id == job.task_id.hex()
    assert sum(payment.amount for payment in settled.payments) >= 5 * FDC
    assert {payment.height for payment in settled.payments} == {live.chain.height}


async def take(live: ServedApi, first: int) -> AsyncIterator[pb.WatchEventsResponse]:
    async for event in live.node.watch_events(first):
        yield event
        if event.block.height == live.chain.height:
            return


async def test_events_from_the_next_block_on(live: ServedApi) -> None:
    pay(live)
    events = live.node.watch_events()
    waiting = asyncio.ensure_future(anext(events))
    await until(lambda: live.port.num_waiting == 1)
    pay(live)
    assert (await waiting).block.height == 2
    await events.aclose()


async def test_events_may_be_awaited_a_little_ahead_of_the_chain(live: ServedApi) -> None:
    events = live.node.watch_events(3)
    waiting = asyncio.ensure_future(anext(events))
    await until(lambda: live.port.num_waiting == 1)
    for _ in range(3):
        live.chain.produce()
    assert (await waiting).block.height == 3
    await events.aclose()


@pytest.mark.parametrize("height", [10_002, 2**63, 2**64 - 1])
async def test_events_from_nowhere(live: ServedApi, height: int) -> None:
    failure = await refused(anext(live.node.watch_events(height)), "OUT_OF_RANGE", "from_height")
    assert failure.status is StatusCode.OUT_OF_RANGE


async def test_supply_is_counted_and_not_assumed(live: ServedApi) -> None:
    # No block can create coins, but an edit of the database can.
    forged = canonical.encode(AccountState(balance=7))
    with editing(live.folder / "chain.sqlite") as connection:
        where = records.ACCOUNTS.prefix + key_of("thief").address
        connection.execute("INSERT INTO state VALUES (?, ?)", (where, forged))
    status = await live.node.get_status()
    assert status.supply == live.chain.genesis.supply
    assert status.counted_supply == status.supply + 7
