"""Checking a stored chain from its first block, without anybody else.

Every signature, certificate, root and payout is checked and every block executed afresh, on a state
that begins with the genesis alone, or with the snapshot that the chain began from. What comes out
must be what the store holds, in each of its tables. The challenged leaves of Shapley tasks are not
recomputed here: the certificates say that validators did so, and ``recompute`` does it for who
wants to know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.verification.database_check import (
    Derived,
    broken,
    check_block_columns,
    check_meta,
    check_own_votes,
    check_past,
)
from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.ledger import Execution, Ledger
from fedcoin.contract.blocks.validation import check_block
from fedcoin.contract.snapshots.verifier import SnapshotCheck, entries_of
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.data.storage.trusted_headers import Base
from fedcoin.v1.block_pb2 import BlockHeader


@dataclass(frozen=True, slots=True)
class Replay:
    """What a sound chain holds. ``supply`` and ``burned`` are in sap."""

    chain_id: str
    first_height: int
    """The lowest block; what was before, certificates vouch for."""
    height: int
    transactions: int
    settlements: int
    reveals: int
    entries: int
    app_hash: str
    supply: int
    burned: int


def replay(
    store: ChainStore,
    genesis: Genesis,
    on_block: Callable[[int], None],
    snapshots: SnapshotFolder | None = None,
) -> Replay:
    """Checks the whole chain; ``on_block`` is told each height that is done.

    ``snapshots`` has the one that the chain began from, if it did. Raises
    :class:`Refusal` with the code of the rule that a block breaks, BAD_CHAIN when the store holds
    something else than its blocks lead to, NO_SNAPSHOT, or what is wrong with the snapshot.
    """
    faults = store.integrity_faults()
    if faults:
        raise broken(f"the database is damaged: {faults[0]}")
    check_meta(store, genesis)
    state, base = beginning(store, genesis, snapshots)
    ledger = Ledger(state, genesis)
    parent: BlockHeader | None = store.header(store.base())
    transactions = settlements = reveals = 0
    with Derived(base) as derived:
        for height in range(store.base() + 1, store.height() + 1):
            block, execution = replay_block(store, genesis, ledger, parent, height)
            derived.add(block, execution.receipts)
            state.apply(execution.changes)
            ledger.adopt(execution)
            parent = block.header
            transactions += len(block.transactions)
            settlements += execution.settlement is not None
            reveals += sum(map(is_reveal, execution.transactions))
            on_block(height)
        derived.compare(store)
    entries = compare_state(store, state)
    check_own_votes(store, genesis)
    totals = ledger.totals()
    supply = ledger.total_supply()
    if not supply == totals.supply == genesis.supply:
        raise broken(f"there are {supply} sap; genesis made {genesis.supply}")
    return Replay(
        chain_id=genesis.chain_id,
        first_height=store.base() + 1,
        height=store.height(),
        transactions=transactions,
        settlements=settlements,
        reveals=reveals,
        entries=entries,
        app_hash=ledger.app_hash.hex(),
        supply=supply,
        burned=totals.burned,
    )


def beginning(
    store: ChainStore, genesis: Genesis, snapshots: SnapshotFolder | None
) -> tuple[MemoryState, Base | None]:
    """The state that the first block stands on, and what else there is from before it."""
    if not store.base():
        first = {key: value for key, value in genesis_changes(genesis).items() if value is not None}
        return MemoryState(first), None
    path = None if snapshots is None else snapshots.path(store.base())
    if path is None or not path.exists():
        raise RefusalError(
            ApplicationCode.NO_SNAPSHOT,
            f"the chain began from a snapshot of height {store.base()}, and there is no {path}: "
            "copy it from another node that has it",
            field="snapshot",
        )
    check = SnapshotCheck(genesis)
    entries = {key: value for batch in entries_of(path, check) for key, value in batch}
    base = check.finish()
    check_past(store, genesis)
    if store.header_bytes(store.base()) != base.past[-1].header:
        raise broken(f"table past: the header of height {store.base()} is not the snapshot's")
    return MemoryState(entries), base


def replay_block(
    store: ChainStore,
    genesis: Genesis,
    ledger: Ledger,
    parent: BlockHeader | None,
    height: int,
) -> tuple[Block, Execution]:
    """One block, checked and executed."""
    stored = store.block(height)
    if stored is None:
        raise broken(f"block {height} is missing")
    try:
        block = decode_block(stored.raw, genesis.parameters.max_block_bytes)
        decided = verify_certificate(
            stored.certificate, ledger.validators(), genesis.chain_id, height, block.hash
        )
        execution = check_block(block, parent, genesis, ledger, round=decided)
    except RefusalError as refusal:
        raise refusal.prefixed(f"block {height}") from None
    check_block_columns(store, block)
    if store.receipts(height) != execution.receipts:
        raise broken(f"the receipts of block {height} are not those that executing it gives")
    return block, execution


def is_reveal(transaction: Transaction) -> bool:
    """Does it show challenged leaves? What only opens a commitment does not."""
    return len(transaction.body.reveal_shapley.evidence.leaves) > 0


def compare_state(store: ChainStore, state: MemoryState) -> int:
    """How many entries the state has. Raises BAD_CHAIN when the store's differs."""
    entries = 0
    for stored, computed in zip_longest(store.scan(b""), state.scan(b"")):
        if stored != computed:
            key = (stored or computed or (b"",))[0]
            raise broken(f"the stored state differs from the blocks' at key {key.hex()}")
        entries += 1
    return entries
