"""The golden payment proofs, which clients in other languages check too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from fedcoin.application.verification.payment_proof import check_payment_proof
from fedcoin.application.verification.proof_file import build_document, check_file
from fedcoin.consensus.validator_messages import validators_from_messages
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.v1.block_pb2 import PaymentKind
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from tests.support.paths import read_vectors

VECTORS = read_vectors("payment_proofs")


def check(genesis: str, changes: Sequence[str], proof: str) -> dict[str, Any]:
    """Check a proof as a light client does: from the genesis, by the changes of validators."""
    read = parse_genesis(genesis.encode())
    trust = TrustPath(read)
    for raw in changes:
        change = ValidatorChange.FromString(bytes.fromhex(raw))
        validators = validators_from_messages(change.validators)
        trust.follow(change.header, change.certificate, validators)
    given = PaymentProof.FromString(bytes.fromhex(proof))
    validators = trust.validators_at(decode_header(given.header).height)
    header, payment = check_payment_proof(given, read, validators)
    return {
        "height": header.height,
        "block_hash": sha256(given.header).hex(),
        "time_ms": header.time_ms,
        "kind": PaymentKind.Name(payment.kind),
        "address": format_address(payment.address),
        "amount": payment.amount,
        "shapley_nano": payment.shapley_nano,
    }


def test_golden_proofs_hold() -> None:
    found = [check(VECTORS["genesis"], VECTORS["changes"], raw) for raw in VECTORS["proofs"]]
    assert found == VECTORS["payments"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: str(case["why"]))
def test_spoiled_proofs_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(RefusalError) as caught:
        check(case["genesis"], case["changes"], case["proof"])
    assert caught.value.code.value == case["code"]


def test_the_document_proves_the_same_payments() -> None:
    genesis = parse_genesis(VECTORS["genesis"].encode())
    proved = check_file(json.dumps(VECTORS["document"]).encode(), genesis)
    amounts = [payment.payment.amount for payment in proved.payments]
    assert amounts == [payment["amount"] for payment in VECTORS["payments"]]
    changes = [ValidatorChange.FromString(bytes.fromhex(raw)) for raw in VECTORS["changes"]]
    proofs = [PaymentProof.FromString(bytes.fromhex(raw)) for raw in VECTORS["proofs"]]
    document = build_document(genesis.chain_id, genesis.hash.hex(), changes, proofs)
    assert document == VECTORS["document"]
