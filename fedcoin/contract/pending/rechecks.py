"""Which waiting transactions a block may affect although their senders did nothing in it.

Most are transfers, which depend on their sender's account alone. So a block costs the mempool as
much as it changes, and not as much as waits.
"""

from __future__ import annotations

from collections import defaultdict

from fedcoin.contract.pending.sender_queue import Entry


class Rechecks:
    """The waiting transactions that other senders may affect, and when each one expires."""

    def __init__(self) -> None:
        """Begin with none."""
        self._unstable: dict[bytes, Entry] = {}
        # By expiry height and hash.
        self._expiring: defaultdict[int, dict[bytes, Entry]] = defaultdict(dict)

    def add(self, entry: Entry) -> None:
        """Follow a new transaction.

        Args:
            entry: A waiting transaction, with what is known of it.
        """
        self._expiring[entry.transaction.body.expiry_height][entry.transaction.hash] = entry
        self.note(entry)

    def note(self, entry: Entry) -> None:
        """Follow a transaction that was checked again.

        Args:
            entry: A waiting transaction, with what is known of it.
        """
        if entry.depends_on_sender_alone:
            self._unstable.pop(entry.transaction.hash, None)
        else:
            self._unstable[entry.transaction.hash] = entry

    def remove(self, entry: Entry) -> None:
        """Forget a transaction that has left the mempool.

        Args:
            entry: A waiting transaction, with what is known of it.
        """
        self._unstable.pop(entry.transaction.hash, None)
        height = entry.transaction.body.expiry_height
        expiring = self._expiring[height]
        expiring.pop(entry.transaction.hash, None)
        if not expiring:
            del self._expiring[height]

    def senders_due(self, height: int) -> list[bytes]:
        """List the senders whose transactions a block may have affected.

        Args:
            height: The block's height.

        Returns:
            Addresses, 20 bytes each.
        """
        due = list(self._unstable.values())
        for expiry in self._expiring:
            if expiry <= height:
                due += self._expiring[expiry].values()
        return [entry.transaction.sender for entry in due]
