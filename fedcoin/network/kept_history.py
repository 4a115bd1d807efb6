"""Refusals for blocks below the snapshot from which a node's database started."""

from __future__ import annotations

from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.errors import NetworkCode


def history_refusal(store: ChainStore, subject: str, field: str) -> RefusalError:
    """Make the refusal for a request about blocks that this node does not keep.

    Args:
        store: The node's chain.
        subject: The beginning of the sentence, such as `block 7 is not here`.
        field: The name of the request's field that asks for the block.

    Returns:
        A refusal with code HISTORY_NOT_KEPT; its limit is the first height that is kept.
    """
    base = store.base_height()
    return RefusalError(
        NetworkCode.HISTORY_NOT_KEPT,
        f"{subject}: this node began from a snapshot of height {base} and keeps blocks from "
        f"{base + 1} on; ask a node with the whole history",
        field=field,
        limit=str(base + 1),
    )


def check_kept(store: ChainStore, height: int, field: str) -> None:
    """Check that a height lies above the snapshot from which the chain started.

    Args:
        store: The node's chain.
        height: The height that was asked for.
        field: The name of the request's field that asks for the block.

    Raises:
        RefusalError: HISTORY_NOT_KEPT when the height is that of the snapshot or below.
    """
    if 1 <= height <= store.base_height():
        raise history_refusal(store, f"block {height} is not here", field)
