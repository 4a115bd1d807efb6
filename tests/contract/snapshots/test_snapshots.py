"""A snapshot restores to the state and the history that it was made of."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validator_history import ValidatorHistory
from fedcoin.contract.snapshots import writer
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.state_tree import StateTree, bucket_index
from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.snapshot_pb2 import SnapshotPart
from tests.support.ledger_snapshots import chain_in, snapshot_of
from tests.support.small_snapshots import (
    GENESIS,
    GENESIS_STATE,
    HEIGHT,
    ChainSnapshot,
    cut_state,
    in_order,
    read_snapshot,
    use_small_chunks,
)


def taken(contents: list[SnapshotPart]) -> list[tuple[bytes, bytes]]:
    found = SnapshotVerifier(GENESIS)
    entries = [entry for part in contents for entry in found.add_part(part)]
    assert found.finish().height == HEIGHT
    return entries


# Keys that fall into one of two buckets, so that some buckets are cut in several places.
CROWDED = [k for n in range(60_000) if bucket_index(k := b"zz/%d" % n) in (0, 700)][:60]

states = st.dictionaries(
    st.sampled_from(CROWDED) | st.binary(max_size=12).map(lambda tail: b"zz/" + tail),
    st.binary(max_size=60) | st.integers(300, 900).map(bytes),
    max_size=60,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(extra=states, seed=st.integers(0, 2**32))
def test_any_state_comes_back(extra: dict[bytes, bytes], seed: int) -> None:
    """Every entry comes back once; a part left out, sent twice or swapped is refused."""
    state = {**GENESIS_STATE, **extra}
    with pytest.MonkeyPatch.context() as patch:
        use_small_chunks(patch)
        given = cut_state(state)
        assert taken(given) == in_order(state)
        chance = random.Random(seed)
        place = chance.randrange(len(given))
        for wrong in (
            given[:place] + given[place + 1 :],
            [*given[: place + 1], *given[place:]],
            chance.sample(given, len(given)) if len(given) > 1 else [],
        ):
            if wrong == given:
                continue
            with pytest.raises(RefusalError):
                taken(wrong)


def test_restored_it_is_the_same_chain(made: ChainSnapshot, tmp_path: Path) -> None:
    assert len(made.parts) > 8
    found = SnapshotVerifier(made.chain.genesis)
    with ChainStore.open(tmp_path / "chain.sqlite", made.chain.genesis) as store:
        store.initialise(genesis_changes(made.chain.genesis))
        store.restore(read_verified_entries(made.path, found), found.finish)
        ledger = Ledger(store, made.chain.genesis)
        assert ledger.app_hash == made.chain.ledger.app_hash
        assert ledger.validators() == made.chain.ledger.validators()
        assert ledger.last_validators() == made.chain.ledger.last_validators()
        assert (store.base_height(), store.height()) == (made.chain.height, made.chain.height)
        assert store.tip_hash() == made.chain.hash
        changes = ValidatorHistory(store, made.chain.genesis).changes(1_000)
        assert changes == ValidatorHistory(made.store, made.chain.genesis).changes(1_000)
        assert [change.height for change in changes] == [4, 8]
        # Its own snapshot equals the one that it began from, byte for byte.
        again = snapshot_of(store, made.chain.genesis, tmp_path / "again")
        assert again.read_bytes() == made.path.read_bytes()


def test_a_snapshot_is_of_the_moment_when_it_was_pinned(tmp_path: Path) -> None:
    chain = chain_in(tmp_path, blocks=3)
    assert chain.store is not None
    with chain.store.open_state_view() as state:
        app_hash = chain.ledger.app_hash
        chain.produce()
        path = tmp_path / "x"
        history = ValidatorHistory(chain.store, chain.genesis)
        writer.write_snapshot(path, state, chain.store, chain.genesis.hash, history)
    entries, base = read_snapshot(path, chain.genesis)
    assert base.height == 3
    assert StateTree.load(entries.items()).root == app_hash
    chain.store.close()


def test_the_base_lists_the_campaigns_and_tasks_before_it(made: ChainSnapshot) -> None:
    _, base = read_snapshot(made.path, made.chain.genesis)
    assert len(base.campaigns) == len(base.tasks) == 1
    assert base.tasks[0].campaign_id == base.campaigns[0]
    assert base.tasks[0].opened_height == made.chain.height
