"""Which waiting transactions a block may affect although their senders did nothing in it.

Most are transfers, which depend on their sender's account alone. Reports of conflicting votes, of
which any number may wait and whose check verifies two signatures, depend on the record of the
reported bond as well. So a block costs the mempool as much as it changes, and not as much as waits.
"""

from __future__ import annotations

from collections import defaultdict

from fedcoin.contract.pending.sender_queue import Entry
from fedcoin.contract.state.overlay import StateReader


class Rechecks:
    """The waiting transactions that other senders may affect, and when each one expires."""

    def __init__(self) -> None:
        """Begin with none."""
        self._unstable: dict[bytes, Entry] = {}
        # By the state's key on which they depend, and by hash.
        self._watching: dict[bytes, dict[bytes, Entry]] = {}
        # What these keys held when what watches them was last checked.
        self._seen: dict[bytes, bytes | None] = {}
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
        key = entry.watched_key
        if key is None or entry.early is not None:
            self._unstable[entry.transaction.hash] = entry
            return
        if key not in self._watching:
            self._watching[key] = {}
            self._seen[key] = state.get(key)
        self._watching[key][entry.transaction.hash] = entry

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
        for key, waiting in self._watching.items():
            value = state.get(key)
            if value != self._seen[key]:
                self._seen[key] = value
                due += waiting.values()
        for expiry in self._expiring:
            if expiry <= height:
                due += self._expiring[expiry].values()
        return [entry.transaction.sender for entry in due]

    def _forget(self, entry: Entry) -> None:
        """Take a transaction from where its dependence is followed."""
        self._unstable.pop(entry.transaction.hash, None)
        key = entry.watched_key
        waiting = self._watching.get(key) if key is not None else None
        if key is None or waiting is None:
            return
        waiting.pop(entry.transaction.hash, None)
        if not waiting:
            del self._watching[key], self._seen[key]
