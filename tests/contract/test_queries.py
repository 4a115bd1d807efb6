"""What services read, from a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract import queries
from fedcoin.contract.views import transaction_view
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2, views_pb2
from fedcoin.v1.transaction_pb2 import Unbond
from tests.support.genesis import CHAIN_ID, FDC, GENESIS_MS
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import SETTLED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerCampaign]:
    """Two campaigns: one settled round and one open task; one that is only open."""
    chain = LedgerChain.create(3, folder=tmp_path_factory.mktemp("queries"))
    job = LedgerCampaign(chain)
    job.open_campaign(rounds=2)
    job.open_task()
    miners = chain.miners
    job.settle({m: additive(5, 10, -3) for m in miners}, withheld=miners[:1])
    other = LedgerCampaign(chain)
    other.open_campaign()
    other.open_task()
    chain.produce(chain.sign(miners[1], Unbond(amount=FDC)))
    yield job
    assert chain.store is not None
    chain.store.close()


def store_of(job: LedgerCampaign) -> ChainStore:
    assert job.chain.store is not None
    return job.chain.store


def test_accounts_and_validators(job: LedgerCampaign) -> None:
    chain = job.chain
    miner = chain.miners[1]
    view = queries.get_account(chain.ledger, miner.address)
    assert view.address == format_address(miner.address)
    assert view.balance == chain.balance(miner)
    assert view.nonce == chain.ledger.account(miner.address).nonce
    assert (view.bond, view.unbonding) == (9 * FDC, FDC)
    unused = queries.get_account(chain.ledger, b"\1" * 20)
    assert (unused.balance, unused.nonce, unused.bond, unused.unbonding) == (0, 0, 0, 0)
    listed = queries.list_validators(chain.ledger, chain.height + 1)
    assert [v.address for v in listed] == [format_address(m.address) for m in chain.miners]
    assert [v.bond for v in listed] == [10 * FDC, 9 * FDC, 10 * FDC]
    (due,) = [v for v in listed if v.next_proposer]
    assert due.public_key == chain.ledger.proposer(chain.height + 1, 0).public_key.hex()


def test_a_block_with_what_it_settled_and_paid(job: LedgerCampaign) -> None:
    chain, store = job.chain, store_of(job)
    height = job.task.closed_height
    view = queries.get_block(store, height)
    assert view is not None
    stored = chain.blocks[height - 1]
    assert (view.height, view.hash) == (height, stored.hash.hex())
    assert view.parent_hash == chain.blocks[height - 2].hash.hex()
    assert view.settlement.task_id == job.task_id.hex()
    assert view.settlement.winner == view.proposer
    assert list(view.settlement.mean_shapley_nano) == [50_000_000, 100_000_000, -30_000_000]
    assert sorted(view.signers) == sorted(format_address(m.address) for m in chain.miners)
    assert view.certificate_round == 0
    payments = queries.list_block_payments(store, height)
    assert [p.amount for p in payments] == [p.amount for p in chain.payments(height)]
    assert {p.height for p in payments} == {height}
    (task,) = queries.list_block_tasks(store, store, height)
    assert task.task_id == job.task_id.hex()
    first = queries.get_block(store, 1)
    assert first is not None
    assert not first.HasField("settlement")
    assert len(first.transactions) == 1
    assert first.time_ms == GENESIS_MS + 10
    for missing in (0, -1, chain.height + 1, 2**70):
        assert queries.get_block(store, missing) is None


def test_a_transaction_where_it_stands(job: LedgerCampaign) -> None:
    store = store_of(job)
    view = queries.get_transaction(store, job.campaign_id)
    assert view is not None
    assert (view.height, view.index, view.action) == (1, 0, "open_campaign")
    assert view.status == views_pb2.TRANSACTION_STATUS_FINAL
    assert view.sender == format_address(ALICE.address)
    details = json.loads(view.details_json)
    assert details["server"] == format_address(BOB.address)
    assert details["model"] == sha256(b"model").hex()
    assert details["spread"] == "BUDGET_SPREAD_EQUAL"
    assert details["split"] == {"training": 7, "aggregation": 1, "mining": 2}
    assert details["budget"] == 10 * FDC
    assert queries.get_transaction(store, b"\1" * 32) is None
    opening = queries.get_transaction(store, job.task_id)
    assert opening is not None
    update = json.loads(opening.details_json)["updates"][0]
    assert update["update"]["address"] == format_address(job.clients[0].address)
    assert update["public_key"] == job.clients[0].public_key.hex()


def test_campaigns_and_tasks_come_the_latest_first(job: LedgerCampaign) -> None:
    store = store_of(job)
    page = queries.list_campaigns(store, 1)
    assert len(page.items) == 1
    assert page.next is not None
    rest = queries.list_campaigns(store, 5, page.next)
    assert [c.campaign_id for c in rest.items] == [job.campaign_id.hex()]
    assert rest.next is None
    one = rest.items[0]
    assert one == queries.get_campaign(store, job.campaign_id)
    assert (one.rounds, one.last_round, one.budget, one.escrow) == (2, 1, 10 * FDC, 5 * FDC)
    assert (one.requester, one.server) == tuple(format_address(k.address) for k in (ALICE, BOB))
    assert (one.closed, one.open_task_id) == (False, "")
    assert queries.get_campaign(store, b"\1" * 32) is None
    tasks = queries.list_tasks(store, 10)
    assert [t.task_id for t in tasks.items][1] == job.task_id.hex()
    assert tasks.next is None
    mine = queries.list_tasks(store, 10, campaign_id=job.campaign_id)
    assert [t.task_id for t in mine.items] == [job.task_id.hex()]
    first = queries.list_tasks(store, 1)
    assert first.items == tasks.items[:1]
    assert queries.list_tasks(store, 1, first.next).items == tasks.items[1:]
    still_open = queries.list_tasks(store, 10, open_only=True)
    assert still_open.items == tasks.items[:1]
    assert not queries.list_tasks(store, 10, open_only=True, campaign_id=job.campaign_id).items
    before = store.index.find_transaction(bytes.fromhex(tasks.items[0].task_id))
    assert not queries.list_tasks(store, 10, before, open_only=True).items


def test_a_task_says_who_was_paid_what(job: LedgerCampaign) -> None:
    chain, store = job.chain, store_of(job)
    view = queries.get_task(store, job.task_id)
    assert view is not None
    assert (view.round, view.phase, view.attempt) == (1, SETTLED, 0)
    assert view.campaign_id == job.campaign_id.hex()
    assert (view.evaluation_size, view.difficulty_nano) == (100, 20_000_000)
    assert view.prices == job.terms.prices
    assert [c.address for c in view.clients] == [format_address(c.address) for c in job.clients]
    assert [c.num_samples for c in view.clients] == [100] * 3
    assert [c.shapley_nano for c in view.clients] == [50_000_000, 100_000_000, -30_000_000]
    assert [c.payout for c in view.clients] == [chain.balance(c) for c in job.clients]
    assert [m.address for m in view.miners] == [format_address(m.address) for m in chain.miners]
    assert [m.revealed for m in view.miners] == [False, True, True]
    assert all(m.committed for m in view.miners)
    assert sum(m.reward for m in view.miners) == job.terms.prices.mining
    (winner,) = [m for m in view.miners if m.reward]
    assert view.winner == winner.address
    assert winner.inlier
    assert winner.evaluations == 8
    assert view.server == format_address(BOB.address)
    assert view.challenge == job.task.challenge.hex()
    assert (view.opened_height, view.closed_height) == (2, job.task.closed_height)
    (open_task,) = queries.list_tasks(store, 10, open_only=True).items
    assert [c.payout for c in open_task.clients] == [0, 0, 0]
    assert not open_task.miners
    assert open_task.winner == ""
    assert queries.get_task(store, b"\1" * 32) is None


def test_payments_are_proved_offline(job: LedgerCampaign) -> None:
    chain, store = job.chain, store_of(job)
    payments = queries.list_task_payments(store, job.task_id)
    assert [p.amount for p in payments] == [
        p.amount for p in chain.payments(job.task.closed_height)
    ]
    client = job.clients[1]
    (proof,) = queries.build_payment_proofs(store, job.task_id, client.address)
    assert proof.payment.amount == chain.balance(client)
    # All that follows needs nothing but the proof, the chain id and the validators.
    header = decode_header(proof.header)
    validators = chain.executions[header.height - 2].next_validators
    verify_certificate(proof.certificate, validators, CHAIN_ID, header.height, sha256(proof.header))
    assert merkle.verify_path(
        proof.receipt, proof.index, proof.count, proof.path, header.receipts_root
    )
    assert decode_receipt(proof.receipt).payment == proof.payment
    assert proof.payment.kind == block_pb2.PAYMENT_KIND_TRAINING
    assert not queries.build_payment_proofs(store, job.task_id, key_of("nobody").address)
    assert not queries.list_task_payments(store, b"\1" * 32)


def test_evidence_is_found_as_it_was_revealed(job: LedgerCampaign) -> None:
    chain, store = job.chain, store_of(job)
    silent, miner, _ = chain.miners
    found = queries.find_reveal_transaction(store, job.task_id, miner.address)
    assert found is not None
    raw, height = found
    assert raw in chain.blocks[height - 1].transactions
    view = queries.get_transaction(store, _hash(chain, raw))
    assert view is not None
    details = json.loads(view.details_json)
    assert details["evidence"]["samples"] == 8
    assert details["evidence"]["leaves"] == 8
    assert details["evidence"]["siblings"] == 0
    assert queries.find_reveal_transaction(store, job.task_id, silent.address) is None


def _hash(chain: LedgerChain, raw: bytes) -> bytes:
    for execution in chain.executions:
        for transaction in execution.transactions:
            if transaction.raw == raw:
                return transaction.hash
    raise AssertionError("no such transaction")


def test_memory_and_store_give_the_same_views(job: LedgerCampaign) -> None:
    chain = LedgerChain.create(3)
    for block, certificate in zip(job.chain.blocks, job.chain.certificates, strict=True):
        chain.add(block, certificate)
    assert queries.get_task(chain.state, job.task_id) == queries.get_task(
        store_of(job), job.task_id
    )
    assert queries.get_campaign(chain.state, job.campaign_id) == queries.get_campaign(
        store_of(job), job.campaign_id
    )


def test_a_pending_transaction_has_a_view_too() -> None:
    chain = LedgerChain.create(1)
    waiting = chain.sign(ALICE, transfer_to((BOB.address, 5)))
    view = transaction_view(
        waiting, views_pb2.TRANSACTION_STATUS_DROPPED, reason="because it expired"
    )
    assert (view.hash, view.height, view.reason) == (waiting.hash.hex(), 0, "because it expired")
    outputs = json.loads(view.details_json)["outputs"]
    assert outputs == [{"recipient": format_address(BOB.address), "amount": 5}]
