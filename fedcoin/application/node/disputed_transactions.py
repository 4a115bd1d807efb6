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

FIRST_ROUND_WITHOUT_AUDITS: Final = 4
"""From this round on, blocks hold no audited transaction: the height may not depend on audits."""


def is_judged(transaction: Transaction) -> bool:
    """Tell whether validators judge a transaction by more than the ledger's rules.

    Args:
        transaction: A decoded transaction.

    Returns:
        True for a task, and for a reveal that shows leaves: an opening claims nothing.
    """
    return action_name(transaction.body) == "open_task" or is_reveal(transaction)


def is_reveal(transaction: Transaction) -> bool:
    """Tell whether a transaction shows challenged leaves.

    Args:
        transaction: A decoded transaction.

    Returns:
        True for a reveal with evidence.
    """
    body = transaction.body
    return action_name(body) == "reveal_shapley" and len(body.reveal_shapley.evidence.leaves) > 0


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
        is_disputed = is_judged(transaction) and (
            round >= FIRST_ROUND_WITHOUT_AUDITS or transaction.raw in tried
        )
        if is_disputed or transaction.sender in blocked:
            blocked.add(transaction.sender)
        else:
            chosen.append(transaction)
    return chosen


def leaves_out_reveals(waiting: Iterable[Transaction], chosen: Iterable[Transaction]) -> bool:
    """Tell whether a proposer leaves a reveal out of its block, as the block's header says.

    Args:
        waiting: What could be in the block by the ledger's rules.
        chosen: What the proposer offers for it.

    Returns:
        True if a waiting reveal is not among the chosen transactions.
    """
    taken = {transaction.hash for transaction in chosen}
    return any(is_reveal(tx) and tx.hash not in taken for tx in waiting)
