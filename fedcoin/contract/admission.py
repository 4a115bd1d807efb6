"""Admission: the checks of every transaction before its action, and its fee."""

from __future__ import annotations

from typing import Final

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.execution_context import ExecutionContext, insufficient_balance_error
from fedcoin.data.crypto.key_policies import KeyPolicy
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.transactions import Transaction, action_name

_KIB = 1024

POLICY_ACTIONS: Final = frozenset(
    {"transfer", "open_campaign", "close_campaign", "set_clients", "set_readers"}
)
"""What an account of several keys may do: hold coins and request campaigns. Votes, evidence,
updates and receipts are signed by one key, so that validators, servers and clients have one."""


def min_fee(rules: Parameters, body_bytes: int, policy: KeyPolicy | None = None) -> int:
    """Compute the minimum fee of a transaction.

    Args:
        rules: The network's parameters.
        body_bytes: The length of its serialised body.
        policy: The keys of the sender's account, when it has several.

    Returns:
        The fee in sap: `base_fee` for each signature, and `compute_byte_fee`.
    """
    num_signatures = 1 if policy is None else policy.threshold
    return rules.base_fee * num_signatures + compute_byte_fee(rules, body_bytes, policy)


def compute_byte_fee(rules: Parameters, body_bytes: int, policy: KeyPolicy | None = None) -> int:
    """Compute the part of a transaction's fee that is burned, for bytes that are kept for ever.

    Args:
        rules: The network's parameters.
        body_bytes: The length of its serialised body.
        policy: The keys of the sender's account, when it has several: they and their signatures
            count, too.

    Returns:
        The amount in sap: `fee_per_kib` for each started KiB.
    """
    num_bytes = body_bytes if policy is None else body_bytes + policy.num_bytes
    return rules.fee_per_kib * -(-num_bytes // _KIB)


def min_replacement_fee(replaced_fee: int, own_min_fee: int) -> int:
    """Compute the minimum fee of a transaction that replaces one that waits.

    It is a tenth above the replaced fee, and at least the own minimum fee above it, since the
    network carries both transactions and is paid for one. So two programs that use one key and pay
    the minimum never replace each other's transactions by accident.

    Args:
        replaced_fee: The fee of the waiting transaction, in sap.
        own_min_fee: The minimum fee of the new transaction, in sap.

    Returns:
        The fee in sap.
    """
    return replaced_fee + max(-(-replaced_fee // 10), own_min_fee)


def admit(context: ExecutionContext, transaction: Transaction) -> None:
    """Check size, chain, signers, expiry, fee and nonce, in this order; take the fee.

    At its end a block burns the part of the fees that pays for bytes; its proposer gets the rest.

    Args:
        context: The block's context.
        transaction: The decoded and verified transaction.

    Raises:
        RefusalError: TOO_LARGE when the transaction has more than `max_transaction_bytes`;
            WRONG_CHAIN when it names another chain id; NEEDS_ONE_KEY when its sender is an account
            of several keys, and its action is none of `POLICY_ACTIONS`; EXPIRED or EXPIRY_TOO_FAR
            when its expiry height is below the block's, or more than `max_expiry_blocks` above it;
            FEE_TOO_LOW when it pays less than `min_fee`; AMOUNT_OVERFLOW when the fee cannot exist;
            NONCE_TOO_LOW or NONCE_TOO_HIGH when its nonce is not the account's next one;
            INSUFFICIENT_BALANCE when the balance does not cover the fee.
    """
    _check_envelope(context, transaction)
    if transaction.policy is not None:
        check_policy_action(action_name(transaction.body))
    _check_expiry(context, transaction.body.expiry_height)
    fee = _checked_fee(context, transaction)
    account = context.account(transaction.sender)
    _check_nonce(transaction.body.nonce, account.nonce)
    if account.balance < fee:
        raise insufficient_balance_error(account.balance, fee, "fee")
    account.balance -= fee
    account.nonce += 1
    if transaction.policy is not None:
        account.threshold = transaction.policy.threshold
        account.num_keys = len(transaction.policy.public_keys)
    context.put_account(transaction.sender, account)


def _check_envelope(context: ExecutionContext, transaction: Transaction) -> None:
    max_bytes = context.parameters.max_transaction_bytes
    if len(transaction.raw) > max_bytes:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the transaction has {len(transaction.raw)} bytes; at most {max_bytes} are allowed",
            field="transaction",
            limit=str(max_bytes),
        )
    if transaction.body.chain_id != context.genesis.chain_id:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"the transaction is for another chain than {context.genesis.chain_id!r}",
            field="chain_id",
            limit=context.genesis.chain_id,
        )


def check_policy_action(action: str) -> None:
    """Check that an account of several keys may do something.

    Args:
        action: The name of the action's field in TransactionBody.

    Raises:
        RefusalError: NEEDS_ONE_KEY when it is none of `POLICY_ACTIONS`.
    """
    if action not in POLICY_ACTIONS:
        allowed = ", ".join(sorted(POLICY_ACTIONS))
        raise RefusalError(
            LedgerCode.NEEDS_ONE_KEY,
            f"an account of several keys makes no {action}, but {allowed} alone",
            field="action",
            limit=allowed,
        )


def _check_expiry(context: ExecutionContext, expiry: int) -> None:
    height = context.block.height
    last = height - 1 + context.parameters.max_expiry_blocks
    if expiry < height:
        raise RefusalError(
            LedgerCode.EXPIRED,
            f"expiry_height is {expiry}; the block is {height}: sign it again",
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
    policy = transaction.policy
    minimum = min_fee(context.parameters, len(transaction.body_bytes), policy)
    if fee < minimum:
        signed = "" if policy is None else f", signed by {policy} keys,"
        raise RefusalError(
            LedgerCode.FEE_TOO_LOW,
            f"fee is {fee} sap; a body of {len(transaction.body_bytes)} bytes{signed} costs"
            f" {minimum} sap",
            field="fee",
            limit=str(minimum),
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
