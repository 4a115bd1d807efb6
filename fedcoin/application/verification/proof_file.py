"""A payment proof as a file: JSON that proves, with the genesis alone, what a task paid somebody.

It holds each payment's receipt, header and certificate, and the way from genesis to the validators
that signed: every block after which others decided, certified by those before. Whatever stands in
it is checked. What is there for reading only must be what the proved bytes say, so that no digit
can be changed unnoticed; and nothing may stand in it that the format does not have.

It proves that the payments were made, not that there were no others. Like every proof that begins
at genesis it trusts that of no set of validators on the way more than two thirds ever sign a false
chain, not even after they left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from fedcoin.consensus.validator_messages import validators_from_messages
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.merkle import leaf_hash, node_hash
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import decode_receipt, encode_receipt
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_pb2 import BlockHeader, PaymentKind, PaymentReceipt, Receipt
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from fedcoin.v1.state_pb2 import ValidatorPower

if TYPE_CHECKING:
    from fedcoin.network.api.client import NodeClient

FORMAT: Final = "fedcoin/payment-proof/v1"

MAX_BYTES: Final = 64 << 20
"""The largest file that is read."""

_MAX_PATH: Final = 64
_SIDES: Final = ("left", "right")

K = TypeVar("K")
Tree = list[tuple[str, bytes]]
"""Siblings from below: on which side, and their hash."""


@dataclass(frozen=True, slots=True)
class ProvedPayment:
    """A payment, and the block that made it."""

    block_hash: bytes
    header: BlockHeader
    payment: PaymentReceipt


@dataclass(frozen=True, slots=True)
class Proved:
    """What a file proves."""

    task_id: bytes
    address: bytes
    changes: int
    """How often the validators changed on the way from genesis."""
    payments: tuple[ProvedPayment, ...]


# Writing --------------------------------------------------------------------------------------


async def fetch(client: NodeClient, task_id: str | bytes, address: bytes) -> dict[str, Any]:
    """The file's content, from a node. RpcFailure PAYMENT_NOT_FOUND and the like."""
    status = await client.status()
    proofs = await client.payment_proof(task_id, address)
    highest = max(decode_header(proof.header).height for proof in proofs)
    changes = await client.validator_changes(below_height=highest)
    return document(status.chain_id, status.genesis_hash, changes, proofs)


def document(
    chain_id: str,
    genesis_hash: str,
    changes: Sequence[ValidatorChange],
    proofs: Sequence[PaymentProof],
) -> dict[str, Any]:
    """The file's content, from what a node answered; `proofs` are of one task and address.

    Nothing is checked here but what it takes to read it; Refusal MALFORMED.
    """
    payments = []
    for proof in proofs:
        header, payment = decode_header(proof.header), _payment_of(proof.receipt, "receipt")
        tree = list(_sided(proof.index, proof.count, proof.path))
        payments.append(_payment(header, payment, proof.header, proof.certificate, tree))
    chosen = [
        _change(
            change.header,
            change.certificate,
            validators_from_messages(change.validators),
        )
        for change in changes
    ]
    first = _payment_of(proofs[0].receipt, "receipt")
    return _document(chain_id, genesis_hash, first.task_id, first.address, chosen, payments)


def _document(
    chain_id: str,
    genesis_hash: str,
    task_id: bytes,
    address: bytes,
    changes: list[dict[str, Any]],
    payments: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "chain_id": chain_id,
        "genesis_hash": genesis_hash,
        "task_id": task_id.hex(),
        "address": format_address(address),
        "validator_changes": changes,
        "payments": payments,
    }


def _change(header: bytes, certificate: bytes, validators: ValidatorSet) -> dict[str, Any]:
    return {
        "height": decode_header(header).height,
        "header": header.hex(),
        "certificate": certificate.hex(),
        "validators": [{"public_key": v.public_key.hex(), "power": v.power} for v in validators],
    }


