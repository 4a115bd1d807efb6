"""The bonds of the validators while a block is executed, read once and then kept up to date.

The state keeps the records of former validators until their coins return. A block may displace ten
thousand bonds, each of which asks for the smallest one: to scan all records for each would take
longer than anything else in the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.v1.state_pb2 import BondState


class StandingBond(NamedTuple):
    """A bond that makes its owner a validator of the next height."""

    amount: int
    """The bond in sap, more than zero."""
    since_height: int
    """The height from which its owner's votes count against it."""


class StandingBonds:
    """The bonds of the next height's validators by address, read when they are first asked for."""

    def __init__(self, known: Mapping[bytes, StandingBond] | None = None) -> None:
        """Begin with what is known.

        Args:
            known: The bonds by address; None when they have not been read.
        """
        self._known = None if known is None else dict(known)

    def read(self, state: StateReader) -> Mapping[bytes, StandingBond]:
        """List the bonds.

        Args:
            state: The state with the changes so far, all of which were noted since the first call.

        Returns:
            The bonds by address.
        """
        if self._known is None:
            self._known = {
                address: StandingBond(record.bond, record.since_height)
                for address, record in records.BONDS.scan(state)
                if record.bond
            }
        return self._known

    def note(self, address: bytes, record: BondState) -> None:
        """Note the new record of a bond.

        Args:
            address: The owner's address, 20 bytes.
            record: The record that was written.
        """
        if self._known is None:
            return
        if record.bond:
            self._known[address] = StandingBond(record.bond, record.since_height)
        else:
            self._known.pop(address, None)

    def copy(self) -> StandingBonds:
        """Copy what is known, for changes that may be dropped.

        Returns:
            The copy.
        """
        return StandingBonds(self._known)

    def take(self, other: StandingBonds) -> None:
        """Take over what a copy knows, whose changes were merged.

        Args:
            other: The copy, which is not used any more.
        """
        self._known = other._known
