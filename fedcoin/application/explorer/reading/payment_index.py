"""The payments of each address and the names of clients, collected from the events of blocks.

A node keeps no list of an address's payments, so the explorer makes one while it follows the
chain. It is bounded: the oldest payments are dropped first, and `since_height` says from which
block on the list is complete.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from sys import intern
from typing import Final

from fedcoin.v1.block_pb2 import PaymentKind
from fedcoin.v1.node_service_pb2 import WatchEventsResponse

MAX_PAYMENTS: Final = 200_000
"""How many payments are kept, about 40 MB."""

MAX_NAMES: Final = 20_000
"""How many clients' names are kept."""


@dataclass(frozen=True, slots=True)
class IndexedPayment:
    """A payment that a block made."""

    height: int
    """The block's height."""
    time_ms: int
    """The block's time, Unix ms."""
    kind: PaymentKind.ValueType
    """The reason."""
    amount: int
    """In sap."""
    task_id: str
    """The task that paid, in hex; empty for bonds and closed campaigns."""
    round: int
    """The round of the campaign, from 1; 0 without a task."""
    shapley_nano: int
    """The client's value in nano-utility; only for training."""


class PaymentIndex:
    """Payments by address and clients' names, fed block by block.

    Args:
        max_payments: How many payments are kept.
    """

    def __init__(self, max_payments: int = MAX_PAYMENTS) -> None:
        self._max_payments = max_payments
        self._by_address: dict[str, deque[IndexedPayment]] = {}
        # The receivers of all payments that are kept, in order.
        self._receivers: deque[str] = deque()
        self._names: OrderedDict[str, str] = OrderedDict()
        self.since_height = 1
        """The first block whose payments are all kept."""
        self.height = 0
        """The last block that was added; 0 for none."""

    def clear(self, since_height: int) -> None:
        """Forget everything.

        Args:
            since_height: The block with which the index begins again.
        """
        self._by_address.clear()
        self._receivers.clear()
        self._names.clear()
        self.since_height, self.height = since_height, since_height - 1

    def add(self, event: WatchEventsResponse) -> None:
        """Add the payments of a block and the names of its tasks' clients.

        Args:
            event: The events of the block after the last one that was added.
        """
        block = event.block
        for payment in event.payments:
            record = IndexedPayment(
                block.height,
                block.time_ms,
                payment.kind,
                payment.amount,
                intern(payment.task_id),
                payment.round,
                payment.shapley_nano,
            )
            address = intern(payment.address)
            self._by_address.setdefault(address, deque()).append(record)
            self._receivers.append(address)
        for task in event.tasks:
            for client in task.clients:
                if client.name:
                    self._names[client.address] = client.name
                    self._names.move_to_end(client.address)
        self.height = block.height
        self._drop_oldest()

    def payments(self, address: str) -> tuple[IndexedPayment, ...]:
        """List the payments to an address that are kept.

        Args:
            address: In bech32m.

        Returns:
            The payments, the latest first.
        """
        return tuple(reversed(self._by_address.get(address, ())))

    def name(self, address: str) -> str:
        """Look up what a client calls itself.

        Args:
            address: The client's address, in bech32m.

        Returns:
            The latest name that it gave; empty when it gave none that is kept.
        """
        return self._names.get(address, "")

    def find_names(self, text: str, limit: int) -> tuple[tuple[str, str], ...]:
        """Find clients by a part of their names.

        Args:
            text: The part; case does not matter.
            limit: How many are returned at most.

        Returns:
            Addresses and names, in no particular order.
        """
        wanted = text.casefold()
        found = (item for item in self._names.items() if wanted in item[1].casefold())
        return tuple(item for item, _ in zip(found, range(limit), strict=False))

    def _drop_oldest(self) -> None:
        while len(self._receivers) > self._max_payments:
            address = self._receivers.popleft()
            records = self._by_address[address]
            self.since_height = records.popleft().height + 1
            if not records:
                del self._by_address[address]
        while len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)
