"""The policy by which a simulated proposer builds its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.messages.transactions import Transaction
from fedcoin.testing.dishonest.dishonest_proposals import exclude_rivals


@dataclass(frozen=True)
class ProposerPolicy:
    """One way to build blocks; the default is honest."""

    # Whether it leaves out other miners' commitments, openings and reveals.
    censors: bool = False
    # How far ahead of the virtual clock it sets its blocks' time, in ms.
    ahead_ms: int = 0
    # Whether it searches for a block whose challenge lets it win.
    grinds: bool = False

    def choose(self, candidates: Sequence[Transaction], own: bytes) -> list[Transaction]:
        """Choose the candidates for a block.

        Args:
            candidates: Transactions that could be in the block.
            own: The proposer's address, 20 bytes.

        Returns:
            All candidates, or those that a censor allows.
        """
        return exclude_rivals(candidates, own) if self.censors else list(candidates)


HONEST_PROPOSER = ProposerPolicy()
"""Takes all candidates, and sets the time that its clock shows."""

CENSORING_PROPOSER = ProposerPolicy(censors=True)
"""Leaves out other miners' commitments, openings and reveals."""

HASTY_CENSORING_PROPOSER = ProposerPolicy(censors=True, ahead_ms=5_000)
"""Leaves them out, and sets its blocks' time 5 s ahead."""

GRINDING_PROPOSER = ProposerPolicy(grinds=True)
"""Searches for a block whose challenge lets it win."""
