"""Files that go from one signer of an account to the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.key_policy_file import read_policy, render_policy
from fedcoin.application.wallet.prepared_transaction import PreparedTransaction, read_prepared
from fedcoin.application.wallet.transaction_drafts import draft_transaction
from fedcoin.contract.admission import min_fee
from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.transactions import decode_transaction, encode_body
from fedcoin.v1.node_service_pb2 import GetFeesResponse
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.genesis import CHAIN_ID, FDC, GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.keys import ALICE, BOB
from tests.support.shared_accounts import MEMBERS, PURSE, members_of
from tests.support.transfers import transfer_to

PAY = transfer_to((BOB.address, 5 * FDC))


def prepared(nonce: int = 3, genesis_hash: bytes = GENESIS_HASH) -> PreparedTransaction:
    body = TransactionBody(
        chain_id=CHAIN_ID, nonce=nonce, fee=30_000, expiry_height=900, transfer=PAY
    )
    return PreparedTransaction(genesis_hash, PURSE, encode_body(body))


def code_of(call: Callable[[], object]) -> Enum:
    with pytest.raises(RefusalError) as caught:
        call()
    return caught.value.code


def written(folder: Path, transaction: PreparedTransaction) -> Path:
    path = folder / "payment.json"
    path.write_text(transaction.render())
    return path


def test_signatures_are_collected_in_any_order(tmp_path: Path) -> None:
    first, third = prepared().sign(MEMBERS[0]), prepared().sign(MEMBERS[2])
    assert first.num_missing == 1
    for combined in (
        first.combine(third),
        third.combine(first),
        first.combine(first).combine(third),
    ):
        assert combined.num_missing == 0
        sent = combined.assemble()
        assert sent == decode_transaction(sent.raw, ChainIdentity(CHAIN_ID, GENESIS_HASH))
        assert sent.hash == prepared().hash
        assert sent.signers == (MEMBERS[0].public_key, MEMBERS[2].public_key)
        assert read_prepared(written(tmp_path, combined)) == combined


def test_more_signatures_than_needed_make_a_valid_transaction() -> None:
    everybody = prepared()
    for key in MEMBERS:
        everybody = everybody.sign(key)
    assert everybody.assemble().signers == PURSE.public_keys[:2]


def test_wrong_signers_have_codes_of_their_own() -> None:
    signed = prepared().sign(MEMBERS[0])
    assert code_of(signed.assemble) is DataCode.TOO_FEW_SIGNATURES
    assert code_of(signed.combine(signed).assemble) is DataCode.TOO_FEW_SIGNATURES
    assert code_of(lambda: signed.sign(ALICE)) is ApplicationCode.NOT_A_SIGNER
    assert code_of(lambda: signed.sign(MEMBERS[0])) is ApplicationCode.ALREADY_SIGNED
    for other in (prepared(nonce=4), prepared(genesis_hash=OTHER_GENESIS_HASH)):
        assert code_of(partial(signed.combine, other)) is ApplicationCode.OTHER_TRANSACTION


def _spoil(change: Callable[[dict[str, Any]], None]) -> str:
    content = json.loads(prepared().sign(MEMBERS[0]).render())
    change(content)
    return json.dumps(content, indent=1)


def _stranger(content: dict[str, Any]) -> None:
    content["signatures"][ALICE.public_key.hex()] = "00" * 64


def _wrong(content: dict[str, Any]) -> None:
    content["signatures"] = {MEMBERS[1].public_key.hex(): "00" * 64}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        # What a person reads is not what would be signed.
        (lambda c: c["transaction"].update(fee="1 sap"), ApplicationCode.BAD_TRANSACTION_FILE),
        (lambda c: c["transaction"].update(nonce=4), ApplicationCode.BAD_TRANSACTION_FILE),
        (
            lambda c: c["transaction"]["details"]["outputs"][0].update(amount=1),
            ApplicationCode.BAD_TRANSACTION_FILE,
        ),
        (lambda c: c["transaction"].update(genesis_hash="ab" * 32), DataCode.BAD_SIGNATURE),
        (lambda c: c.update(note="trust me"), ApplicationCode.BAD_TRANSACTION_FILE),
        (lambda c: c.update(threshold=1), DataCode.BAD_SIGNATURE),
        (lambda c: c.update(threshold=0), ApplicationCode.BAD_TRANSACTION_FILE),
        (lambda c: c.update(body="ff"), ApplicationCode.BAD_TRANSACTION_FILE),
        (lambda c: c.update(body=""), ApplicationCode.BAD_TRANSACTION_FILE),
        (lambda c: c.update(signatures=[]), ApplicationCode.BAD_TRANSACTION_FILE),
        (_stranger, ApplicationCode.NOT_A_SIGNER),
        (_wrong, DataCode.BAD_SIGNATURE),
    ],
)
def test_files_that_say_other_things_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], code: Enum
) -> None:
    path = tmp_path / "payment.json"
    path.write_text(_spoil(change))
    assert code_of(lambda: read_prepared(path)) is code


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "payment.json"
    assert code_of(lambda: read_prepared(path)) is ApplicationCode.NO_FILE
    for text in ("", "[]", "{}", "[" * 100_000, '"x"', render_policy(PURSE)):
        path.write_text(text)
        assert code_of(lambda: read_prepared(path)) is ApplicationCode.BAD_TRANSACTION_FILE
    # A name twice: a person may read the first value, and a program the second.
    good = prepared().render()
    path.write_text(good.replace(' "threshold": 2,', ' "threshold": 3,\n "threshold": 2,'))
    assert code_of(lambda: read_prepared(path)) is ApplicationCode.BAD_TRANSACTION_FILE


def test_a_network_s_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    body = prepared().body
    for name in ("fedcoin\x1b[2K\rpays 1 sap", "two\nlines", "x" * 65, ""):
        body.chain_id = name
        spoofed = PreparedTransaction(GENESIS_HASH, PURSE, encode_body(body))
        path = written(tmp_path, spoofed)
        assert code_of(partial(read_prepared, path)) is ApplicationCode.BAD_TRANSACTION_FILE


def test_policies_are_files(tmp_path: Path) -> None:
    path = tmp_path / "purse.json"
    path.write_text(render_policy(PURSE))
    assert read_policy(path) == PURSE
    changes: tuple[dict[str, Any], ...] = (
        {"threshold": 1},
        {"address": "fc1"},
        {"public_keys": []},
        {"more": 1},
    )
    for change in changes:
        path.write_text(json.dumps(json.loads(render_policy(PURSE)) | change))
        assert code_of(lambda: read_policy(path)) is ApplicationCode.BAD_POLICY_FILE
    path.write_bytes(b"\xff")
    assert code_of(lambda: read_policy(path)) is ApplicationCode.NO_FILE


@pytest.mark.parametrize("num_keys", [2, MAX_KEYS])
def test_drafts_pay_what_the_ledger_asks_for(num_keys: int) -> None:
    policy = make_policy(num_keys, [key.public_key for key in members_of(num_keys)])
    for outputs in range(1, 40):
        fees = GetFeesResponse(base_fee=1_000, fee_per_kib=10_000, max_expiry_blocks=1_000)
        action = transfer_to(*[(BOB.address, 1)] * outputs)
        body = draft_transaction(
            action, fees, chain_id=CHAIN_ID, nonce=0, height=1, policy=policy, expiry_blocks=5_000
        )
        assert body.fee == min_fee(Parameters(), body.ByteSize(), policy)
        assert body.expiry_height == 1_001
