"""The records of the state, and the keys that they are stored under.

A table is a key prefix and a message of `state.proto`. The rest of a key is a sequence of parts of
fixed length, numbers in big-endian, so that the keys of a table sort in a useful order. An index
holds ids in the order of a number. Only this module builds keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.data.messages import canonical
from fedcoin.v1.state_pb2 import (
    AccountState,
    BondState,
    CampaignState,
    FrozenPowerState,
    LedgerState,
    MinerState,
    ProposerOrderState,
    ReceiptState,
    TaskState,
    ValidatorSetState,
)
from fedcoin.v1.task_pb2 import OpenTask

M = TypeVar("M", bound=Message)


def _no_coins(_: Message) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Table(Generic[M]):
    """Records of one message type, found by the parts of their key."""

    prefix: bytes
    """The first bytes of every key of the table."""
    record_type: type[M]
    """The message type of the records."""
    count_coins: Callable[[M], int] = _no_coins
    """Counts the sap that a record holds, for the check that blocks conserve coins."""

    def get(self, state: StateReader, *key: bytes) -> M | None:
        """Read a record.

        Args:
            state: The state to read from.
            *key: The parts of the record's key.

        Returns:
            A copy of the record, or None when there is none.
        """
        # Most keys have one part: this is the hot path of every transfer.
        parts = key[0] if len(key) == 1 else b"".join(key)
        value = state.get(self.prefix + parts)
        return None if value is None else self.record_type.FromString(value)

    def get_bytes(self, state: StateReader, *key: bytes) -> bytes:
        """Read a record without parsing it.

        Args:
            state: The state to read from.
            *key: The parts of the record's key.

        Returns:
            The serialised record; empty when there is none.
        """
        return state.get(self.prefix + b"".join(key)) or b""

    def scan(self, state: StateReader, *key: bytes) -> Iterator[tuple[bytes, M]]:
        """Read the records whose keys begin with some parts.

        Args:
            state: The state to read from.
            *key: The first parts of the records' keys.

        Yields:
            The rest of the key, and a copy of the record, in rising order of keys.
        """
        prefix = self.prefix + b"".join(key)
        for full_key, value in state.scan(prefix):
            yield full_key[len(prefix) :], self.record_type.FromString(value)

    def put(self, state: Overlay, *key: bytes, record: M) -> None:
        """Write a record.

        Args:
            state: The state to write to.
            *key: The parts of the record's key.
            record: The new record, of the table's message type.
        """
        state.put(self.prefix + b"".join(key), canonical.encode(record))

    def delete(self, state: Overlay, *key: bytes) -> None:
        """Delete a record if it exists.

        Args:
            state: The state to write to.
            *key: The parts of the record's key.
        """
        state.delete(self.prefix + b"".join(key))


@dataclass(frozen=True, slots=True)
class Index:
    """A list of ids in the state, sorted by a number that belongs to each, then by id."""

    prefix: bytes
    """The first bytes of every key of the index."""

    def add(self, state: Overlay, number: int, id: bytes, value: bytes | None = None) -> None:
        """Add an id.

        Args:
            state: The state to write to.
            number: The number that the id is sorted by, below 2^64.
            id: An id or address of fixed length.
            value: What the entry holds; None for the id.
        """
        state.put(self._key(number, id), id if value is None else value)

    def remove(self, state: Overlay, number: int, id: bytes) -> None:
        """Remove an id if the index holds it.

        Args:
            state: The state to write to.
            number: The number with which the id was added.
            id: The id that was added.
        """
        state.delete(self._key(number, id))

    def scan(self, state: StateReader) -> Iterator[tuple[int, bytes]]:
        """Read the whole index.

        Args:
            state: The state to read from.

        Yields:
            Each number and its id, in rising order.
        """
        for key, _ in state.scan(self.prefix):
            yield self.split_key(key)

    def split_key(self, key: bytes) -> tuple[int, bytes]:
        """Take the key of one of the index' entries apart.

        Args:
            key: The whole key.

        Returns:
            The number and the id.
        """
        start = len(self.prefix)
        return int.from_bytes(key[start : start + 8], "big"), key[start + 8 :]

    def _key(self, number: int, id: bytes) -> bytes:
        return self.prefix + number.to_bytes(8, "big") + id


def _account_coins(account: AccountState) -> int:
    return account.balance


def _bond_coins(bond: BondState) -> int:
    return bond.bond + sum(part.amount for part in bond.unbonding)


def _campaign_coins(campaign: CampaignState) -> int:
    return campaign.escrow


def _task_coins(task: TaskState) -> int:
    return task.deposit


def _miner_coins(miner: MinerState) -> int:
    return miner.deposit


def _receipt_coins(receipt: ReceiptState) -> int:
    return receipt.deposit


def _ledger_coins(ledger: LedgerState) -> int:
    return ledger.burned


ACCOUNTS: Final = Table(b"account/", AccountState, _account_coins)
"""Key: address (20 bytes). Balance and nonce; no record for an address that has neither."""
BONDS: Final = Table(b"bond/", BondState, _bond_coins)
"""Key: address (20 bytes). Its bond, and the parts of it that are unbonding."""
CAMPAIGNS: Final = Table(b"campaign/", CampaignState, _campaign_coins)
"""Key: campaign id (32 bytes). Terms and escrow."""
TASKS: Final = Table(b"task/", TaskState, _task_coins)
"""Key: task id (32 bytes). Phase and outcome."""
TERMS: Final = Table(b"terms/", OpenTask)
"""Key: task id (32 bytes). The terms; shortened by `settlement.shorten_terms` in a closed task."""
MINERS: Final = Table(b"miner/", MinerState, _miner_coins)
"""Key: task id (32 bytes), address (20 bytes). A miner's part in the current attempt."""
RECEIPTS: Final = Table(b"receipt/", ReceiptState, _receipt_coins)
"""Key: campaign id (32 bytes), address (20 bytes). A client's receipt for the next round."""
POWERS: Final = Table(b"power/", FrozenPowerState)
"""Key: task id (32 bytes). The power of each miner in an open task; no record for a closed one."""
LEDGER: Final = Table(b"ledger/", LedgerState, _ledger_coins)
"""Key: empty. Supply and burned coins."""
# The prefix of the protocol, which the state hash covers.
LAST_VALIDATORS: Final = Table(b"electorate/", ValidatorSetState)
"""Key: empty. The validators that decided the latest block."""
PROPOSER_ORDER: Final = Table(b"proposers/", ProposerOrderState)
"""Key: empty. Who proposes at the next height: priorities and a winner."""

