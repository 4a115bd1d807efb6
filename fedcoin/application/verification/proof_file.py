"""Payment proofs as files: JSON that proves a task's payments to one address, from genesis alone.

A file holds each payment's receipt, header and certificate, and the path from genesis to the
validators that signed: for every change of the validator set, the header that announces it,
certified by the validators before. Everything in it is checked. Members that exist for reading
(amounts, heights) must equal what the proved bytes say, and members that the format does not have
are refused, so that no digit can change unnoticed.

A file proves that payments were made, not that there were no others. Like every proof that starts
at genesis, it assumes that no validator set on the path ever signs a false chain with more than 2/3
of its power, not even after its members left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fedcoin.application.verification.proof_parts import (
    change_view,
    check_network,
    compare,
    differs,
    follow_changes,
    within,
)
from fedcoin.application.verification.strict_json import (
    malformed,
    parse_object,
    read_bytes,
    read_member,
)
from fedcoin.consensus.validator_messages import validators_from_messages
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.merkle import leaf_hash, node_hash
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import decode_receipt, encode_receipt
from fedcoin.v1.block_pb2 import BlockHeader, PaymentKind, PaymentReceipt, Receipt
from fedcoin.v1.node_service_pb2 import GetStatusResponse
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.snapshot_pb2 import ValidatorChange

FORMAT: Final = "fedcoin/payment-proof/v1"
"""The value of `format` in a proof file."""

MAX_BYTES: Final = 64 << 20
"""The size of the largest file that is read, in bytes."""

_MAX_PATH: Final = 64
_SIDES: Final = ("left", "right")

Path_ = list[tuple[str, bytes]]
"""A Merkle path from the leaf up: each sibling's side and its 32-byte hash."""


@dataclass(frozen=True, slots=True)
class ProvedPayment:
    """A payment, with the hash and header of the block that made it."""

    block_hash: bytes
    """The hash of the block that paid, 32 bytes."""
    header: BlockHeader
    """The header of the block that paid; validators' signatures make it final."""
    payment: PaymentReceipt
    """The payment, with its amount in sap."""


@dataclass(frozen=True, slots=True)
class ProvedPayments:
    """The payments of one task to one address, as a proof file proves them."""

    task_id: bytes
    """The task's id, 32 bytes."""
    address: bytes
    """The address, 20 bytes."""
    num_validator_changes: int
    """Changes of the validator set between genesis and the last payment."""
    payments: tuple[ProvedPayment, ...]
    """The payments, in the order in which they were made."""


class ProofSource(Protocol):
    """The calls of a node's API that give what a proof file holds; `NodeClient` has them."""

    async def get_status(self) -> GetStatusResponse:
        """Ask for the node's network and height.

        Returns:
            The status; its network and height are used.
        """
        ...

    async def get_payment_proofs(
        self, task_id: bytes | str, address: bytes | str
    ) -> list[PaymentProof]:
        """Ask for the proofs of a task's payments to an address.

        Args:
            task_id: The task: 32 bytes, or 64 hex digits.
            address: The account that was paid: 20 bytes, or bech32m.

        Returns:
            One proof for each payment.
        """
        ...

    async def list_validator_changes(self, below_height: int = 0) -> list[ValidatorChange]:
        """List the changes of the validator set below a height; 0 means all.

        Args:
            below_height: Only changes below this height; 0 means all.

        Returns:
            The changes, the lowest first.
        """
        ...


# Writing --------------------------------------------------------------------------------------


async def fetch_document(
    client: ProofSource, task_id: str | bytes, address: bytes | str
) -> dict[str, Any]:
    """Ask a node for the proofs of a task's payments and write them as a document.

    Args:
        client: A client of the node's API.
        task_id: The task: 32 bytes, or 64 hex digits.
        address: The address that was paid: 20 bytes, or bech32m.

    Returns:
        The content of a proof file.

    Raises:
        RpcError: The node refused, for example with PAYMENT_NOT_FOUND, or could not be reached.
        RefusalError: MALFORMED when the node's answer cannot be read.
    """
    status = await client.get_status()
    proofs = await client.get_payment_proofs(task_id, address)
    highest = max(decode_header(proof.header).height for proof in proofs)
    changes = await client.list_validator_changes(below_height=highest)
    return build_document(status.chain_id, status.genesis_hash, changes, proofs)


