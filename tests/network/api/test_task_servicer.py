"""ShapleyTaskService on a live server, with a campaign that is really mined and settled."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from grpc import StatusCode

from fedcoin.application.verification.payment_proof import check_payment_proof
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import decode_transaction
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import decode_update
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import shapley_task_service_pb2 as pb
from fedcoin.v1 import shapley_task_service_pb2_grpc as rpc
from fedcoin.v1.block_pb2 import (
    PAYMENT_KIND_AGGREGATION,
    PAYMENT_KIND_MINING,
    PAYMENT_KIND_TRAINING,
    TASK_PHASE_COMMIT,
    TASK_PHASE_SETTLED,
    BlockHeader,
    Receipt,
)
from fedcoin.v1.transaction_pb2 import RegisterReceipt, Transfer, TransferOutput
from tests.support.genesis import FDC
from tests.support.keys import ALICE, CAROL, MINERS, STRANGER, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.served_api import ServedApi
from tests.support.waiting import until

GAME = additive(5, 3, 0)


def settled(live: ServedApi) -> LedgerCampaign:
    """A campaign whose first round is paid."""
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    job.settle(dict.fromkeys(live.chain.miners, GAME))
    return job


async def refused(call: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_a_task_from_its_opening_to_its_payment(live: ServedApi) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    task = await live.node.get_task(job.task_id)
    assert (task.phase, task.round) == (TASK_PHASE_COMMIT, 1)
    assert task.campaign_id == job.campaign_id.hex()
    assert [client.address for client in task.clients] == [
        format_address(client.address) for client in job.clients
    ]
    assert task.opened_height == live.chain.height
    assert (task.work, task.offer) == (job.task.work, job.task.offer)
    assert task.offer > 0
    job.settle(dict.fromkeys(live.chain.miners, GAME))
    task = await live.node.get_task(job.task_id.hex())
    assert task.phase == TASK_PHASE_SETTLED
    assert [client.shapley_nano for client in task.clients] == [50_000_000, 30_000_000, 0]
    assert sum(client.payout for client in task.clients) == task.prices.training
    assert {miner.address for miner in task.miners} == {
        format_address(miner.address) for miner in live.chain.miners
    }
    assert all(miner.revealed and miner.inlier for miner in task.miners)
    assert task.winner in {miner.address for miner in task.miners}
    assert task.closed_height == live.chain.height


async def test_what_the_next_rounds_task_must_hold(live: ServedApi) -> None:
    job = settled(live)
    chain = live.chain
    campaign_id = job.campaign_id
    found = await live.node.get_next_round(campaign_id)
    assert (found.round, list(found.updates)) == (2, [])
    assert found.evaluation == job.terms.evaluation
    assert found.prices == job.task_terms(2).prices
    assert found.campaign == await live.node.get_campaign(campaign_id)
    assert (await refused(live.node.get_next_round(bytes(32)))).code == "CAMPAIGN_NOT_FOUND"
    fresh = LedgerCampaign(chain)
    fresh.open_campaign(receipt_window_ms=3_600_000)
    client = fresh.clients[0]
    coins = TransferOutput(recipient=client.address, amount=FDC)
    chain.produce(chain.sign(ALICE, Transfer(outputs=[coins])))
    update = fresh.update(client, 1)
    genesis_hash = chain.genesis.hash
    receipt = sign_receipt(decode_update(update, genesis_hash), 1, fresh.server, genesis_hash)
    chain.produce(chain.sign(client, RegisterReceipt(update=update, receipt=receipt)))
    found = await live.node.get_next_round(fresh.campaign_id)
    assert (found.round, list(found.updates)) == (1, [update])
    assert not found.HasField("evaluation")
    assert found.campaign.receipts_due_ms == chain.time_ms + 3_600_000


async def test_watching_a_task_until_it_is_paid(live: ServedApi) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    views: list[int] = []

    async def watch() -> None:
        async for task in live.node.watch_task(job.task_id):
            views.append(task.phase)

    watching = asyncio.ensure_future(watch())
    trees = {miner: job.tree(miner, GAME) for miner in live.chain.miners}

    async def block(*transactions: object) -> None:
        live.chain.produce(*transactions)  # type: ignore[arg-type]
        await until(lambda: len(views) == live.chain.height - 2 or watching.done())

    await until(lambda: live.port.num_waiting == 1)
    await block()
    await block(*(job.commit(miner, tree) for miner, tree in trees.items()))
    await block(*(job.open(miner, tree) for miner, tree in trees.items()))
    await block(*(job.reveal(miner, tree) for miner, tree in trees.items()))
    await block()
    await asyncio.wait_for(watching, 5)
    assert views == [1, 2, 3, 4, 5]


async def test_watching_a_task_that_is_over_tells_once(live: ServedApi) -> None:
    job = settled(live)
    phases = [task.phase async for task in live.node.watch_task(job.task_id)]
    assert phases == [TASK_PHASE_SETTLED]


async def test_what_a_task_paid(live: ServedApi) -> None:
    job = settled(live)
    payments = await live.node.list_payments(job.task_id)
    kinds = [payment.kind for payment in payments]
    assert kinds[:4] == [
        PAYMENT_KIND_TRAINING,
        PAYMENT_KIND_TRAINING,
        PAYMENT_KIND_AGGREGATION,
        PAYMENT_KIND_MINING,
    ]
    paid = sum(payment.amount for payment in payments[:4])
    assert paid == 5 * FDC
    assert {payment.height for payment in payments} == {live.chain.height}
    assert payments[0].shapley_nano == 50_000_000


async def test_an_open_task_has_paid_nothing(live: ServedApi) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    assert await live.node.list_payments(job.task_id) == []


async def test_a_payment_is_proved_offline(live: ServedApi) -> None:
    validators = live.chain.ledger.validators()
    job = settled(live)
    client = job.clients[0]
    (proof,) = await live.node.get_payment_proofs(job.task_id, client.address)
    # The checks below use only the proof, the genesis and the chain's validators.
    header, payment = check_payment_proof(proof, live.chain.genesis, validators)
    assert payment == proof.payment
    assert (payment.address, payment.task_id) == (client.address, job.task_id)
    assert payment.amount == 5 * FDC * 7 // 10 * 5 // 8
    assert header.settlement.task_id == job.task_id


async def test_forged_proofs_prove_nothing(live: ServedApi) -> None:
    genesis = live.chain.genesis
    validators = live.chain.ledger.validators()
    job = settled(live)
    (honest,) = await live.node.get_payment_proofs(job.task_id, job.clients[0].address)
    more = Receipt.FromString(honest.receipt)
    more.payment.amount += 1
    header = BlockHeader.FromString(honest.header)
    header.receipts_root = bytes(32)
    settled_receipt = live.chain.executions[-1].receipts[-1]
    for code, changes in (
        ("BAD_ROOT", {"receipt": more.SerializeToString()}),
        ("BAD_ROOT", {"index": honest.index + 1}),
        ("BAD_ROOT", {"count": 1}),
        ("BAD_ROOT", {"path": honest.path[:-1]}),
        ("BAD_ROOT", {"receipt": settled_receipt}),
        ("BAD_CERTIFICATE", {"header": header.SerializeToString()}),
        ("BAD_CERTIFICATE", {"certificate": b""}),
        ("MALFORMED", {"header": b"\xff"}),
    ):
        forged = pb.PaymentProof()
        forged.CopyFrom(honest)
        for name in changes:
            forged.ClearField(name)  # type: ignore[arg-type]
        forged.MergeFrom(pb.PaymentProof(**changes))
        with pytest.raises(RefusalError) as caught:
            check_payment_proof(forged, genesis, validators)
        assert caught.value.code.name == code, changes
    with pytest.raises(RefusalError) as caught:
        check_payment_proof(honest, replace(genesis, chain_id="another-chain"), validators)
    assert caught.value.code.name == "WRONG_CHAIN"
    strangers = ValidatorSet.from_members([Validator.from_key(STRANGER.public_key, 1)])
    with pytest.raises(RefusalError) as caught:
        check_payment_proof(honest, genesis, strangers)
    assert caught.value.code.name == "BAD_CERTIFICATE"


async def test_the_receipt_of_something_else_is_no_payment(live: ServedApi) -> None:
    validators = live.chain.ledger.validators()
    settled(live)
    block, receipts = live.chain.blocks[-1], live.chain.executions[-1].receipts
    index = next(i for i, raw in enumerate(receipts) if Receipt.FromString(raw).HasField("task"))
    header = live.port.store.header_bytes(block.height)
    assert header is not None
    proof = pb.PaymentProof(
        header=header,
        certificate=live.chain.certificates[-1],
        receipt=receipts[index],
        index=index,
        count=len(receipts),
        path=merkle.audit_path(receipts, index),
    )
    with pytest.raises(RefusalError) as caught:
        check_payment_proof(proof, live.chain.genesis, validators)
    assert (caught.value.code.name, caught.value.field) == ("MALFORMED", "receipt")


async def test_a_payment_that_was_not_made_has_no_proof(live: ServedApi) -> None:
    job = settled(live)
    failure = await refused(live.node.get_payment_proofs(job.task_id, key_of("nobody").address))
    assert (failure.status, failure.code) == (StatusCode.NOT_FOUND, "PAYMENT_NOT_FOUND")
    assert failure.field == "address"


async def test_evidence_is_returned_as_on_the_chain(live: ServedApi) -> None:
    job = settled(live)
    miner = live.chain.miners[0]
    found = await live.node.get_evidence(job.task_id, miner.address)
    transaction = decode_transaction(found.transaction, live.chain.genesis.identity)
    assert transaction.sender == miner.address
    assert transaction.body.reveal_shapley.task_id == job.task_id
    assert found.height == live.chain.height - 1
    failure = await refused(live.node.get_evidence(job.task_id, ALICE.address))
    assert (failure.code, failure.field) == ("EVIDENCE_NOT_FOUND", "miner")


async def test_tasks_in_pages_and_by_campaign(live: ServedApi) -> None:
    first = settled(live)
    first.open_task()
    second = LedgerCampaign(live.chain, requester=CAROL)
    second.open_campaign()
    second.open_task()
    latest_first = [second.task_id.hex(), first.task_id.hex()]
    assert [task.task_id for task in await live.node.list_tasks(open_only=True)] == latest_first
    assert len(await live.node.list_tasks()) == 3
    assert [task.round for task in await live.node.list_tasks(first.campaign_id)] == [2, 1]
    assert len(await live.node.list_tasks(limit=1)) == 1
    stub = rpc.ShapleyTaskServiceStub(live.node.channel)
    for filters in ({}, {"open_only": True}, {"campaign_id": first.campaign_id.hex()}):
        whole = (await stub.ListTasks(pb.ListTasksRequest(**filters))).tasks
        seen = []
        token = ""
        while True:
            request = pb.ListTasksRequest(page_size=1, page_token=token, **filters)
            reply = await stub.ListTasks(request)
            seen += list(reply.tasks)
            token = reply.next_page_token
            if not token:
                break
        assert seen == list(whole)


async def test_a_page_token_belongs_to_its_list_and_filters(live: ServedApi) -> None:
    job = settled(live)
    job.open_task()
    stub = rpc.ShapleyTaskServiceStub(live.node.channel)
    token = (await stub.ListTasks(pb.ListTasksRequest(page_size=1))).next_page_token
    other = pb.ListTasksRequest(page_token=token, open_only=True)
    failure = await refused(live.node.call(stub.ListTasks, other))
    assert (failure.code, failure.field) == ("BAD_PAGE_TOKEN", "page_token")
    elsewhere = pb.ListCampaignsRequest(page_token=token)
    failure = await refused(live.node.call(stub.ListCampaigns, elsewhere))
    assert failure.code == "BAD_PAGE_TOKEN"


async def test_pages_of_large_tasks_stay_under_a_mebibyte(live: ServedApi) -> None:
    job = LedgerCampaign(
        live.chain, clients=sorted((key_of(f"c{i}") for i in range(60)), key=address)
    )
    job.open_campaign(rounds=1)
    sampling = job.sampled(samples=4)
    job.open_task(sampling=sampling)
    task = await live.node.get_task(job.task_id)
    assert len(task.clients) == 60
    assert task.ByteSize() < 1 << 20


def address(owner: object) -> bytes:
    return owner.address  # type: ignore[attr-defined, no-any-return]


async def test_campaigns(live: ServedApi) -> None:
    job = settled(live)
    other = LedgerCampaign(live.chain, requester=CAROL)
    other.open_campaign()
    campaigns = await live.node.list_campaigns()
    assert [view.campaign_id for view in campaigns] == [
        other.campaign_id.hex(),
        job.campaign_id.hex(),
    ]
    view = await live.node.get_campaign(job.campaign_id)
    assert view == campaigns[1]
    assert (view.rounds, view.last_round, view.budget) == (2, 1, 10 * FDC)
    assert view.escrow == 5 * FDC
    assert view.requester == format_address(job.requester.address)
    assert (await live.node.list_campaigns(limit=1)) == [campaigns[0]]


async def test_what_is_not_there(live: ServedApi) -> None:
    nothing, miner = bytes(32), MINERS[0].address
    for call, code, field in (
        (live.node.get_task(nothing), "TASK_NOT_FOUND", "task_id"),
        (live.node.list_payments(nothing), "TASK_NOT_FOUND", "task_id"),
        (live.node.get_evidence(nothing, miner), "TASK_NOT_FOUND", "task_id"),
        (live.node.get_payment_proofs(nothing, miner), "TASK_NOT_FOUND", "task_id"),
        (anext(live.node.watch_task(nothing)), "TASK_NOT_FOUND", "task_id"),
        (live.node.get_campaign(nothing), "CAMPAIGN_NOT_FOUND", "campaign_id"),
    ):
        failure = await refused(call)
        assert failure.status is StatusCode.NOT_FOUND
        assert (failure.code, failure.field) == (code, field)
    assert await live.node.list_tasks(nothing) == []


async def test_malformed_ids_and_addresses(live: ServedApi) -> None:
    job = settled(live)
    for call, field in (
        (live.node.get_task("xyz"), "task_id"),
        (live.node.list_payments(""), "task_id"),
        (live.node.get_campaign("0" * 63), "campaign_id"),
        (live.node.list_tasks("no"), "campaign_id"),
        (live.node.get_evidence("0", "fc1"), "task_id"),
        (live.node.get_evidence(job.task_id, "fc1"), "miner"),
        (live.node.get_payment_proofs(job.task_id, ""), "address"),
        (anext(live.node.watch_task("-")), "task_id"),
    ):
        failure = await refused(call)
        assert (failure.status, failure.field) == (StatusCode.INVALID_ARGUMENT, field)
