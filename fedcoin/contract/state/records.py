"""What the state holds, under which keys.

Each table is a prefix and a message of ``state.proto``; the rest of a key is fixed-length parts,
numbers in big-endian, so that keys of one table sort as they are meant to. Indexes hold only keys
and ids. Nothing but this module builds a key.
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
    LedgerState,
    MinerState,
    TaskState,
    ValidatorSetState,
)
from fedcoin.v1.task_pb2 import OpenTask

M = TypeVar("M", bound=Message)


def _no_coins(_: Message) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Table(Generic[M]):
    """Messages of one kind, by the parts of their key."""

    prefix: bytes
    kind: type[M]
    coins: Callable[[M], int] = _no_coins
    """How many sap a record holds: what conservation counts."""

    def get(self, state: StateReader, *key: bytes) -> M | None:
        """A record of its own to change, or None."""
        value = state.get(self.prefix + b"".join(key))
        return None if value is None else self.kind.FromString(value)

    def scan(self, state: StateReader, *key: bytes) -> Iterator[tuple[bytes, M]]:
        """Records whose keys begin with these parts: what follows in the key, and the record."""
        prefix = self.prefix + b"".join(key)
        for found, value in state.scan(prefix):
            yield found[len(prefix) :], self.kind.FromString(value)

    def put(self, state: Overlay, *key: bytes, record: M) -> None:
        """Write a record."""
        state.put(self.prefix + b"".join(key), canonical.encode(record))

    def delete(self, state: Overlay, *key: bytes) -> None:
        """Remove a record."""
        state.delete(self.prefix + b"".join(key))


@dataclass(frozen=True, slots=True)
class Index:
    """Ids in the order of a number, and of the id where numbers are the same."""

    prefix: bytes

    def add(self, state: Overlay, number: int, id: bytes) -> None:
        """Put an id in."""
        state.put(self._key(number, id), id)

    def remove(self, state: Overlay, number: int, id: bytes) -> None:
        """Take an id out."""
        state.delete(self._key(number, id))

    def scan(self, state: StateReader) -> Iterator[tuple[int, bytes]]:
        """Numbers and ids, in rising order."""
        start = len(self.prefix)
        for key, id in state.scan(self.prefix):
            yield int.from_bytes(key[start : start + 8], "big"), id

    def _key(self, number: int, id: bytes) -> bytes:
        return self.prefix + number.to_bytes(8, "big") + id


def _account_coins(account: AccountState) -> int:
    return account.balance


def _bond_coins(bond: BondState) -> int:
    return bond.bond + sum(part.amount for part in bond.unbonding)


def _campaign_coins(campaign: CampaignState) -> int:
    return campaign.escrow


def _miner_coins(miner: MinerState) -> int:
    return miner.deposit


def _ledger_coins(ledger: LedgerState) -> int:
    return ledger.burned


ACCOUNTS: Final = Table(b"account/", AccountState, _account_coins)
"""address (20) -> balance and nonce. There is no record of an address that has neither."""
BONDS: Final = Table(b"bond/", BondState, _bond_coins)
"""address (20) -> bond and what is on its way back."""
CAMPAIGNS: Final = Table(b"campaign/", CampaignState, _campaign_coins)
"""campaign id (32) -> terms and escrow."""
TASKS: Final = Table(b"task/", TaskState)
"""task id (32) -> phase and outcome."""
TERMS: Final = Table(b"terms/", OpenTask)
"""task id (32) -> what was asked for; once the task is closed, without what clients signed."""
MINERS: Final = Table(b"miner/", MinerState, _miner_coins)
"""task id (32), address (20) -> the miner's part in the present attempt."""
LEDGER: Final = Table(b"ledger/", LedgerState, _ledger_coins)
"""(nothing) -> what belongs to all."""
LAST_VALIDATORS: Final = Table(b"electorate/", ValidatorSetState)
"""(nothing) -> the validators that decided the latest block."""

UNBONDING: Final = Index(b"unbonding/")
"""release time in ms, address: bonds on their way back, the next first."""
OPEN_TASKS: Final = Index(b"open/")
"""height that opened it, task id: tasks neither settled nor failed, the oldest first."""

_HOLDERS: Final[tuple[Table[Any], ...]] = (ACCOUNTS, BONDS, CAMPAIGNS, MINERS, LEDGER)
_HOLDER_OF: Final = {table.prefix: table for table in _HOLDERS}


def count_entry_coins(key: bytes, value: bytes | None) -> int:
    """How many sap an entry of the state holds; none when it is gone."""
    table = _HOLDER_OF.get(key[: key.index(b"/") + 1])
    if table is None or value is None:
        return 0
    return table.coins(table.kind.FromString(value))


def count_all_coins(state: StateReader) -> int:
    """All sap that exist, burned ones included, counted one record after another."""
    return sum(
        count_entry_coins(key, value)
        for table in _HOLDERS
        for key, value in state.scan(table.prefix)
    )


def read_ledger(state: StateReader) -> LedgerState:
    """What belongs to the whole ledger; genesis wrote it."""
    ledger = LEDGER.get(state)
    assert ledger is not None, "the state was not initialised"
    return ledger
