"""Which waiting transactions a block may affect although their senders did nothing in it.

Most are transfers, which depend on their sender's account alone. Reports of conflicting votes, of
which any number may wait and whose check verifies two signatures, depend on whether the
reported bond can be slashed as well, and not on its amount, which its owner can raise in each
block. So a block costs the mempool as much as it changes, and not as much as waits.
"""

from __future__ import annotations

from collections import defaultdict

from fedcoin.contract.pending.sender_queue import Entry
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.v1.state_pb2 import BondState


class Rechecks:
    """The waiting transactions that other senders may affect, and when each one expires."""

    def __init__(self) -> None:
        """Begin with none."""
        self._unstable: dict[bytes, Entry] = {}
        # Reports by the reported address, and by hash.
        self._reports: dict[bytes, dict[bytes, Entry]] = {}
        # What was at stake at these addresses when their reports were last checked.
        self._stakes: dict[bytes, tuple[bool, bool, int]] = {}
        # By expiry height and hash.
        self._expiring: defaultdict[int, dict[bytes, Entry]] = defaultdict(dict)

    def add(self, entry: Entry, state: StateReader) -> None:
        """Follow a new transaction.

        Args:
            entry: A waiting transaction, with what is known of it.
            state: The state after the latest block, against which it was checked.
        """
        self._expiring[entry.transaction.body.expiry_height][entry.transaction.hash] = entry
        self.note(entry, state)

    def note(self, entry: Entry, state: StateReader) -> None:
        """Follow a transaction that was checked again.

        Args:
            entry: A waiting transaction, with what is known of it.
            state: The state after the latest block, against which it was checked.
        """
        self._forget(entry)
        if entry.depends_on_sender_alone:
            return
        address = entry.reported
        if address is None or entry.early is not None:
            self._unstable[entry.transaction.hash] = entry
            return
        if address not in self._reports:
            self._reports[address] = {}
            self._stakes[address] = _read_stake(state, address)
        self._reports[address][entry.transaction.hash] = entry

    def remove(self, entry: Entry) -> None:
        """Forget a transaction that has left the mempool.

        Args:
            entry: A waiting transaction, with what is known of it.
        """
        self._forget(entry)
        height = entry.transaction.body.expiry_height
        expiring = self._expiring[height]
        expiring.pop(entry.transaction.hash, None)
        if not expiring:
            del self._expiring[height]

    def senders_due(self, height: int, state: StateReader) -> list[bytes]:
        """List the senders whose transactions a block may have affected.

        Args:
            height: The block's height.
            state: The state after the block.

        Returns:
            Addresses, 20 bytes each.
        """
        due = list(self._unstable.values())
        for address, waiting in self._reports.items():
            stake = _read_stake(state, address)
            if stake != self._stakes[address]:
                self._stakes[address] = stake
                due += waiting.values()
        for expiry in self._expiring:
            if expiry <= height:
                due += self._expiring[expiry].values()
        return [entry.transaction.sender for entry in due]

    def _forget(self, entry: Entry) -> None:
        """Take a transaction from where its dependence is followed."""
        self._unstable.pop(entry.transaction.hash, None)
        address = entry.reported
        waiting = self._reports.get(address) if address is not None else None
        if address is None or waiting is None:
            return
        waiting.pop(entry.transaction.hash, None)
        if not waiting:
            del self._reports[address], self._stakes[address]


def _read_stake(state: StateReader, address: bytes) -> tuple[bool, bool, int]:
    """Read whether a report can burn a bond: is it slashed, has it coins, since which height."""
    bond = records.BONDS.get(state, address) or BondState()
    return bond.slashed, bool(bond.bond or bond.unbonding), bond.since_height
