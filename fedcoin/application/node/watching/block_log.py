"""Log each block that becomes final."""

from __future__ import annotations

import logging

from fedcoin.application.node.chain import NewBlock
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.plurals import format_count

log = logging.getLogger(__name__)


def log_block(new: NewBlock) -> None:
    """Log the height of a final block, the number of its transactions, and what it settles.

    Args:
        new: The block and what its execution changed.
    """
    header, settled = new.block.header, new.execution.settlement
    log.info(
        "block %d is final: %s, built by %s%s",
        header.height,
        format_count(len(new.block.transactions), "transaction"),
        format_address(header.proposer),
        f", settles task {settled.task_id.hex()[:16]}" if settled is not None else "",
    )
