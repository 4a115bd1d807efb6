"""Transfers that surely apply, told from the account and the numbers alone.

Nearly all transactions are such transfers. To apply them when they arrive, again after each block
while they wait, and once more in their block would be most of a node's work. So these checks are
sufficient, and not necessary: what they do not see to apply is applied, and refused with its reason
if it does not. A block is always executed in full.
"""

from __future__ import annotations

from fedcoin.contract.actions.transfers import MAX_OUTPUTS
from fedcoin.contract.admission import min_fee
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.sender_queue import SenderQueue
from fedcoin.data.crypto.addresses import ADDRESS_BYTES
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.transactions import Transaction, action_name


def compute_max_cost(transaction: Transaction, ledger: Ledger, height: int) -> int | None:
    """Compute what a transfer takes from its sender's balance at most.

    Args:
        transaction: The decoded and verified transaction.
        ledger: The ledger after the latest block.
        height: The height of the latest block.

    Returns:
        Fee, amounts, and the fee for a new account for each output, in sap; None for other actions,
        and for what breaks a rule whatever the sender's account.
    """
    body, rules = transaction.body, ledger.genesis.parameters
    outputs = body.transfer.outputs
    if not (
        1 <= len(outputs) <= MAX_OUTPUTS
        and action_name(body) == "transfer"
        and len(transaction.raw) <= rules.max_transaction_bytes
        and body.chain_id == ledger.genesis.chain_id
        and height < body.expiry_height <= height + rules.max_expiry_blocks
        and min_fee(rules, len(transaction.body_bytes), transaction.policy)
        <= body.fee
        <= MAX_AMOUNT
    ):
        return None
    total = 0
    for output in outputs:
        amount = output.amount
        if not 0 < amount <= MAX_AMOUNT or len(output.recipient) != ADDRESS_BYTES:
            return None
        total += amount
    return None if total > MAX_AMOUNT else body.fee + total + len(outputs) * rules.state_fee


def still_applies(queue: SenderQueue, sender: bytes, ledger: Ledger, more: int = 0) -> bool:
    """Tell whether all waiting transactions of a sender are known to apply.

    Args:
        queue: The sender's transactions, at least one.
        sender: The sender's address, 20 bytes.
        ledger: The ledger after the latest block.
        more: What the account must have beside what they take, in sap.

    Returns:
        True when they are transfers that could be applied before, the account has the coins that
        they take at most, and its nonce is that of the first one; False when it takes more to tell.
    """
    nonce, cost = min(queue.entries), more
    for entry in queue.entries.values():
        if entry.cost is None or entry.early is not None:
            return False
        cost += entry.cost
    account = ledger.account(sender)
    is_gapless = max(queue.entries) - nonce + 1 == len(queue.entries)
    return is_gapless and account.nonce == nonce and account.balance >= cost


def surely_applies(
    transaction: Transaction, cost: int | None, queue: SenderQueue, ledger: Ledger
) -> bool:
    """Tell whether a new transfer applies behind all that waits of its sender.

    Args:
        transaction: The decoded and verified transaction.
        cost: Its `compute_max_cost`.
        queue: The sender's other transactions.
        ledger: The ledger after the latest block.

    Returns:
        True when it does; False for other actions, and when it takes more to tell.
    """
    if cost is None:
        return False
    nonce, sender = transaction.body.nonce, transaction.sender
    if queue.entries:
        return nonce - 1 == max(queue.entries) and still_applies(queue, sender, ledger, cost)
    account = ledger.account(sender)
    return nonce == account.nonce and account.balance >= cost
