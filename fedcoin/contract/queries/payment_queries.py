"""Read payments, and prove them."""

from __future__ import annotations

from collections.abc import Iterator

from fedcoin.contract.views import (
    payment_view,
)
from fedcoin.data.crypto.merkle import audit_path
from fedcoin.data.storage.block_index import Location
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.block_pb2 import Receipt
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.views_pb2 import (
    PaymentView,
)


def list_block_payments(store: ChainStore, height: int) -> list[PaymentView]:
    """List the payments that a block made.

    Args:
        store: The node's chain.
        height: The block's height.

    Returns:
        The payments, in the order in which they were made; none for a block that is not stored.
    """
    receipts = (Receipt.FromString(raw) for raw in store.receipts(height))
    return [payment_view(r.payment, height) for r in receipts if r.HasField("payment")]


def list_task_payments(store: ChainStore, task_id: bytes) -> list[PaymentView]:
    """List all payments of a task.

    Args:
        store: The node's chain.
        task_id: The task's id, 32 bytes.

    Returns:
        The payments, in the order in which they were made; none before the task is settled or
        failed, and for an unknown task.
    """
    return [
        payment_view(Receipt.FromString(raw).payment, location.height)
        for location, raw, _ in _payments(store, task_id)
    ]


def build_payment_proofs(store: ChainStore, task_id: bytes, address: bytes) -> list[PaymentProof]:
    """Build proofs of a task's payments to an address, which can be verified offline.

    Args:
        store: The node's chain.
        task_id: The task's id, 32 bytes.
        address: The address, 20 bytes.

    Returns:
        One proof for each payment, in the order in which they were made.
    """
    proofs = []
    for location, raw, receipts in _payments(store, task_id):
        payment = Receipt.FromString(raw).payment
        if payment.address != address:
            continue
        proof = PaymentProof(
            header=store.header_bytes(location.height) or b"",
            certificate=store.certificate(location.height) or b"",
            receipt=raw,
            index=location.position,
            count=len(receipts),
            path=audit_path(receipts, location.position),
            payment=payment,
        )
        proofs.append(proof)
    return proofs


def _payments(
    store: ChainStore, task_id: bytes
) -> Iterator[tuple[Location, bytes, tuple[bytes, ...]]]:
    """Yield location and receipt of each payment, with all receipts of its block."""
    blocks: dict[int, tuple[bytes, ...]] = {}
    for location in store.index.list_task_payments(task_id):
        if location.height not in blocks:
            blocks[location.height] = store.receipts(location.height)
        receipts = blocks[location.height]
        yield location, receipts[location.position], receipts
