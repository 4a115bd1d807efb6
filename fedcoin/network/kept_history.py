"""Telling truthfully what a node that began from a snapshot does not have."""

from __future__ import annotations

from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.errors import NetworkCode


def history_refusal(store: ChainStore, what: str, field: str) -> RefusalError:
    """HISTORY_NOT_KEPT: `what`, the beginning of a sentence, lies in blocks that are not here."""
    base = store.base_height()
    return RefusalError(
        NetworkCode.HISTORY_NOT_KEPT,
        f"{what}: this node began from a snapshot of height {base} and keeps blocks from "
        f"{base + 1} on; ask a node with the whole history",
        field=field,
        limit=str(base + 1),
    )


def check_kept(store: ChainStore, height: int, field: str) -> None:
    """Raise HISTORY_NOT_KEPT for a height up to the store's base."""
    if 1 <= height <= store.base_height():
        raise history_refusal(store, f"block {height} is not here", field)
