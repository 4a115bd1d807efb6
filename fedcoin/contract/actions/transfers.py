"""Transfer: moves coins from the sender to one or more addresses."""

from __future__ import annotations

from typing import Final

from fedcoin.contract.amount_checks import check_amount
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.crypto.addresses import ADDRESS_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.data.messages.transactions import Transaction

MAX_OUTPUTS: Final = 256
"""The largest number of outputs of a transfer."""


def transfer(context: ExecutionContext, transaction: Transaction) -> None:
    """Move coins from the sender to the recipients; charge for each account that this creates.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: NO_OUTPUTS or TOO_MANY_OUTPUTS when there is no recipient or there are more
            than the limit; BAD_RECIPIENT when an address does not have 20 bytes; ZERO_AMOUNT or
            AMOUNT_OVERFLOW when an amount is 0 or the sum cannot exist; INSUFFICIENT_BALANCE when
            the balance does not cover the sum and the new accounts; BLOCK_FULL when the block has
            no room for these.
    """
    outputs = transaction.body.transfer.outputs
    if not outputs:
        raise RefusalError(
            LedgerCode.NO_OUTPUTS,
            "the transfer has no outputs; it must have at least one",
            field="outputs",
            limit="1",
        )
    if len(outputs) > MAX_OUTPUTS:
        raise RefusalError(
            LedgerCode.TOO_MANY_OUTPUTS,
            f"the transfer has {len(outputs)} outputs; at most {MAX_OUTPUTS} are allowed",
            field="outputs",
            limit=str(MAX_OUTPUTS),
        )
    total = 0
    for i, output in enumerate(outputs):
        recipient = f"outputs[{i}].recipient"
        check_length(output.recipient, ADDRESS_BYTES, recipient, code=LedgerCode.BAD_RECIPIENT)
        total += check_amount(output.amount, f"outputs[{i}].amount")
    context.debit(transaction.sender, check_amount(total, "outputs.amount"), "outputs.amount")
    new = set()
    for output in outputs:
        if not context.has_account(output.recipient):
            new.add(output.recipient)
            context.room.check_entries(len(new))
    if new:
        context.charge_state(transaction.sender, len(new), "outputs.recipient")
    for output in outputs:
        context.credit(output.recipient, output.amount)
