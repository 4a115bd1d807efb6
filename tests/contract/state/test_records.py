"""Tables and indexes: keys in order, and counted coins."""

from __future__ import annotations

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState, Overlay
from fedcoin.v1.state_pb2 import (
    AccountState,
    BondState,
    CampaignState,
    LedgerState,
    MinerState,
    TaskState,
    Unbonding,
)


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
