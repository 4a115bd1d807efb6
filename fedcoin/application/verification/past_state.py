"""The state after a block that is not the latest one, by executing blocks up to it."""

from __future__ import annotations

from collections.abc import Callable

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.verification.database_check import bad_chain
from fedcoin.application.verification.replay import replay_block
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder


def compute_past_state(
    store: ChainStore,
    genesis: Genesis,
    height: int,
    snapshots: SnapshotFolder,
    on_block: Callable[[int], None],
) -> MemoryState:
    """Compute the state after a block, from the nearest snapshot below it or from genesis.

    Every block on the way is checked and executed as in a replay.

    Args:
        store: The chain's database; a node may be using it.
        genesis: The network's genesis.
        height: The block's height, from 0 (genesis) to the chain's.
        snapshots: The folder with the home's snapshots.
        on_block: Called with each height that was executed.

    Returns:
        The state, in memory.

    Raises:
        RefusalError: NO_CHAIN when the chain does not reach the height, or keeps neither the blocks
            up to it nor a snapshot below it; BAD_CHAIN, or the code of the rule that a block
            breaks, when the database is damaged; BAD_SNAPSHOT or a code of `SnapshotVerifier` when
            the snapshot is.
    """
    first, state = _nearest(store, genesis, height, snapshots)
    if height > store.height() or first < store.base_height():
        raise RefusalError(
            ApplicationCode.NO_CHAIN,
            f"the state after block {height} cannot be computed: this home has the blocks"
            f" {store.base_height() + 1} to {store.height()}, and its nearest snapshot below is of"
            f" height {first}; ask a node that keeps more",
            field="at",
        )
    ledger, parent = Ledger(state, genesis), store.header(first)
    for number in range(first + 1, height + 1):
        block, execution = replay_block(store, genesis, ledger, parent, number)
        state.apply(execution.changes)
        ledger.adopt(execution)
        parent = block.header
        on_block(number)
    return state


def _nearest(
    store: ChainStore, genesis: Genesis, height: int, snapshots: SnapshotFolder
) -> tuple[int, MemoryState]:
    kept = [one for one in snapshots.heights() if one <= height and snapshots.path(one).exists()]
    if not kept:
        entries = genesis_changes(genesis)
        return 0, MemoryState({k: value for k, value in entries.items() if value is not None})
    first = max(kept)
    check = SnapshotVerifier(genesis)
    batches = read_verified_entries(snapshots.path(first), check)
    state = MemoryState({key: value for batch in batches for key, value in batch})
    if store.header_bytes(first) != check.finish().headers[-1].header:
        raise bad_chain(f"the snapshot of height {first} is of another chain")
    return first, state
