"""TransactionService on a live server with mempool and chain."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.api import request_fields
from fedcoin.network.call_limits import MAX_BATCH, CallLimits
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.host_groups import HostGroups
from fedcoin.v1 import transaction_service_pb2 as pb
from fedcoin.v1 import transaction_service_pb2_grpc as rpc
from fedcoin.v1.transaction_pb2 import SignedTransaction
from fedcoin.v1.views_pb2 import (
    TRANSACTION_STATUS_DROPPED,
    TRANSACTION_STATUS_FINAL,
    TRANSACTION_STATUS_PENDING,
)
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, CAROL
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.overlap import Overlap
from tests.support.served_api import ServedApi, serve_api
from tests.support.transfers import transfer_to
from tests.support.waiting import until


def payment(live: ServedApi, amount: int = FDC, ahead: int = 0, **options: Any) -> Transaction:
    return live.chain.sign(ALICE, transfer_to((BOB.address, amount)), ahead=ahead, **options)


def stub_of(live: ServedApi) -> Any:
    return rpc.TransactionServiceStub(live.node.channel)


async def refused(call: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_submitting_is_idempotent_before_and_after_the_block(live: ServedApi) -> None:
    transaction = payment(live)
    for _ in range(2):
        assert await live.node.submit_transaction(transaction.raw) == transaction.hash.hex()
    assert len(live.pool.pending()) == 1
    live.chain.produce(transaction)
    assert await live.node.submit_transaction(transaction.raw) == transaction.hash.hex()
    assert len(live.pool.pending()) == 0


async def test_refusals_of_the_ledger_have_their_code(live: ServedApi) -> None:
    failure = await refused(live.node.submit_transaction(payment(live, nonce=7).raw))
    assert failure.status is StatusCode.FAILED_PRECONDITION
    assert (failure.code, failure.field) == ("NONCE_TOO_HIGH", "nonce")
    failure = await refused(live.node.submit_transaction(payment(live, amount=10**12).raw))
    assert failure.code == "INSUFFICIENT_BALANCE"
    failure = await refused(live.node.submit_transaction(payment(live, fee=1).raw))
    assert (failure.status, failure.code) == (StatusCode.INVALID_ARGUMENT, "FEE_TOO_LOW")
    assert live.server.address in str(failure)


@pytest.mark.attack
async def test_a_hosts_batches_count_by_their_transactions(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    limits = CallLimits(
        transactions_per_second=0.001, transactions_burst=5, hosts=HostGroups(exempt=())
    )
    async with serve_api(tmp_path, limits=limits) as live:
        good = payment(live)
        results = await live.node.submit_transactions([b"x"] * 4)
        assert [one.reason for one in results] == ["MALFORMED"] * 4
        failure = await refused(live.node.submit_transactions([good.raw, b"x"]))
        assert (failure.status, failure.code) == (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert not live.pool.pending()
        await live.node.submit_transaction(good.raw)
        assert (await refused(live.node.submit_transaction(good.raw))).code == "RATE_LIMITED"
    report_attack(
        "send batches of 256 invalid transactions from one host, each of which counts as one call",
        "512,000 signatures a second are checked for it, 28 s of processor time",
        "2,000 a second, 0.11 s; then `RATE_LIMITED`",
    )


async def test_each_transaction_of_a_batch_is_answered_for_itself(live: ServedApi) -> None:
    first, second = payment(live), payment(live, ahead=1)
    gap = payment(live, nonce=7)
    raws = [first.raw, b"x", gap.raw, second.raw, first.raw]
    results = await live.node.submit_transactions(raws)
    assert [one.reason for one in results] == ["", "MALFORMED", "NONCE_TOO_HIGH", "", ""]
    hashes = [first.hash.hex(), "", gap.hash.hex(), second.hash.hex(), first.hash.hex()]
    assert [one.hash for one in results] == hashes
    assert (results[2].field, results[2].limit) == ("nonce", "1")
    assert "next is 1" in results[2].message
    assert list(live.pool.pending()) == [first, second]


async def test_a_batch_is_bounded(live: ServedApi) -> None:
    failure = await refused(live.node.submit_transactions([b"x"] * (MAX_BATCH + 1)))
    assert (failure.code, failure.field) == ("TOO_LARGE", "transactions")


async def test_one_batch_is_verified_at_a_time(
    live: ServedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or invalid signatures would take all threads, and a validator would sign no vote."""
    verify = Overlap(live.pool.decode_all)
    monkeypatch.setattr(live.pool, "decode_all", verify)
    calls = (live.node.submit_transactions([b"x"] * 8) for _ in range(6))
    for results in await asyncio.gather(*calls):
        assert [one.reason for one in results] == ["MALFORMED"] * 8
    assert (verify.calls, verify.most) == (6, 1)


