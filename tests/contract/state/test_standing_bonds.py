"""The bonds that stand are the ones that a scan of the state finds, after any changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState, Overlay
from fedcoin.contract.state.standing_bonds import StandingBonds, write_bond
from fedcoin.v1.state_pb2 import BondState
from fedcoin.v1.transaction_pb2 import Bond, Unbond
from tests.support.genesis import FDC
from tests.support.keys import key_of
from tests.support.ledger_chain import LedgerChain

CHANGES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans(), st.booleans()), max_size=12
)


@given(CHANGES)
def test_noted_changes_and_dropped_ones_give_what_a_scan_gives(
    changes: list[tuple[int, int, bool, bool]],
) -> None:
    state = Overlay(MemoryState())
    bonds = StandingBonds()
    for owner, amount, is_kept, is_read in changes:
        above, copy = Overlay(state), bonds.copy()
        address, record = bytes([owner]) * 20, BondState(bond=amount, since_height=1)
        if is_read:
            copy.read(above)
        write_bond(above, address, record)
        copy.note(address, record)
        if is_kept:
            state.merge(above)
            bonds.take(copy)
        scanned = {
            address: (record.bond, record.since_height)
            for address, record in records.BONDS.scan(state)
            if record.bond
        }
        assert StandingBonds().read(state) == scanned
        if scanned:
            smallest = min((bond, -since, address) for address, (bond, since) in scanned.items())
            assert StandingBonds().find_smallest(state) == smallest[2]
            assert bonds.copy().find_smallest(state) == smallest[2]
    assert bonds.read(state) == StandingBonds().read(state)


def test_each_bond_of_a_block_displaces_the_smallest_one_then() -> None:
    names = [f"newcomer {i}" for i in range(5)]
    chain = LedgerChain.create(3, users=names, max_validators=3)
    keys = [key_of(name) for name in names]
    chain.keys |= {key.address: key for key in keys}
    bonds = [chain.sign(key, Bond(amount=(20 + i) * FDC)) for i, key in enumerate(keys)]
    late = chain.sign(keys[0], Bond(amount=FDC), ahead=1)
    built = chain.ledger.build(chain.context(), [*bonds, late], 1 << 20)
    # The first newcomer was displaced by the fourth one, whose bond is larger than one FDC.
    assert [transaction for transaction, _ in built.refused] == [late]
    leaving = chain.sign(keys[4], Unbond(amount=24 * FDC), ahead=1)
    back = chain.sign(keys[0], Bond(amount=FDC), ahead=1)
    chain.produce(*bonds, leaving, back)
    expected = {keys[3].address: 23, keys[2].address: 22, keys[0].address: 1}
    found = {v.address: v.power // FDC for v in chain.ledger.validators()}
    assert found == expected


def test_a_mempool_that_reads_records_of_the_block_before_refuses_no_bond_by_accident() -> None:
    """A node writes a block while it checks transactions: scans are ahead of remembered records."""
    chain = LedgerChain.create(3, users=("newcomer", "late"), max_validators=3)
    newcomer, late = key_of("newcomer"), key_of("late")
    reader = chain.ledger.reader
    assert reader.get(records.BONDS.prefix + newcomer.address) is None
    bond = chain.sign(newcomer, Bond(amount=20 * FDC))
    larger = chain.sign(late, Bond(amount=30 * FDC))
    execution = chain.ledger.execute(chain.context(), [bond])
    # As between `append` and `adopt`: the database has the block, and the ledger does not know it.
    chain.memory.apply(execution.changes)
    assert chain.ledger.check_all([larger], 1, chain.time_ms + 20) == [None]
