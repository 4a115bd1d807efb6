"""What a validator may do wrong when it is its turn to propose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.transactions import Transaction, action_name

MINING = ("commit_shapley", "reveal_shapley")


@dataclass(frozen=True)
class Proposing:
    """How a proposer builds: whose mining it leaves out, and how far ahead it sets the clock."""

    censors: bool = False
    ahead_ms: int = 0

    def chosen(self, ready: Sequence[Transaction], own: bytes) -> list[Transaction]:
        """What it puts into its block."""
        return [
            transaction
            for transaction in ready
            if not self.censors
            or transaction.sender == own
            or action_name(transaction.body) not in MINING
        ]


FAIR = Proposing()
CENSOR = Proposing(censors=True)
HASTY_CENSOR = Proposing(censors=True, ahead_ms=5_000)
