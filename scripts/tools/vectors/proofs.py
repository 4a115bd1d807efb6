"""Vectors of certificates and of payment proofs, with the code of each refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedcoin.application.verification.proof_file import build_document
from fedcoin.consensus.validator_messages import validators_to_messages
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages import canonical
from fedcoin.data.messages.genesis import parse_genesis, render_genesis
from fedcoin.data.messages.receipts import encode_receipt, receipts_root
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, sign_vote
from fedcoin.v1 import block_pb2, genesis_pb2
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from fedcoin.v1.vote_pb2 import Certificate
from scripts.tools.vectors.samples import CHAIN, GENESIS_HASH, KEYS, hash_of

POWERS = (30 * 10**9, 20 * 10**9, 10 * 10**9)
"""The bonds of `KEYS` in the genesis, in sap: the first two are just a quorum."""

NEWCOMER = KeyPair.from_seed(sha256(b"vector newcomer"))
"""A key that becomes a validator after the genesis."""

BEFORE = ValidatorSet.from_members(
    Validator.from_key(key.public_key, power) for key, power in zip(KEYS, POWERS, strict=True)
)
"""The validators of the genesis."""

AFTER = ValidatorSet.from_members([*BEFORE, Validator.from_key(NEWCOMER.public_key, 50 * 10**9)])
"""The validators from height 3 on. Without the newcomer they have no quorum."""

GENESIS = render_genesis(
    genesis_pb2.Genesis(
        chain_id=CHAIN,
        time_ms=1_700_000_000_000,
        validators=[
            genesis_pb2.GenesisValidator(public_key=key.public_key.hex(), bond=power)
            for key, power in zip(KEYS, POWERS, strict=True)
        ],
    )
)
"""The genesis file of the payment proofs' network, exact to the byte."""

_HASH = parse_genesis(GENESIS).hash


def certificates() -> dict[str, Any]:
    """Certify a block, and make what is no certificate of it."""
    block = hash_of("block")

    def certified(keys: Sequence[KeyPair], **other: Any) -> str:
        return _certificate(keys, block, 5, GENESIS_HASH, **other).hex()

    two = KEYS[:2]
    disordered = Certificate.FromString(bytes.fromhex(certified(KEYS)))
    disordered.precommits.sort(key=lambda vote: vote.public_key, reverse=True)
    repeated = Certificate.FromString(bytes.fromhex(certified(KEYS[1:])))
    repeated.precommits.insert(0, repeated.precommits[0])
    mixed = Certificate.FromString(bytes.fromhex(certified(two)))
    other = Certificate.FromString(bytes.fromhex(certified(two, round=3)))
    mixed.precommits[1].CopyFrom(other.precommits[1])
    forged = Certificate.FromString(bytes.fromhex(certified(two)))
    forged.precommits[1].signature = bytes(64)
    refused = {
        "too little power": certified([KEYS[0], KEYS[2]]),
        "no precommits": "",
        "not in the order of the public keys": canonical.encode(disordered).hex(),
        "one precommit twice": canonical.encode(repeated).hex(),
        "a key that is no validator's": certified([*two, NEWCOMER]),
        "precommits of two rounds": canonical.encode(mixed).hex(),
        "a signature that is wrong": canonical.encode(forged).hex(),
        "prevotes": certified(two, kind=PREVOTE),
        "another height": _certificate(two, block, 6, GENESIS_HASH).hex(),
        "another block": _certificate(two, hash_of("other"), 5, GENESIS_HASH).hex(),
        "signed for another genesis": _certificate(two, block, 5, hash_of("other")).hex(),
        "an unknown field at the end": certified(two) + "1001",
    }
    return {
        "genesis_hash": GENESIS_HASH.hex(),
        "height": 5,
        "block_hash": block.hex(),
        "validators": [_validator(each) for each in BEFORE],
        "validators_hash": BEFORE.hash().hex(),
        "accepted": [
            {"round": 0, "certificate": certified(two)},
            {"round": 7, "certificate": certified(KEYS, round=7)},
        ],
        "refused": [{"why": why, "certificate": raw} for why, raw in refused.items()],
    }


def payment_proofs() -> dict[str, Any]:
    """Prove two payments after a change of the validators, and spoil the proofs."""
    change = ValidatorChange(
        header=_header(2, next_validators=AFTER, receipts=[]),
        validators=validators_to_messages(AFTER),
    )
    change.certificate = _certificate(KEYS[:2], sha256(change.header), 2, _HASH)
    first = _proof(5, [_transaction(), _paid(12_345), _paid(1, to=2)], 1)
    second = _proof(6, [_paid(700, kind=block_pb2.PAYMENT_KIND_REFUND)], 0)
    proofs = [first, second]
    return {
        "genesis": GENESIS.decode(),
        "genesis_hash": _HASH.hex(),
        "changes": [canonical.encode(change).hex()],
        "proofs": [canonical.encode(proof).hex() for proof in proofs],
        "payments": [_seen(proof) for proof in proofs],
        "document": build_document(CHAIN, _HASH.hex(), [change], proofs),
        "refused": [
            {
                "why": why,
                "code": code,
                "genesis": genesis.decode(),
                "changes": [canonical.encode(each).hex() for each in changes],
                "proof": canonical.encode(proof).hex(),
            }
            for why, code, genesis, changes, proof in _spoiled(first, change)
        ],
    }


_Spoiled = tuple[str, str, bytes, list[ValidatorChange], PaymentProof]