async def test_what_is_no_transaction_is_refused(live: ServedApi) -> None:
    stub = stub_of(live)
    call = live.node.call(stub.SubmitTransaction, pb.SubmitTransactionRequest())
    failure = await refused(call)
    assert (failure.code, failure.field) == ("MALFORMED", "transaction")
    forged = SignedTransaction.FromString(payment(live).raw)
    forged.signature = bytes(64)
    failure = await refused(live.node.submit_transaction(forged.SerializeToString()))
    assert (failure.code, failure.field) == ("BAD_SIGNATURE", "signature")
    failure = await refused(live.node.submit_transaction(b"\xff\xff"))
    assert failure.code == "MALFORMED"
    huge = SignedTransaction(body=bytes(2 << 20), public_key=bytes(32), signature=bytes(64))
    failure = await refused(live.node.submit_transaction(huge.SerializeToString()))
    assert (failure.status, failure.code) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE")
    assert len(live.pool.pending()) == 0


async def test_a_transaction_on_its_way(live: ServedApi) -> None:
    transaction = payment(live)
    await live.node.submit_transaction(transaction.raw)
    view = await live.node.get_transaction(transaction.hash)
    assert view.status == TRANSACTION_STATUS_PENDING
    assert (view.hash, view.height) == (transaction.hash.hex(), 0)
    live.chain.produce(live.chain.sign(CAROL, transfer_to((BOB.address, 1))), transaction)
    view = await live.node.get_transaction(transaction.hash.hex().upper())
    assert view.status == TRANSACTION_STATUS_FINAL
    assert (view.height, view.index) == (1, 1)
    assert view.sender == format_address(ALICE.address)
    assert (view.action, view.nonce, view.fee) == ("transfer", 0, transaction.body.fee)
    details = json.loads(view.details_json)
    assert details == {"outputs": [{"recipient": format_address(BOB.address), "amount": FDC}]}


async def test_a_pending_task_is_shown_with_its_clients_updates(live: ServedApi) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    opening = live.chain.sign(job.server, job.task_terms())
    await live.node.submit_transaction(opening.raw)
    (view,) = await live.node.list_pending_transactions()
    assert view.action == "open_task"
    details = json.loads(view.details_json)
    shown = [update["update"]["address"] for update in details["updates"]]
    assert shown == [format_address(client.address) for client in job.clients]


