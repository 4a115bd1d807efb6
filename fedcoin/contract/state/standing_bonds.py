"""The bonds of the validators while a block is executed, read once and then kept up to date.

The state keeps the records of former validators until their coins return. A block may displace ten
thousand bonds, each of which asks for the smallest one. So the state has an index of the bonds that
stand, and a block's execution keeps them in order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Final, NamedTuple

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.v1.state_pb2 import BondState

SINCE_BYTES: Final = 8
"""An entry of the index holds `since_height` in so many bytes, big-endian, and the public key."""


class StandingBond(NamedTuple):
    """A bond that makes its owner a validator of the next height."""

    amount: int
    """The bond in sap, more than zero."""
    since_height: int
    """The height from which its owner's votes count against it."""


def write_bond(state: Overlay, address: bytes, record: BondState) -> None:
    """Write the record of a bond, and its entry in the index of those that stand.

    Args:
        state: The state to write to.
        address: The owner's address, 20 bytes.
        record: The new record.
    """
    before = records.BONDS.get(state, address)
    if before is not None and before.bond:
        records.STANDING.remove(state, before.bond, address)
    if record.bond:
        value = record.since_height.to_bytes(SINCE_BYTES, "big") + record.public_key
        records.STANDING.add(state, record.bond, address, value)
    records.BONDS.put(state, address, record=record)


class StandingBonds:
    """The bonds of the next height's validators, read when they are first asked for."""

    def __init__(self) -> None:
        """Begin without knowing the bonds."""
        self._known: dict[bytes, StandingBond] | None = None
        # The bond in sap, the height since which it stands (negated) and its owner, in this order:
        # the first one makes way first.
        self._ranked: list[tuple[int, int, bytes]] = []
        # Whether a copy uses the same collections, so that a change has to copy them first.
        self._is_shared = False

    def read(self, state: StateReader) -> Mapping[bytes, StandingBond]:
        """List the bonds.

        Args:
            state: The state with the changes so far, all of which were noted since the first call.

        Returns:
            The bonds by address.
        """
        if self._known is None:
            self._known = {}
            # From the index alone: where a mempool reads while a block is written, the records may
            # be a block behind.
            for key, value in state.scan(records.STANDING.prefix):
                amount, address = records.STANDING.split_key(key)
                since = int.from_bytes(value[:SINCE_BYTES], "big")
                self._known[address] = StandingBond(amount, since)
            self._ranked = sorted(_rank(*item) for item in self._known.items())
        return self._known

    def find_smallest(self, state: StateReader) -> bytes:
        """Find the bond that makes way first: the smallest one; of equal ones, the latest comer.

        Args:
            state: The state, as for `read`; it has a validator.

        Returns:
            The owner's address, 20 bytes.
        """
        self.read(state)
        return self._ranked[0][2]

    def note(self, address: bytes, record: BondState) -> None:
        """Note the new record of a bond.

        Args:
            address: The owner's address, 20 bytes.
            record: The record that was written.
        """
        if self._known is None:
            return
        if self._is_shared:
            self._known, self._ranked = dict(self._known), list(self._ranked)
            self._is_shared = False
        before = self._known.pop(address, None)
        if before is not None:
            del self._ranked[bisect_left(self._ranked, _rank(address, before))]
        if record.bond:
            after = self._known[address] = StandingBond(record.bond, record.since_height)
            insort(self._ranked, _rank(address, after))

    def copy(self) -> StandingBonds:
        """Copy what is known, for changes that may be dropped.

        Returns:
            The copy.
        """
        twin = StandingBonds()
        if self._known is not None:
            twin._known, twin._ranked = self._known, self._ranked
            twin._is_shared = self._is_shared = True
        return twin

    def take(self, other: StandingBonds) -> None:
        """Take over what a copy knows, whose changes were merged.

        Args:
            other: The copy, which is not used any more.
        """
        self._known, self._ranked = other._known, other._ranked
        self._is_shared = other._is_shared


def _rank(address: bytes, bond: StandingBond) -> tuple[int, int, bytes]:
    return bond.amount, -bond.since_height, address
