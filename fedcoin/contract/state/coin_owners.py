"""Who owns the coins of a state, wherever they are: in balances, bonds, deposits or escrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.data.crypto.addresses import ADDRESS_BYTES


@dataclass(frozen=True, slots=True)
class CoinOwners:
    """The coins of a state by their owners."""

    balances: Mapping[bytes, int]
    """Sap by address (20 bytes), in the order of addresses: the balance, and what would return to
    the address if everything that is open ended now."""
    bonds: Mapping[bytes, int]
    """Bonds of validators in sap by Ed25519 public key (32 bytes), in the order of keys."""
    burned: int
    """Burned coins in sap, with those that open campaigns owe for updates that they left out."""


def find_owners(state: StateReader) -> CoinOwners:
    """Attribute every coin of a state to its owner.

    Escrow belongs to the requester, a task's deposit to the one who opened the task, a miner's or a
    client's deposit to the miner or client, and unbonding coins to the validator.

    Args:
        state: The whole state after a block.

    Returns:
        The owners; all amounts together are the supply.
    """
    balances: Counter[bytes] = Counter()
    for address, amount in _balances(state):
        balances[address] += amount
    burned = records.read_ledger(state).burned
    for _, campaign in records.CAMPAIGNS.scan(state):
        debt = min(campaign.left_out_debt, campaign.escrow)
        burned += debt
        balances[campaign.requester] += campaign.escrow - debt
    bonds = {bond.public_key: bond.bond for _, bond in records.BONDS.scan(state) if bond.bond}
    owned = {address: balances[address] for address in sorted(balances) if balances[address]}
    return CoinOwners(owned, dict(sorted(bonds.items())), burned)


def _balances(state: StateReader) -> Iterator[tuple[bytes, int]]:
    """Yield each amount that belongs to an address but is no bond and no escrow."""
    for address, account in records.ACCOUNTS.scan(state):
        yield address, account.balance
    for address, bond in records.BONDS.scan(state):
        yield address, sum(part.amount for part in bond.unbonding)
    for task_id, task in records.TASKS.scan(state):
        if task.deposit:
            yield task.opener or _server(state, task_id), task.deposit
    for table in (records.MINERS, records.RECEIPTS):
        for key, record in table.scan(state):
            if record.deposit:
                yield key[-ADDRESS_BYTES:], record.deposit


def _server(state: StateReader, task_id: bytes) -> bytes:
    terms = records.TERMS.get(state, task_id)
    campaign = None if terms is None else records.CAMPAIGNS.get(state, terms.campaign_id)
    assert campaign is not None, "a task with a deposit has terms and a campaign"
    return campaign.terms.server