def build_document(
    chain_id: str,
    genesis_hash: str,
    changes: Sequence[ValidatorChange],
    proofs: Sequence[PaymentProof],
) -> dict[str, Any]:
    """Build the content of a proof file from a node's answers. The proofs are not checked.

    Args:
        chain_id: The network's name.
        genesis_hash: The genesis' hash, 64 hex digits.
        changes: Every change of the validator set up to the last payment, in order.
        proofs: At least one proof; all of one task and one address.

    Returns:
        The content of a proof file.

    Raises:
        RefusalError: MALFORMED when a proof cannot be read.
    """
    payments = []
    for proof in proofs:
        header, payment = decode_header(proof.header), _payment_of(proof.receipt, "receipt")
        path = list(_with_sides(proof.index, proof.count, proof.path))
        payments.append(_payment(header, payment, proof.header, proof.certificate, path))
    chosen = [
        change_view(c.header, c.certificate, validators_from_messages(c.validators))
        for c in changes
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


def _payment(
    header: BlockHeader, payment: PaymentReceipt, raw: bytes, certificate: bytes, path: Path_
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
        "path": [{side: hash.hex()} for side, hash in path],
    }


def _kind(number: PaymentKind.ValueType) -> str:
    known = number in PaymentKind.values()
    name = PaymentKind.Name(number) if known else str(number)
    return name.removeprefix("PAYMENT_KIND_").lower()


def _with_sides(index: int, count: int, path: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    # With the side of each sibling a checker needs neither the leaf's index nor the leaves' number.
    rest = iter(path)
    while count > 1:
        if index ^ 1 < count:
            yield _SIDES[0] if index & 1 else _SIDES[1], next(rest, b"")
        index, count = index // 2, (count + 1) // 2


# Checking -------------------------------------------------------------------------------------


def check_file(raw: bytes, genesis: Genesis) -> ProvedPayments:
    """Check a proof file. Nothing but the genesis is trusted.

    Args:
        raw: The file's bytes.
        genesis: The network's genesis.

    Returns:
        The payments that it proves.

    Raises:
        RefusalError: The first fault, with its place in the document as `field`: TOO_LARGE when the
            file has more than `MAX_BYTES`; MALFORMED when it is not such a document; WRONG_CHAIN or
            WRONG_GENESIS when it is of another network; WRONG_VALIDATORS_HASH or BAD_CERTIFICATE
            when a header commits to other validators or is not certified; BAD_ROOT when a path does
            not lead to a header; BAD_PROOF when a member for reading differs from what is proved.
    """
    given = parse_object(raw, "proof", MAX_BYTES)
    check_network(given, genesis, FORMAT)
    trust = TrustPath(genesis)
    changes = follow_changes(read_member(given, "validator_changes", list), trust)
    payments, shown = [], []
    places = set()
    for i, item in enumerate(read_member(given, "payments", list)):
        with within(f"payments[{i}]"):
            payment, view = _checked_payment(item, trust)
            # Without the certificate: a block has as many as validators can make.
            place = json.dumps([view[name] for name in ("header", "receipt", "path")])
            if place in places:
                raise malformed("path", "is that of an earlier payment: each is made once")
            places.add(place)
            payments.append(payment)
            shown.append(view)
    if not payments:
        raise malformed("payments", "is empty; at least one must be proved")
    first = payments[0].payment
    for i, each in enumerate(payments):
        if (each.payment.task_id, each.payment.address) != (first.task_id, first.address):
            raise differs(f"payments[{i}].receipt", "another task or address", "that of the first")
    proved = _document(
        genesis.chain_id, genesis.hash.hex(), first.task_id, first.address, changes, shown
    )
    compare(given, proved, "")
    return ProvedPayments(first.task_id, first.address, len(changes), tuple(payments))


def _checked_payment(item: Any, trust: TrustPath) -> tuple[ProvedPayment, dict[str, Any]]:
    raw, certificate = read_bytes(item, "header"), read_bytes(item, "certificate")
    header = trust.check_certified(raw, certificate)
    receipt = read_bytes(item, "receipt")
    path = _path(read_member(item, "path", list))
    value = leaf_hash(receipt)
    for side, hash in path:
        value = node_hash(hash, value) if side == _SIDES[0] else node_hash(value, hash)
    if value != header.receipts_root:
        raise RefusalError(
            DataCode.BAD_ROOT,
            "path: it does not lead from the receipt to header.receipts_root",
            field="path",
            limit=header.receipts_root.hex(),
        )
    payment = _payment_of(receipt, "receipt")
    view = _payment(header, payment, raw, certificate, path)
    return ProvedPayment(sha256(raw), header, payment), view


def _payment_of(receipt: bytes, field: str) -> PaymentReceipt:
    read = decode_receipt(receipt)
    if not read.HasField("payment"):
        raise malformed(field, "is not the receipt of a payment")
    return read.payment


def _path(items: list[Any]) -> Path_:
    if len(items) > _MAX_PATH:
        raise malformed("path", f"has {len(items)} steps; at most {_MAX_PATH} are possible")
    path = []
    for i, item in enumerate(items):
        side = next((s for s in _SIDES if isinstance(item, dict) and s in item), None)
        if side is None:
            raise malformed(f"path[{i}]", "must have a left or a right")
        hash = read_bytes(item, side)
        if len(hash) != 32:
            raise malformed(f"path[{i}].{side}", "must have 32 bytes")
        path.append((side, hash))
    return path