def _spoiled(proof: PaymentProof, change: ValidatorChange) -> list[_Spoiled]:
    def changed(**fields: Any) -> PaymentProof:
        other = PaymentProof.FromString(proof.SerializeToString())
        for name, value in fields.items():
            other.ClearField(name)  # type: ignore[arg-type]
            other.MergeFrom(PaymentProof(**{name: value}))
        return other

    receipts = [_transaction(), _paid(12_345), _paid(1, to=2)]
    other_power = ValidatorChange.FromString(change.SerializeToString())
    other_power.validators[0].power += 1
    by_few = ValidatorChange.FromString(change.SerializeToString())
    by_few.certificate = _certificate([KEYS[0], KEYS[2]], sha256(by_few.header), 2, _HASH)
    elsewhere = changed(header=_header(5, receipts=receipts, chain_id="another-chain"))
    elsewhere.certificate = _certificate([*KEYS[:2], NEWCOMER], sha256(elsewhere.header), 5, _HASH)
    by_the_old = _certificate(KEYS, sha256(proof.header), 5, _HASH)
    proved_transaction = _proof(5, receipts, 0)
    cases: list[tuple[str, str, PaymentProof]] = [
        ("a larger amount in the receipt", "BAD_ROOT", changed(receipt=_paid(12_346))),
        ("another place in the block", "BAD_ROOT", changed(index=2)),
        ("a step of the path left out", "BAD_ROOT", changed(path=list(proof.path[:-1]))),
        ("a step of the path too many", "BAD_ROOT", changed(path=[*proof.path, bytes(32)])),
        ("the receipt of a transaction", "MALFORMED", proved_transaction),
        ("a header of another height", "BAD_CERTIFICATE", changed(header=_header(4, receipts))),
        ("a header of another chain", "WRONG_CHAIN", elsewhere),
        (
            "certified by the validators before the change",
            "BAD_CERTIFICATE",
            changed(certificate=by_the_old),
        ),
        ("a header with padding", "MALFORMED", changed(header=proof.header + b"\xf8\x07\x00")),
    ]
    return [
        *((why, code, GENESIS, [change], spoiled) for why, code, spoiled in cases),
        ("a genesis that differs in one blank", "BAD_CERTIFICATE", GENESIS + b" ", [change], proof),
        ("the change of validators left out", "BAD_CERTIFICATE", GENESIS, [], proof),
        ("the change twice", "MALFORMED", GENESIS, [change, change], proof),
        ("a change with another power", "WRONG_VALIDATORS_HASH", GENESIS, [other_power], proof),
        ("a change that too few signed", "BAD_CERTIFICATE", GENESIS, [by_few], proof),
    ]


def _proof(height: int, receipts: list[bytes], index: int) -> PaymentProof:
    header = _header(height, receipts)
    return PaymentProof(
        header=header,
        certificate=_certificate([KEYS[0], NEWCOMER], sha256(header), height, _HASH),
        receipt=receipts[index],
        index=index,
        count=len(receipts),
        path=merkle.audit_path(receipts, index),
    )


def _certificate(
    keys: Sequence[KeyPair],
    block_hash: bytes,
    height: int,
    genesis_hash: bytes,
    *,
    round: int = 0,
    kind: int = PRECOMMIT,
) -> bytes:
    votes = [sign_vote(kind, height, round, block_hash, key, genesis_hash).envelope for key in keys]
    votes.sort(key=lambda vote: vote.public_key)
    return canonical.encode(Certificate(precommits=votes))


def _header(
    height: int,
    receipts: list[bytes],
    next_validators: ValidatorSet = AFTER,
    chain_id: str = CHAIN,
) -> bytes:
    return canonical.encode(
        block_pb2.BlockHeader(
            chain_id=chain_id,
            height=height,
            time_ms=1_700_000_000_000 + 1_000 * height,
            parent_hash=hash_of(f"block {height - 1}"),
            last_certificate_hash=hash_of(f"certificate {height - 1}"),
            transactions_root=merkle.root([]),
            receipts_root=receipts_root(receipts),
            app_hash=hash_of(f"state {height}"),
            next_validators_hash=next_validators.hash(),
            proposer=KEYS[0].address,
        )
    )


def _transaction() -> bytes:
    done = block_pb2.TransactionReceipt(hash=hash_of("tx"), sender=KEYS[0].address, fee=11_000)
    return encode_receipt(block_pb2.Receipt(transaction=done))


def _paid(
    amount: int,
    to: int = 1,
    kind: block_pb2.PaymentKind.ValueType = block_pb2.PAYMENT_KIND_TRAINING,
) -> bytes:
    trained = kind == block_pb2.PAYMENT_KIND_TRAINING
    payment = block_pb2.PaymentReceipt(
        kind=kind,
        address=KEYS[to].address,
        amount=amount,
        campaign_id=hash_of("campaign"),
        task_id=hash_of("task"),
        round=2,
        shapley_nano=-42_000_000 if trained else 0,
    )
    return encode_receipt(block_pb2.Receipt(payment=payment))


def _seen(proof: PaymentProof) -> dict[str, Any]:
    header = block_pb2.BlockHeader.FromString(proof.header)
    payment = block_pb2.Receipt.FromString(proof.receipt).payment
    return {
        "height": header.height,
        "block_hash": sha256(proof.header).hex(),
        "time_ms": header.time_ms,
        "kind": block_pb2.PaymentKind.Name(payment.kind),
        "address": format_address(payment.address),
        "amount": payment.amount,
        "shapley_nano": payment.shapley_nano,
    }


def _validator(validator: Validator) -> dict[str, Any]:
    return {"public_key": validator.public_key.hex(), "power": validator.power}
