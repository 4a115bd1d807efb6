"""What a proposer leaves out of a block after a round in which validators did not agree on one.

Validators audit tasks and reveals before they vote, and may come to different results. A proposer
cannot tell on which transaction of a failed block they differed, so it leaves out all of them that
are audited, for the rest of the height. The next height tries them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.transactions import Transaction, action_name

AUDITED_ACTIONS: Final = frozenset({"open_task", "reveal_shapley"})
"""Actions that a validator checks beyond the ledger's rules."""

FIRST_ROUND_WITHOUT_AUDITS: Final = 4
"""From this round on, blocks hold no audited transaction: the height may not depend on audits."""


def leave_out_disputed(
    candidates: Iterable[Transaction], failed: Sequence[Block], round: int
) -> list[Transaction]:
    """Choose the candidates on which no validator can differ by an audit.

    Args:
        candidates: Transactions that could be in the block, in an order in which they apply.
        failed: Blocks of earlier rounds of the height that got no polka.
        round: The round for which the block is built.

    Returns:
        The candidates without the audited ones that a failed block held (from
        `FIRST_ROUND_WITHOUT_AUDITS` on, without all audited ones), and without the later ones of
        their senders, whose nonces would have a gap.
    """
    tried = {raw for block in failed for raw in block.transactions}
    chosen: list[Transaction] = []
    blocked: set[bytes] = set()
    for transaction in candidates:
        is_audited = action_name(transaction.body) in AUDITED_ACTIONS
        is_disputed = is_audited and (
            round >= FIRST_ROUND_WITHOUT_AUDITS or transaction.raw in tried
        )
        if is_disputed or transaction.sender in blocked:
            blocked.add(transaction.sender)
        else:
            chosen.append(transaction)
    return chosen
