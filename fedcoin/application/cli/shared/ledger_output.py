"""Print what the chain holds: payments and transactions."""

from __future__ import annotations

from typing import Any

from fedcoin.application.cli.shared.output import coins, enum_name, nano, print_fields, print_table


def print_payments(payments: Any) -> None:
    """Print the payments of a block or a task.

    Args:
        payments: `PaymentView` messages.
    """
    print_table(
        ("PAID FOR", "TO", "AMOUNT", "SHAPLEY VALUE"),
        [
            (
                enum_name(p.DESCRIPTOR.fields_by_name["kind"].enum_type, p.kind).replace("_", " "),
                p.address,
                coins(p.amount),
                nano(p.shapley_nano) if p.shapley_nano else "",
            )
            for p in payments
        ],
        right="  rr",
    )


def print_transaction(view: Any) -> None:
    """Print a transaction.

    Args:
        view: A `TransactionView`.
    """
    state = enum_name(view.DESCRIPTOR.fields_by_name["status"].enum_type, view.status)
    fields: dict[str, object] = {"hash": view.hash, "status": state}
    if view.reason:
        fields["reason"] = view.reason
    if view.height:
        fields["block"] = f"{view.height}, transaction {view.index}"
    fields.update(
        {
            "sender": view.sender,
            "nonce": view.nonce,
            "fee": coins(view.fee),
            "expires at": view.expiry_height,
            "action": view.action,
            "details": view.details_json,
        }
    )
    print_fields(fields)