async def test_the_first_digits_of_a_hash_are_enough(
    live: ServedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = [live.chain.sign(CAROL, transfer_to((BOB.address, 1)), nonce=n) for n in range(17)]
    digits = [one.hash.hex()[:8] for one in signed]
    live.chain.produce(signed[0])
    await live.node.submit_transaction(signed[1].raw)
    for index, status in enumerate((TRANSACTION_STATUS_FINAL, TRANSACTION_STATUS_PENDING)):
        for text in (digits[index], signed[index].hash.hex()[:63].upper()):
            view = await live.node.get_transaction(text)
            assert (view.hash, view.status) == (signed[index].hash.hex(), status)
    failure = await refused(live.node.get_transaction(digits[2]))
    assert (failure.code, digits[2] in failure.message) == ("TRANSACTION_NOT_FOUND", True)
    for wrong in (digits[0][:7], digits[0] + "g", digits[0] + " "):
        failure = await refused(live.node.get_transaction(wrong.replace(" ", " a")))
        assert (failure.code, failure.field) == ("MALFORMED", "hash")
    # Of 17 hashes, two begin with the same digit.
    monkeypatch.setattr(request_fields, "MIN_HASH_DIGITS", 1)
    live.chain.produce(*signed[1:9])
    for transaction in signed[9:]:
        await live.node.submit_transaction(transaction.raw)
    by_digit = [[one for one in signed if one.hash.hex()[0] == each] for each in "0123456789abcdef"]
    shared = next(group for group in by_digit if len(group) > 1)
    failure = await refused(live.node.get_transaction(shared[0].hash.hex()[0]))
    assert failure.code == "MALFORMED"
    assert all(one.hash.hex() in failure.message for one in shared[:5])


async def test_unknown_and_malformed_hashes(live: ServedApi) -> None:
    failure = await refused(live.node.get_transaction(bytes(32)))
    assert (failure.status, failure.code) == (StatusCode.NOT_FOUND, "TRANSACTION_NOT_FOUND")
    failure = await refused(live.node.get_transaction("abc"))
    assert (failure.status, failure.field) == (StatusCode.INVALID_ARGUMENT, "hash")
    failure = await refused(anext(live.node.watch_transaction(bytes(32))))
    assert failure.code == "TRANSACTION_NOT_FOUND"
    failure = await refused(anext(live.node.watch_transaction("")))
    assert (failure.code, failure.field) == ("MALFORMED", "hash")


async def test_watching_until_final(live: ServedApi) -> None:
    transaction = payment(live)
    await live.node.submit_transaction(transaction.raw)
    watch = live.node.watch_transaction(transaction.hash)
    assert (await anext(watch)).status == TRANSACTION_STATUS_PENDING
    live.chain.produce()
    live.chain.produce(transaction)
    final = await anext(watch)
    assert (final.status, final.height) == (TRANSACTION_STATUS_FINAL, 2)
    assert [view async for view in watch] == []


async def test_watching_what_is_final_already_tells_once(live: ServedApi) -> None:
    transaction = payment(live)
    live.chain.produce(transaction)
    views = [view async for view in live.node.watch_transaction(transaction.hash)]
    assert [view.status for view in views] == [TRANSACTION_STATUS_FINAL]


async def test_watching_until_dropped(live: ServedApi) -> None:
    transaction = payment(live)
    await live.node.submit_transaction(transaction.raw)
    watch = live.node.watch_transaction(transaction.hash)
    assert (await anext(watch)).status == TRANSACTION_STATUS_PENDING
    live.chain.produce(payment(live, amount=2 * FDC))
    dropped = await anext(watch)
    assert dropped.status == TRANSACTION_STATUS_DROPPED
    assert "nonce" in dropped.reason
    assert (dropped.action, dropped.sender) == ("transfer", format_address(ALICE.address))
    assert [view async for view in watch] == []
    again = await live.node.get_transaction(transaction.hash)
    assert (again.status, again.reason) == (TRANSACTION_STATUS_DROPPED, dropped.reason)


async def test_a_drop_between_blocks_is_noticed(live: ServedApi) -> None:
    transaction = payment(live)
    await live.node.submit_transaction(transaction.raw)
    watch = live.node.watch_transaction(transaction.hash)
    await anext(watch)
    # As when a node's audit fails: the watcher gets no event, and no block comes.
    live.pool.pool.remove(transaction.hash)
    dropped = await asyncio.wait_for(anext(watch), 5)
    assert dropped.status == TRANSACTION_STATUS_DROPPED
    assert dropped.reason == "it is no longer in the mempool"


async def test_waiting_for_final(live: ServedApi) -> None:
    transaction = payment(live)
    hash = await live.node.submit_transaction(transaction.raw)
    waiting = asyncio.ensure_future(live.node.wait_until_final(hash))
    await until(lambda: live.port.num_waiting == 1)
    live.chain.produce(transaction)
    assert (await waiting).height == 1


async def test_waiting_ends_with_a_reason(live: ServedApi) -> None:
    transaction = payment(live)
    hash = await live.node.submit_transaction(transaction.raw)
    failure = await refused(live.node.wait_until_final(hash, timeout=0.2))
    assert (failure.status, failure.code) == (StatusCode.DEADLINE_EXCEEDED, "TIMED_OUT")
    assert hash in failure.message
    live.chain.produce(payment(live, amount=2 * FDC))
    failure = await refused(live.node.wait_until_final(hash))
    assert failure.code == "DROPPED"
    assert "nonce" in failure.message


async def fill(live: ServedApi, count: int) -> list[str]:
    return [await live.node.submit_transaction(payment(live, ahead=n).raw) for n in range(count)]


async def test_the_pool_in_pages_and_in_order(live: ServedApi) -> None:
    hashes = await fill(live, 25)
    assert [view.hash for view in await live.node.list_pending_transactions()] == hashes
    assert [view.hash for view in await live.node.list_pending_transactions(limit=7)] == hashes[:7]
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListPendingTransactionsRequest(page_size=10, page_token=token)
        reply = await stub_of(live).ListPendingTransactions(request)
        seen += [view.hash for view in reply.transactions]
        token = reply.next_page_token
        if not token:
            break
    assert seen == hashes


async def test_a_pool_that_shrinks_between_pages_leaves_nothing_out(live: ServedApi) -> None:
    hashes = await fill(live, 12)
    stub = stub_of(live)
    first = await stub.ListPendingTransactions(pb.ListPendingTransactionsRequest(page_size=4))
    live.chain.produce(*live.pool.pending()[:3])
    rest = pb.ListPendingTransactionsRequest(page_token=first.next_page_token)
    reply = await stub.ListPendingTransactions(rest)
    assert [view.hash for view in reply.transactions] == hashes[4:]
    live.chain.produce(*live.pool.pending()[:3])
    reply = await stub.ListPendingTransactions(rest)
    assert [view.hash for view in reply.transactions] == hashes[6:]


async def test_an_empty_pool(live: ServedApi) -> None:
    assert await live.node.list_pending_transactions() == []
