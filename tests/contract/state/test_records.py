"""Tables and indexes: keys in order, and counted coins."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState, Overlay
from fedcoin.contract.state.records import Index, Table
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.protocol import STATE_LAYOUT
from fedcoin.v1.state_pb2 import (
    AccountState,
    BondState,
    CampaignState,
    LedgerState,
    MinerState,
    TaskState,
    Unbonding,
)

LAYOUT = 2, "ab92f88742c0787b"
"""A layout of the state, and the fingerprint of its prefixes and messages."""


def describe_fields(message: Descriptor, known: set[str]) -> Iterator[str]:
    """List the fields of a message and of those that it holds."""
    if message.full_name in known:
        return
    known.add(message.full_name)
    for field in message.fields:
        yield f"{message.full_name} {field.number} {field.name} {field.type} {field.is_repeated}"
        if field.message_type is not None:
            yield from describe_fields(field.message_type, known)


def test_a_state_of_another_form_has_another_layout() -> None:
    """Where this fails, the state changed: raise `STATE_LAYOUT`, and write both down above."""
    tables = [one for one in vars(records).values() if isinstance(one, (Table, Index))]
    lines = sorted(repr(one.prefix) for one in tables)
    known: set[str] = set()
    for table in tables:
        if isinstance(table, Table):
            lines += describe_fields(table.record_type.DESCRIPTOR, known)
    assert len(tables) > 10
    fingerprint = sha256("\n".join(sorted(lines)).encode()).hex()[:16]
    assert (STATE_LAYOUT, fingerprint) == LAYOUT


def test_an_index_sorts_by_number_and_then_by_id() -> None:
    state = Overlay(MemoryState())
    for number, id in ((300, b"b"), (2, b"z"), (300, b"a"), (2**64 - 1, b"x")):
        records.OPEN_TASKS.add(state, number, id)
    records.OPEN_TASKS.remove(state, 2**64 - 1, b"x")
    assert list(records.OPEN_TASKS.scan(state)) == [(2, b"z"), (300, b"a"), (300, b"b")]
    assert not list(records.UNBONDING.scan(state))


def test_a_record_is_a_copy_of_its_own() -> None:
    state = Overlay(MemoryState())
    records.ACCOUNTS.put(state, b"a" * 20, record=AccountState(balance=5))
    read = records.ACCOUNTS.get(state, b"a" * 20)
    assert read is not None
    read.balance = 7
    assert records.ACCOUNTS.get(state, b"a" * 20) == AccountState(balance=5)
    records.ACCOUNTS.delete(state, b"a" * 20)
    assert records.ACCOUNTS.get(state, b"a" * 20) is None


def test_a_scan_gives_what_follows_in_the_key() -> None:
    state = Overlay(MemoryState())
    for task, miner in ((b"1" * 32, b"b" * 20), (b"1" * 32, b"a" * 20), (b"2" * 32, b"c" * 20)):
        records.MINERS.put(state, task, miner, record=MinerState(deposit=1))
    assert [address for address, _ in records.MINERS.scan(state, b"1" * 32)] == [
        b"a" * 20,
        b"b" * 20,
    ]


def test_all_coins_are_counted_wherever_they_are() -> None:
    state = Overlay(MemoryState())
    records.ACCOUNTS.put(state, b"a" * 20, record=AccountState(balance=1))
    bond = BondState(bond=2, unbonding=[Unbonding(amount=4), Unbonding(amount=8)])
    records.BONDS.put(state, b"a" * 20, record=bond)
    records.CAMPAIGNS.put(state, b"c" * 32, record=CampaignState(escrow=16))
    records.MINERS.put(state, b"t" * 32, b"a" * 20, record=MinerState(deposit=32, reward=999))
    records.LEDGER.put(state, record=LedgerState(supply=10_000, burned=64))
    records.TASKS.put(state, b"t" * 32, record=TaskState(difficulty_nano=5_000))
    assert records.count_all_coins(state) == 127
    assert sum(records.count_entry_coins(key, value) for key, value in state.scan(b"")) == 127
    assert records.count_entry_coins(b"account/" + b"a" * 20, None) == 0