STANDING: Final = Index(b"standing/")
"""Bond in sap and address of the validators of the next height, the smallest bond first; the value
is `since_height` and the public key. Records in `BONDS` also remain of former validators, of which
there may be any number."""
UNBONDING: Final = Index(b"unbonding/")
"""Release time (Unix time in ms) and address of unbonding coins, the earliest first."""
OPEN_TASKS: Final = Index(b"open/")
"""Opening height and id of tasks that are neither settled nor failed, the oldest first."""
OFFERS: Final = Index(b"offer/")
"""Offer (sap for each million of evaluations) and id of the same tasks, the lowest offer first."""
CLOSING: Final = Index(b"closing/")
"""Time (Unix time in ms) and id of campaigns that close, or whose clients may open a task, then."""

_COIN_TABLES: Final[tuple[Table[Any], ...]] = (
    ACCOUNTS, BONDS, CAMPAIGNS, TASKS, MINERS, RECEIPTS, LEDGER,
)  # fmt: skip
_COIN_TABLE_OF_PREFIX: Final = {table.prefix: table for table in _COIN_TABLES}


def count_entry_coins(key: bytes, value: bytes | None) -> int:
    """Count the coins that an entry of the state holds.

    Args:
        key: The entry's key.
        value: The entry's value; None for one that does not exist.

    Returns:
        The amount in sap.
    """
    if value is None:
        return 0
    table = _COIN_TABLE_OF_PREFIX.get(key[: key.index(b"/") + 1])
    if table is None:
        return 0
    return table.count_coins(table.record_type.FromString(value))


def count_all_coins(state: StateReader) -> int:
    """Count all coins that exist, including burned ones, by reading every record.

    Args:
        state: The whole state after a block.

    Returns:
        The amount in sap; always the supply that genesis fixed.
    """
    return sum(
        count_entry_coins(key, value)
        for table in _COIN_TABLES
        for key, value in state.scan(table.prefix)
    )


def read_ledger(state: StateReader) -> LedgerState:
    """Read the record of the ledger's totals, which genesis writes.

    Args:
        state: The state to read from.

    Returns:
        A copy of the record.
    """
    ledger = LEDGER.get(state)
    assert ledger is not None, "the state was not initialised"
    return ledger
