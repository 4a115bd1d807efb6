"""What a validator may do wrong when it is its turn to propose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.messages.transactions import Transaction
from fedcoin.testing.dishonest.dishonest_proposals import exclude_rivals


@dataclass(frozen=True)
class ProposerPolicy:
    """How a proposer builds: does it leave rivals out, how far ahead does it set the clock, does
    it look for a challenge that suits it?"""

    censors: bool = False
    ahead_ms: int = 0
    grinds: bool = False

    def chosen(self, ready: Sequence[Transaction], own: bytes) -> list[Transaction]:
        """What it puts into its block."""
        return exclude_rivals(ready, own) if self.censors else list(ready)


HONEST_PROPOSER = ProposerPolicy()
CENSORING_PROPOSER = ProposerPolicy(censors=True)
HASTY_CENSORING_PROPOSER = ProposerPolicy(censors=True, ahead_ms=5_000)
GRINDING_PROPOSER = ProposerPolicy(grinds=True)
