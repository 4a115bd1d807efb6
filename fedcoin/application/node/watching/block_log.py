"""Log each block that becomes final."""

from __future__ import annotations

import logging

from fedcoin.application.node.chain import NewBlock
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.plurals import format_count

log = logging.getLogger(__name__)


def log_block(new: NewBlock) -> None:
    """Log the height of a final block, the number of its transactions, and what it settles.

    While a node catches up, of the blocks that it appends in one step only the last is logged as
    information, and those that settle a task.

    Args:
        new: The block and what its execution changed.
    """
    header, settled = new.block.header, new.execution.settlement
    log.log(
        logging.DEBUG if new.is_followed and settled is None else logging.INFO,
        "block %d is final: %s, built by %s%s",
        header.height,
        format_count(len(new.block.transactions), "transaction"),
        format_address(header.proposer),
        f", settles task {settled.task_id.hex()[:16]}" if settled is not None else "",
    )
