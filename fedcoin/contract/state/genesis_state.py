"""The state before the first block."""

from __future__ import annotations

from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState, Overlay
from fedcoin.contract.state.standing_bonds import write_bond
from fedcoin.contract.state.validators import (
    genesis_validators,
    write_last_validators,
    write_proposer_order,
)
from fedcoin.data.messages.genesis import Genesis
from fedcoin.v1.state_pb2 import AccountState, BondState, LedgerState


def genesis_changes(genesis: Genesis) -> dict[bytes, bytes | None]:
    """List the entries of the state before the first block.

    Args:
        genesis: The network's genesis.

    Returns:
        Values by key; no value is None.
    """
    state = Overlay(MemoryState())
    for address, balance in genesis.accounts:
        if balance:
            records.ACCOUNTS.put(state, address, record=AccountState(balance=balance))
    validators = genesis_validators(genesis)
    for v in validators:
        bond = BondState(public_key=v.public_key, bond=v.power, since_height=1)
        write_bond(state, v.address, bond)
    write_last_validators(state, validators)
    write_proposer_order(state, ProposerOrder.first(validators))
    records.LEDGER.put(state, record=LedgerState(supply=genesis.supply))
    return state.changes()
