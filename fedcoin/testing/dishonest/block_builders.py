"""Chains of nodes that lie when it is their turn to build a block."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from fedcoin.application.node.chain import Chain, Draft
from fedcoin.data.messages.transactions import Transaction
from fedcoin.testing.dishonest.dishonest_proposals import (
    exclude_rivals,
    grind_block,
    quorum_subsets,
)

log = logging.getLogger(__name__)


class CensoringChain(Chain):
    """Leaves the rivals' commitments, openings and reveals out of its blocks."""

    async def build(self, proposer: bytes, candidates: Iterable[Transaction]) -> Draft:
        """A block without them."""
        ready = list(candidates)
        chosen = exclude_rivals(ready, proposer)
        if len(chosen) < len(ready):
            log.warning("leaves %d of %d transactions out", len(ready) - len(chosen), len(ready))
        return await super().build(proposer, chosen)


class GrindingChain(Chain):
    """Builds many blocks when a challenge is to be fixed, and proposes the one that suits it."""

    async def build(self, proposer: bytes, candidates: Iterable[Transaction]) -> Draft:
        """The block that suits it best."""
        async with self._lock:
            context = self._next_context(proposer)
            ground = await asyncio.to_thread(
                grind_block,
                self.ledger,
                context,
                tuple(candidates),
                self.genesis.parameters.max_block_bytes,
                quorum_subsets(context.last_certificate, self.ledger.last_validators()),
            )
            if ground.tries > 1:
                log.warning("tried %d blocks: %d challenges", ground.tries, ground.challenges)
            block = self._assemble(ground.context, ground.built)
            self._checked.put(block.hash, ground.built.execution)
            return Draft(block, tuple(transaction for transaction, _ in ground.built.refused))
