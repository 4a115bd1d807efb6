from __future__ import annotations

import json

from fedcoin.contract.queries import block_queries, payment_queries, task_queries
from fedcoin.contract.views import transaction_view
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import views_pb2
from tests.support.genesis import FDC, GENESIS_MS
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to


def test_a_block_with_what_it_settled_and_paid(job: LedgerCampaign, store: ChainStore) -> None:
    chain = job.chain
    height = job.task.closed_height
    view = block_queries.get_block(store, height)
    assert view is not None
    stored = chain.blocks[height - 1]
    assert (view.height, view.hash) == (height, stored.hash.hex())
    assert view.parent_hash == chain.blocks[height - 2].hash.hex()
    assert view.settlement.task_id == job.task_id.hex()
    assert view.settlement.winner == view.proposer
    assert list(view.settlement.mean_shapley_nano) == [50_000_000, 100_000_000, -30_000_000]
    assert sorted(view.signers) == sorted(format_address(m.address) for m in chain.miners)
    assert view.certificate_round == 0
    payments = payment_queries.list_block_payments(store, height)
    assert [p.amount for p in payments] == [p.amount for p in chain.payments(height)]
    assert {p.height for p in payments} == {height}
    (task,) = task_queries.list_block_tasks(store, store, height)
    assert task.task_id == job.task_id.hex()
    first = block_queries.get_block(store, 1)
    assert first is not None
    assert not first.HasField("settlement")
    assert len(first.transactions) == 1
    assert first.time_ms == GENESIS_MS + 10
    for missing in (0, -1, chain.height + 1, 2**70):
        assert block_queries.get_block(store, missing) is None


def test_a_transaction_is_shown_with_its_block_and_details(
    job: LedgerCampaign, store: ChainStore
) -> None:
    view = block_queries.get_transaction(store, job.campaign_id)
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
    assert block_queries.get_transaction(store, b"\1" * 32) is None
    opening = block_queries.get_transaction(store, job.task_id)
    assert opening is not None
    update = json.loads(opening.details_json)["updates"][0]
    assert update["update"]["address"] == format_address(job.clients[0].address)
    assert update["public_key"] == job.clients[0].public_key.hex()


def test_evidence_is_found_as_it_was_revealed(job: LedgerCampaign, store: ChainStore) -> None:
    chain = job.chain
    silent, miner, _ = chain.miners
    found = block_queries.find_reveal_transaction(store, job.task_id, miner.address)
    assert found is not None
    raw, height = found
    assert raw in chain.blocks[height - 1].transactions
    view = block_queries.get_transaction(store, _hash(chain, raw))
    assert view is not None
    details = json.loads(view.details_json)
    assert details["evidence"]["samples"] == 8
    assert details["evidence"]["leaves"] == 8
    assert details["evidence"]["siblings"] == 0
    assert block_queries.find_reveal_transaction(store, job.task_id, silent.address) is None


def _hash(chain: LedgerChain, raw: bytes) -> bytes:
    for execution in chain.executions:
        for transaction in execution.transactions:
            if transaction.raw == raw:
                return transaction.hash
    raise AssertionError("no such transaction")


def test_a_pending_transaction_has_a_view_too() -> None:
    chain = LedgerChain.create(1)
    waiting = chain.sign(ALICE, transfer_to((BOB.address, 5)))
    view = transaction_view(
        waiting, views_pb2.TRANSACTION_STATUS_DROPPED, reason="because it expired"
    )
    assert (view.hash, view.height, view.reason) == (waiting.hash.hex(), 0, "because it expired")
    outputs = json.loads(view.details_json)["outputs"]
    assert outputs == [{"recipient": format_address(BOB.address), "amount": 5}]
