"""Read accounts and the validators of the next block."""

from __future__ import annotations

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.views import (
    account_view,
    format_optional_address,
)
from fedcoin.v1.state_pb2 import BondState
from fedcoin.v1.views_pb2 import (
    AccountView,
    ValidatorView,
)


def get_account(ledger: Ledger, address: bytes) -> AccountView:
    """Read an address: balance, nonce and bond.

    Args:
        ledger: The ledger after the latest block.
        address: The address, 20 bytes.

    Returns:
        Amounts in sap and the nonce; all zero for an address that was never used.
    """
    bond = records.BONDS.get(ledger.reader, address) or BondState()
    return account_view(address, ledger.account(address), bond)


def list_validators(ledger: Ledger, next_height: int) -> list[ValidatorView]:
    """List the validators of the next height.

    Args:
        ledger: The ledger after the latest block.
        next_height: The height after the latest block.

    Returns:
        The validators, in the order of their addresses.
    """
    members = ledger.validators()
    proposer = ledger.proposer(0)
    return [
        ValidatorView(
            address=format_optional_address(member.address),
            public_key=member.public_key.hex(),
            bond=member.power,
            next_proposer=member == proposer,
        )
        for member in members
    ]
