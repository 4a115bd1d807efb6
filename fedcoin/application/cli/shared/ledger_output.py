"""Print what the chain holds: payments and transactions."""

from __future__ import annotations

import json
from typing import Any, Final

from fedcoin.application.cli.shared.output import coins, enum_name, nano, print_fields, print_table

AMOUNT_FIELDS: Final = frozenset(
    {
        "aggregation",
        "amount",
        "budget",
        "deposit",
        "max_room_fee",
        "mining",
        "training",
        "unit_price",
    }
)
"""Names of fields in the details of transactions whose values are amounts in sap, where they are
not parts of a ratio."""

_RATIOS: Final = frozenset({"split"})
"""Fields whose parts have the names of amounts and are ratios."""


def with_units(details: Any) -> Any:
    """Write the amounts in the details of a transaction as people do.

    Args:
        details: The value of JSON, such as `{"amount": 250000000}`.

    Returns:
        The same value with texts in place of amounts, such as `{"amount": "2.5 FDC"}`.
    """
    if isinstance(details, list):
        return [with_units(one) for one in details]
    if not isinstance(details, dict):
        return details
    return {
        name: value
        if name in _RATIOS
        else coins(value)
        if name in AMOUNT_FIELDS and type(value) is int
        else with_units(value)
        for name, value in details.items()
    }


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
            "sender": view.sender
            + (f", {view.threshold} of {view.num_keys} keys" if view.num_keys else ""),
            "nonce": view.nonce,
            "fee": coins(view.fee),
            "expires at": view.expiry_height,
            "action": view.action,
            "details": json.dumps(with_units(json.loads(view.details_json or "{}"))),
        }
    )
    if view.signers:
        fields["signed by"] = ", ".join(view.signers)
    print_fields(fields)
