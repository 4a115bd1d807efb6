"""Why a mempool refuses or drops a transaction by its own rules."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.sender_queue import compute_fee_rate
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction


def replaced_by(transaction: Transaction) -> RefusalError:
    """Make the refusal of a transaction that its sender replaced by another one.

    Args:
        transaction: The new transaction.

    Returns:
        A refusal with code REPLACED.
    """
    return RefusalError(
        LedgerCode.REPLACED,
        f"its sender replaced it by transaction {transaction.hash.hex()}, which pays more",
        field="fee",
        limit=str(transaction.body.fee),
    )


def evicted_by(transaction: Transaction) -> RefusalError:
    """Make the refusal of a waiting transaction that made room for another one.

    Args:
        transaction: The transaction that took its place.

    Returns:
        A refusal with code EVICTED.
    """
    fee_rate = compute_fee_rate(transaction.body.fee, len(transaction.raw))
    return RefusalError(
        LedgerCode.EVICTED,
        f"the mempool is full, and a transaction that pays {fee_rate} sap for each KiB took its"
        " place: sign again with a higher fee",
        field="fee",
        limit=str(fee_rate),
    )


def pool_full(transaction: Transaction, min_fee_rate: int) -> RefusalError:
    """Make the refusal of a transaction that pays too little for a full mempool.

    Args:
        transaction: The transaction that was to be added.
        min_fee_rate: What it had to pay, in sap for each KiB.

    Returns:
        A refusal with code POOL_FULL; its limit is the fee that is enough, in sap.
    """
    fee = -(-min_fee_rate * len(transaction.raw) // 1024)
    return RefusalError(
        LedgerCode.POOL_FULL,
        f"the mempool is full, and the fee of {transaction.body.fee} sap is too low for"
        f" {len(transaction.raw)} bytes: pay at least {fee} sap, or wait for a block",
        field="fee",
        limit=str(fee),
    )


def full_of_held(held: int, refusal: RefusalError) -> RefusalError:
    """Make the refusal of a transaction that is too early, when too many such wait.

    Args:
        held: The number of transactions that are held.
        refusal: Why the new one cannot be applied yet.

    Returns:
        A refusal with code POOL_FULL.
    """
    return RefusalError(
        LedgerCode.POOL_FULL,
        f"the mempool is full: {held} transactions are held as too early, and this one cannot be"
        f" applied yet: {refusal.message}",
        field="transaction",
        limit=str(held),
    )


def too_many_pending(count: int, limit: int) -> RefusalError:
    """Make the refusal of a transaction of a sender of which too many wait.

    Args:
        count: The number of the sender's transactions that wait.
        limit: The largest number that may wait.

    Returns:
        A refusal with code TOO_MANY_PENDING.
    """
    return RefusalError(
        LedgerCode.TOO_MANY_PENDING,
        f"{count} transactions of this sender wait; at most {limit} may: wait for a block",
        field="nonce",
        limit=str(limit),
    )


def already_pending(transaction: Transaction) -> RefusalError:
    """Make the refusal of a transaction that waits already.

    Args:
        transaction: The transaction that the mempool holds.

    Returns:
        A refusal with code ALREADY_PENDING.
    """
    return RefusalError(
        LedgerCode.ALREADY_PENDING,
        f"transaction {transaction.hash.hex()} is in the mempool already",
        field="transaction",
    )


def replacement_underpriced(
    transaction: Transaction, replaced_fee: int, needed: int
) -> RefusalError:
    """Make the refusal of a transaction that pays too little to replace another one.

    Args:
        transaction: The new transaction.
        replaced_fee: The fee of the waiting transaction with the same nonce, in sap.
        needed: The fee that is enough, in sap.

    Returns:
        A refusal with code REPLACEMENT_UNDERPRICED.
    """
    return RefusalError(
        LedgerCode.REPLACEMENT_UNDERPRICED,
        f"fee is {transaction.body.fee} sap, and another transaction of this sender with nonce"
        f" {transaction.body.nonce} waits already, with a fee of {replaced_fee} sap: pay at least"
        f" {needed} to replace it, or sign with the next nonce",
        field="fee",
        limit=str(needed),
    )


def held_too_long(blocks: int, refusal: RefusalError) -> RefusalError:
    """Make the refusal of a transaction that was too early for too many blocks.

    Args:
        blocks: For how many blocks a transaction may be held.
        refusal: Why it still cannot be applied.

    Returns:
        A refusal with code HELD_TOO_LONG.
    """
    return RefusalError(
        LedgerCode.HELD_TOO_LONG,
        f"could not be applied for {blocks} blocks: {refusal.message}",
        field=refusal.field,
        limit=str(blocks),
    )
