from __future__ import annotations

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.queries import payment_queries
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2
from tests.support.keys import key_of
from tests.support.ledger_campaign import LedgerCampaign


def test_payments_are_proved_offline(job: LedgerCampaign, store: ChainStore) -> None:
    chain = job.chain
    payments = payment_queries.list_task_payments(store, job.task_id)
    assert [p.amount for p in payments] == [
        p.amount for p in chain.payments(job.task.closed_height)
    ]
    client = job.clients[1]
    (proof,) = payment_queries.build_payment_proofs(store, job.task_id, client.address)
    assert proof.payment.amount == chain.balance(client)
    # The checks below use only the proof, the genesis hash and the validators.
    header = decode_header(proof.header)
    validators = chain.executions[header.height - 2].next_validators
    block_hash = sha256(proof.header)
    genesis_hash = chain.genesis.hash
    verify_certificate(proof.certificate, validators, genesis_hash, header.height, block_hash)
    assert merkle.verify_path(
        proof.receipt, proof.index, proof.count, proof.path, header.receipts_root
    )
    assert decode_receipt(proof.receipt).payment == proof.payment
    assert proof.payment.kind == block_pb2.PAYMENT_KIND_TRAINING
    assert not payment_queries.build_payment_proofs(store, job.task_id, key_of("nobody").address)
    assert not payment_queries.list_task_payments(store, b"\1" * 32)
