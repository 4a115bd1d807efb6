"""Streams of events that leave out what does not concern some addresses."""

from __future__ import annotations

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.api.address_filter import BOOKMARK_BLOCKS, MAX_ADDRESSES
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import node_service_pb2 as pb
from fedcoin.v1.block_pb2 import TASK_PHASE_SETTLED
from tests.support.keys import ALICE, BOB, CAROL, STRANGER
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.served_api import ServedApi
from tests.support.transfers import transfer_to


def pay(live: ServedApi, sender: KeyPair, receiver: KeyPair) -> str:
    """Make a block with two transfers; returns the hash of the one between these two."""
    asked = live.chain.sign(sender, transfer_to((receiver.address, 5)))
    other = live.chain.sign(live.chain.miners[0], transfer_to((STRANGER.address, 1)))
    live.chain.produce(asked, other)
    return asked.hash.hex()


async def watched(live: ServedApi, up_to: int, *keys: KeyPair) -> list[pb.WatchEventsResponse]:
    """Take the events from height 1 on, up to a block that is known to be sent."""
    addresses = [format_address(key.address) for key in keys]
    found = []
    async for event in live.node.watch_events(1, addresses=addresses):
        found.append(event)
        if event.block.height == up_to:
            break
    return found


async def test_senders_and_receivers_get_their_transfers_only(live: ServedApi) -> None:
    hashes = [pay(live, ALICE, BOB), pay(live, BOB, CAROL), pay(live, ALICE, BOB)]
    found = await watched(live, 3, BOB)
    assert [list(event.transactions) for event in found] == [[hash] for hash in hashes]
    assert all(len(event.block.transactions) == 2 for event in found)
    found = await watched(live, 2, CAROL)
    assert [(event.block.height, list(event.transactions)) for event in found] == [(2, [hashes[1]])]
    found = await watched(live, 3, CAROL, ALICE)
    assert [event.block.height for event in found] == [1, 2, 3]


async def test_a_client_gets_its_tasks_and_payments(live: ServedApi) -> None:
    pay(live, ALICE, BOB)
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    job.settle({miner: additive(5, 3, 0) for miner in live.chain.miners})
    client = job.clients[0]
    found = await watched(live, live.chain.height, client)
    assert found[0].block.height > 1
    assert [task.task_id for event in found for task in event.tasks][-1] == job.task_id.hex()
    assert found[-1].tasks[0].phase == TASK_PHASE_SETTLED
    (payment,) = found[-1].payments
    assert payment.address == format_address(client.address)


async def test_without_addresses_nothing_is_left_out(live: ServedApi) -> None:
    pay(live, ALICE, BOB)
    pay(live, BOB, CAROL)
    found = await watched(live, 2)
    assert [event.block.height for event in found] == [1, 2]
    assert not any(event.transactions for event in found)


async def test_each_hundredth_block_is_a_place_to_continue_from(live: ServedApi) -> None:
    for _ in range(BOOKMARK_BLOCKS):
        live.chain.produce()
    (bookmark,) = await watched(live, BOOKMARK_BLOCKS, BOB)
    assert (len(bookmark.payments), len(bookmark.tasks), len(bookmark.transactions)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("addresses", "code", "field"),
    [
        (["nobody"], "BAD_ADDRESS", "address"),
        ([format_address(BOB.address)] * (MAX_ADDRESSES + 1), "MALFORMED", "addresses"),
    ],
    ids=["no address", "too many"],
)
async def test_refused(live: ServedApi, addresses: list[str], code: str, field: str) -> None:
    with pytest.raises(RpcError) as caught:
        await anext(live.node.watch_events(1, addresses=addresses))
    assert (caught.value.code, caught.value.field) == (code, field)
