"""What every transaction has to meet before its action is looked at, and what it pays."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.execution_context import ExecutionContext, insufficient_balance_error
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.transactions import Transaction

_KIB = 1024


def min_fee(rules: Parameters, body_bytes: int) -> int:
    """What a transaction must pay at least, in sap, with a body of so many bytes."""
    return rules.base_fee + rules.fee_per_kib * -(-body_bytes // _KIB)


def min_replacement_fee(waiting: int, least: int) -> int:
    """What a transaction must pay at least, in sap, to take the place of one that waits.

    A tenth more than the ``waiting`` one's fee, and at least its own ``least`` fee more: the
    network carries both of them, and only one is ever paid for. So two programs with one key that
    pay the least never replace each other's by accident, however large they are.
    """
    return waiting + max(-(-waiting // 10), least)


def admit(context: ExecutionContext, transaction: Transaction) -> None:
    """Check size, chain, expiry, fee and nonce, in this order; take the fee, count the nonce.

    Raises `Refusal` (TOO_LARGE, WRONG_CHAIN, EXPIRED, EXPIRY_TOO_FAR, FEE_TOO_LOW,
    AMOUNT_OVERFLOW, NONCE_TOO_LOW, NONCE_TOO_HIGH, INSUFFICIENT_BALANCE). The fees of a block go
    to its proposer when the block ends.
    """
    _check_envelope(context, transaction)
    _check_expiry(context, transaction.body.expiry_height)
    fee = _checked_fee(context, transaction)
    account = context.account(transaction.sender)
    _check_nonce(transaction.body.nonce, account.nonce)
    if account.balance < fee:
        raise insufficient_balance_error(account.balance, fee, "fee")
    account.balance -= fee
    account.nonce += 1
    context.put_account(transaction.sender, account)


def _check_envelope(context: ExecutionContext, transaction: Transaction) -> None:
    most = context.parameters.max_transaction_bytes
    if len(transaction.raw) > most:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the transaction has {len(transaction.raw)} bytes; at most {most} are allowed",
            field="transaction",
            limit=str(most),
        )
    if transaction.body.chain_id != context.genesis.chain_id:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"the transaction is for another chain than {context.genesis.chain_id!r}",
            field="chain_id",
            limit=context.genesis.chain_id,
        )


def _check_expiry(context: ExecutionContext, expiry: int) -> None:
    height = context.block.height
    last = height - 1 + context.parameters.max_expiry_blocks
    if expiry < height:
        raise RefusalError(
            LedgerCode.EXPIRED,
            f"expiry_height is {expiry}; the block is {height}: sign it anew",
            field="expiry_height",
            limit=str(height),
        )
    if expiry > last:
        raise RefusalError(
            LedgerCode.EXPIRY_TOO_FAR,
            f"expiry_height is {expiry}; at most {last} is allowed at height {height}",
            field="expiry_height",
            limit=str(last),
        )


def _checked_fee(context: ExecutionContext, transaction: Transaction) -> int:
    fee = transaction.body.fee
    least = min_fee(context.parameters, len(transaction.body_bytes))
    if fee < least:
        raise RefusalError(
            LedgerCode.FEE_TOO_LOW,
            f"fee is {fee} sap; a body of {len(transaction.body_bytes)} bytes costs {least}",
            field="fee",
            limit=str(least),
        )
    if fee > MAX_AMOUNT:
        raise RefusalError(
            LedgerCode.AMOUNT_OVERFLOW,
            f"fee is {fee} sap; no more than {MAX_AMOUNT} can exist",
            field="fee",
            limit=str(MAX_AMOUNT),
        )
    return fee


def _check_nonce(nonce: int, due: int) -> None:
    if nonce == due:
        return
    code = LedgerCode.NONCE_TOO_LOW if nonce < due else LedgerCode.NONCE_TOO_HIGH
    raise RefusalError(
        code, f"nonce is {nonce}; the sender's next is {due}", field="nonce", limit=str(due)
    )
