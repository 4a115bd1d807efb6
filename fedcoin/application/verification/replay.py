"""Check a stored chain by executing all of its blocks again.

The replay starts from genesis, or from the snapshot that the chain started from. It checks every
signature, certificate, root and payout, and compares each table of the database with what the
blocks lead to. It does not recompute the challenged leaves of Shapley tasks, since the certificates
show that validators did; `reveal_check` recomputes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.verification.database_check import (
    DerivedTables,
    bad_chain,
    check_block_columns,
    check_meta,
    check_own_votes,
    check_trusted_headers,
)
from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import check_block
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.data.storage.trusted_headers import SnapshotBase
from fedcoin.v1.block_pb2 import BlockHeader


@dataclass(frozen=True, slots=True)
class Replay:
    """Counts and totals of a chain whose replay found no fault."""

    chain_id: str
    """The network's name, from the genesis."""
    first_height: int
    """The height of the lowest stored block. The blocks below it were not replayed: certificates of
    validators prove the headers, and a snapshot replaces the state."""
    height: int
    """The height of the last block."""
    transactions: int
    """The number of transactions in all blocks."""
    settlements: int
    """The number of Shapley tasks that were settled in these blocks."""
    reveals: int
    """The number of miners' reveals (messages that show challenged leaves) in these blocks."""
    entries: int
    """The number of key-value entries in the state after the last block."""
    app_hash: str
    """The hash of that state, 64 hex digits."""
    supply: int
    """All coins in sap, burned ones included."""
    burned: int
    """Burned coins in sap."""


def replay(
    store: ChainStore,
    genesis: Genesis,
    on_block: Callable[[int], None],
    snapshots: SnapshotFolder | None = None,
) -> Replay:
    """Check a whole chain.

    Args:
        store: The chain's database, opened for reading.
        genesis: The network's genesis.
        on_block: Called with each height that has been checked.
        snapshots: The folder with the snapshot that the chain started from, if it did.

    Returns:
        The chain's counts, app hash and supply.

    Raises:
        RefusalError: The code of the rule that a block breaks; BAD_CHAIN when a table differs from
            what the blocks lead to; NO_SNAPSHOT when the snapshot is missing; BAD_SNAPSHOT or a
            code of `SnapshotVerifier` when it is damaged or not valid.
    """
    faults = store.integrity_faults()
    if faults:
        raise bad_chain(f"the database is damaged: {faults[0]}")
    check_meta(store, genesis)
    state, base = _first_state(store, genesis, snapshots)
    ledger = Ledger(state, genesis)
    parent: BlockHeader | None = store.header(store.base_height())
    transactions = settlements = reveals = 0
    with DerivedTables(base) as derived:
        for height in range(store.base_height() + 1, store.height() + 1):
            block, execution = replay_block(store, genesis, ledger, parent, height)
            derived.add(height, execution)
            state.apply(execution.changes)
            ledger.adopt(execution)
            parent = block.header
            transactions += len(block.transactions)
            settlements += execution.settlement is not None
            reveals += sum(map(_shows_leaves, execution.transactions))
            on_block(height)
        derived.compare(store)
    entries = _compare_state(store, state)
    check_own_votes(store, genesis)
    totals = ledger.totals()
    supply = ledger.total_supply()
    if not supply == totals.supply == genesis.supply:
        raise bad_chain(f"the state holds {supply} sap, but genesis created {genesis.supply}")
    return Replay(
        chain_id=genesis.chain_id,
        first_height=store.base_height() + 1,
        height=store.height(),
        transactions=transactions,
        settlements=settlements,
        reveals=reveals,
        entries=entries,
        app_hash=ledger.app_hash.hex(),
        supply=supply,
        burned=totals.burned,
    )


def _first_state(
    store: ChainStore, genesis: Genesis, snapshots: SnapshotFolder | None
) -> tuple[MemoryState, SnapshotBase | None]:
    # The state before the first block, and the headers below it when it came from a snapshot.
    if not store.base_height():
        first = {key: value for key, value in genesis_changes(genesis).items() if value is not None}
        return MemoryState(first), None
    path = None if snapshots is None else snapshots.path(store.base_height())
    if path is None or not path.exists():
        raise RefusalError(
            ApplicationCode.NO_SNAPSHOT,
            f"the chain started from a snapshot of height {store.base_height()}, but {path} is "
            "missing: copy that file from a node that has it",
            field="snapshot",
        )
    check = SnapshotVerifier(genesis)
    entries = {key: value for batch in read_verified_entries(path, check) for key, value in batch}
    base = check.finish()
    check_trusted_headers(store, genesis)
    if store.header_bytes(store.base_height()) != base.headers[-1].header:
        raise bad_chain(
            f"table trusted_headers: the header of height {store.base_height()} is not that of the "
            "snapshot"
        )
    return MemoryState(entries), base


def replay_block(
    store: ChainStore,
    genesis: Genesis,
    ledger: Ledger,
    parent: BlockHeader | None,
    height: int,
) -> tuple[Block, Execution]:
    """Check a stored block by all rules, and execute it.

    Args:
        store: The chain's database.
        genesis: The network's genesis.
        ledger: The ledger after the block before, which is not changed.
        parent: The header of the block before; None for the first block.
        height: The block's height.

    Returns:
        The block and its execution, whose changes the caller applies.

    Raises:
        RefusalError: The code of the rule that the block breaks; BAD_CHAIN when it is missing, or
            its receipts or columns in the database differ from what it leads to.
    """
    stored = store.block(height)
    if stored is None:
        raise bad_chain(f"block {height} is missing")
    try:
        block = decode_block(stored.raw, genesis.parameters.max_block_bytes)
        decided = verify_certificate(
            stored.certificate, ledger.validators(), genesis.hash, height, block.hash
        )
        execution = check_block(block, parent, genesis, ledger, round=decided)
    except RefusalError as refusal:
        raise refusal.prefixed(f"block {height}") from None
    check_block_columns(store, block)
    if store.receipts(height) != execution.receipts:
        raise bad_chain(f"the receipts of block {height} differ from those of executing it")
    return block, execution


def _shows_leaves(transaction: Transaction) -> bool:
    # A RevealShapley without leaves only opens the commitment.
    return len(transaction.body.reveal_shapley.evidence.leaves) > 0


def _compare_state(store: ChainStore, state: MemoryState) -> int:
    # Returns the number of entries.
    entries = 0
    for stored, computed in zip_longest(store.scan(b""), state.scan(b"")):
        if stored != computed:
            key = (stored or computed or (b"",))[0]
            raise bad_chain(f"the stored state differs from the blocks' at key {key.hex()}")
        entries += 1
    return entries