def _payment(
    header: BlockHeader, payment: PaymentReceipt, raw: bytes, certificate: bytes, tree: Tree
) -> dict[str, Any]:
    return {
        "height": header.height,
        "time_ms": header.time_ms,
        "kind": _kind(payment.kind),
        "amount": payment.amount,
        "campaign_id": payment.campaign_id.hex(),
        "round": payment.round,
        "shapley_nano": payment.shapley_nano,
        "header": raw.hex(),
        "certificate": certificate.hex(),
        "receipt": encode_receipt(Receipt(payment=payment)).hex(),
        "path": [{side: hash.hex()} for side, hash in tree],
    }


def _kind(number: PaymentKind.ValueType) -> str:
    known = number in PaymentKind.values()
    name = PaymentKind.Name(number) if known else str(number)
    return name.removeprefix("PAYMENT_KIND_").lower()


def _sided(index: int, count: int, path: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """A path with the side of each sibling, so that place and number need not be told."""
    rest = iter(path)
    while count > 1:
        if index ^ 1 < count:
            yield _SIDES[0] if index & 1 else _SIDES[1], next(rest, b"")
        index, count = index // 2, (count + 1) // 2


# Checking -------------------------------------------------------------------------------------


def check_file(raw: bytes, genesis: Genesis) -> Proved:
    """Check a file against the genesis; nothing else is trusted.

    Raises `Refusal` that names the first place that is wrong: TOO_LARGE, MALFORMED,
    WRONG_CHAIN, WRONG_GENESIS, `LedgerCode.WRONG_VALIDATORS_HASH`, BAD_CERTIFICATE, BAD_ROOT,
    or BAD_PROOF for what is said but not proved.
    """
    given = _parsed(raw)
    _check_network(given, genesis)
    trust = TrustPath(genesis)
    changes = _followed(_list(given, "validator_changes", ""), trust)
    payments, shown = [], []
    for i, item in enumerate(_list(given, "payments", "")):
        with _within(f"payments[{i}]"):
            payment, view = _checked_payment(item, trust)
            if view in shown:
                raise _malformed("path", "is that of a payment before: it was made once")
            payments.append(payment)
            shown.append(view)
    if not payments:
        raise _malformed("payments", "is empty; at least one must be proved")
    first = payments[0].payment
    for i, each in enumerate(payments):
        if (each.payment.task_id, each.payment.address) != (first.task_id, first.address):
            raise _differs(f"payments[{i}].receipt", "another task or address", "that of the first")
    proved = _document(
        genesis.chain_id, genesis.hash.hex(), first.task_id, first.address, changes, shown
    )
    _compare(given, proved, "")
    return Proved(first.task_id, first.address, len(changes), tuple(payments))


def _check_network(given: dict[str, Any], genesis: Genesis) -> None:
    for name, wanted, code in (
        ("format", FORMAT, NetworkCode.MALFORMED),
        ("chain_id", genesis.chain_id, NetworkCode.WRONG_CHAIN),
        ("genesis_hash", genesis.hash.hex(), NetworkCode.WRONG_GENESIS),
    ):
        found = _read(given, name, str, "")
        if found != wanted:
            message = f"{name}: it is {found[:80]!r}; here it must be {wanted!r}"
            raise RefusalError(code, message, field=name, limit=wanted)


def _followed(items: list[Any], trust: TrustPath) -> list[dict[str, Any]]:
    """Follow the changes; they are returned as they should be written."""
    views = []
    for i, item in enumerate(items):
        with _within(f"validator_changes[{i}]"):
            raw, certificate = _bytes(item, "header"), _bytes(item, "certificate")
            validators = _validators(_list(item, "validators", ""))
            trust.follow(raw, certificate, validators)
            views.append(_change(raw, certificate, validators))
    return views


def _checked_payment(item: Any, trust: TrustPath) -> tuple[ProvedPayment, dict[str, Any]]:
    raw, certificate = _bytes(item, "header"), _bytes(item, "certificate")
    header = trust.certified(raw, certificate)
    receipt = _bytes(item, "receipt")
    tree = _tree(_list(item, "path", ""))
    value = leaf_hash(receipt)
    for side, hash in tree:
        value = node_hash(hash, value) if side == _SIDES[0] else node_hash(value, hash)
    if value != header.receipts_root:
        raise RefusalError(
            DataCode.BAD_ROOT,
            "path: it does not lead from the receipt to header.receipts_root",
            field="path",
            limit=header.receipts_root.hex(),
        )
    payment = _payment_of(receipt, "receipt")
    view = _payment(header, payment, raw, certificate, tree)
    return ProvedPayment(sha256(raw), header, payment), view


def _payment_of(receipt: bytes, field: str) -> PaymentReceipt:
    read = decode_receipt(receipt)
    if not read.HasField("payment"):
        raise _malformed(field, "is not of a payment")
    return read.payment


def _validators(items: list[Any]) -> ValidatorSet:
    validators = []
    for i, item in enumerate(items):
        key, power = _bytes(item, "public_key"), _read(item, "power", int, "")
        if not 0 < power <= MAX_AMOUNT:
            raise _malformed(f"validators[{i}]", f"has power {power}, out of range")
        validators.append(ValidatorPower(public_key=key, power=power))
    return validators_from_messages(validators)


def _tree(items: list[Any]) -> Tree:
    if len(items) > _MAX_PATH:
        raise _malformed("path", f"has {len(items)} steps; no block has so many receipts")
    tree = []
    for i, item in enumerate(items):
        side = next((s for s in _SIDES if isinstance(item, dict) and s in item), None)
        if side is None:
            raise _malformed(f"path[{i}]", "must have a left or a right")
        hash = _bytes(item, side)
        if len(hash) != 32:
            raise _malformed(f"path[{i}].{side}", "must have 32 bytes")
        tree.append((side, hash))
    return tree


# JSON -----------------------------------------------------------------------------------------


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise RefusalError(
            NetworkCode.TOO_LARGE,
            f"the proof has {len(raw)} bytes; at most {MAX_BYTES} are read",
            field="proof",
            limit=str(MAX_BYTES),
        )
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _malformed("proof", f"is no JSON that can be read: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise _malformed("proof", "is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _read(item: Any, name: str, kind: type[K], where: str) -> K:
    found = item.get(name) if isinstance(item, dict) else None
    if type(found) is not kind:
        raise _malformed(f"{where}{name}", f"is missing or no {kind.__name__}")
    return found


def _list(item: Any, name: str, where: str) -> list[Any]:
    return _read(item, name, list, where)


def _bytes(item: Any, name: str) -> bytes:
    text = _read(item, name, str, "")
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if found.hex() != text:
        raise _malformed(name, "must be lower-case hex")
    return found


def _compare(given: Any, proved: Any, where: str) -> None:
    """Raise BAD_PROOF at the first place where the file says something else than is proved."""
    if type(given) is not type(proved):
        raise _differs(where, given, proved)
    if isinstance(proved, dict):
        for name in {**proved, **given}:
            place = f"{where}.{name[:40]}".lstrip(".")
            if name not in given or name not in proved:
                raise _differs(place, given.get(name, "nothing"), proved.get(name, "nothing"))
            _compare(given[name], proved[name], place)
    elif isinstance(proved, list):
        for i, (one, other) in enumerate(zip(given, proved, strict=True)):
            _compare(one, other, f"{where}[{i}]")
    elif given != proved:
        raise _differs(where, given, proved)


def _differs(field: str, given: object, proved: object) -> RefusalError:
    return RefusalError(
        NetworkCode.BAD_PROOF,
        f"{field}: the file says {str(given)[:80]}; proved is {str(proved)[:80]}",
        field=field,
    )


def _malformed(field: str, what: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"{field} {what}", field=field)


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Refusals from inside name their place in the file."""
    try:
        yield
    except RefusalError as refusal:
        raise refusal.prefixed(where, parent=where) from None
